#include "core/text.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

namespace dynsample {
namespace {

constexpr std::ptrdiff_t kLength = 24;  // of a number as "%.18e" writes it, below 10 and above 0
constexpr std::size_t kShown = 40;      // characters of a wrong line in the message

bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

__extension__ using Wide = unsigned __int128;

// 5^-k as a 128-bit fraction: floor(2^(64 + shift) / 5^k), of which the highest bit is set.
struct Reciprocal {
  std::uint64_t high, low;
  int shift;
};
constexpr int kLeastPower = 18, kPowers = 10;
constexpr auto kReciprocals = [] {
  std::array<Reciprocal, kPowers> table{};
  std::uint64_t power = 1;  // 5^27 is below 2^63
  for (int k = 1; k < kLeastPower + kPowers; ++k) {
    power *= 5;
    if (k < kLeastPower) continue;
    const int shift = 63 + static_cast<int>(std::bit_width(power));
    const Wide one = Wide{1} << shift, rest = one % power << 64;
    table[k - kLeastPower] = {static_cast<std::uint64_t>(one / power),
                              static_cast<std::uint64_t>(rest / power), shift};
  }
  return table;
}();

std::uint64_t load(const char* text) {
  std::uint64_t word;
  std::memcpy(&word, text, sizeof word);
  return word;
}

bool eight_digits(std::uint64_t word) {
  const std::uint64_t above = word + 0x4646464646464646, below = word - 0x3030303030303030;
  return ((above | below) & 0x8080808080808080) == 0;
}

// The number that eight digits are, first digit lowest in memory: pairs, then fours, then all.
std::uint64_t eight_digits_value(std::uint64_t word) {
  word -= 0x3030303030303030;
  word = (word & 0x0F0F0F0F0F0F0F0F) * 2561 >> 8;
  word = (word & 0x00FF00FF00FF00FF) * 6553601 >> 16;
  return (word & 0x0000FFFF0000FFFF) * 42949672960001 >> 32;
}

bool digit(char c) { return c >= '0' && c <= '9'; }

// Reads what "%.18e" writes, d.dddddddddddddddddde-dd, the form of recorded probabilities, in a
// part of the time of std::from_chars; false when the text has another form or needs more care.
//
// The 19 digits are an integer m, and m * 10^-k = m * 5^-k * 2^-k. The product with the truncated
// fraction of 5^-k, of which the upper 128 bits are kept, is at most 2 too low in the lowest of
// them, so it rounds right unless that could carry through all the bits that are cut off. There are
// no ties: k is above 4 (Lemire, "Number parsing at a gigabyte per second", Software: Practice and
// Experience 2021, sections 5 and 9).
bool parse_scientific(const char* first, const char* last, double& value) {
  if constexpr (std::endian::native != std::endian::little) return false;
  if (last - first != kLength || first[1] != '.' || first[20] != 'e') return false;
  const std::uint64_t high = load(first + 2), low = load(first + 10);
  const bool digits = digit(first[0]) && digit(first[18]) && digit(first[19]) && digit(first[22]) &&
                      digit(first[23]);
  if (!digits || !eight_digits(high) || !eight_digits(low)) return false;
  const std::uint64_t mantissa = (first[0] - '0') * std::uint64_t{1000000000000000000} +
                                 eight_digits_value(high) * 10000000000 +
                                 eight_digits_value(low) * 100 + (first[18] - '0') * 10 +
                                 (first[19] - '0');
  const int size = (first[22] - '0') * 10 + (first[23] - '0');
  if ((first[21] != '-' && !(first[21] == '+' && size == 0)) || size >= kPowers) return false;
  if (mantissa == 0) {
    value = 0;
    return true;
  }
  const Reciprocal& power = kReciprocals[size];
  const int zeros = std::countl_zero(mantissa);
  const std::uint64_t scaled = mantissa << zeros;
  const Wide product = Wide{scaled} * power.high + (Wide{scaled} * power.low >> 64);
  const auto upper = static_cast<std::uint64_t>(product >> 64);
  const auto lower = static_cast<std::uint64_t>(product);
  if ((upper & 0x1FF) == 0x1FF && lower + 2 < 2) return false;
  const int top = static_cast<int>(upper >> 63);
  const std::uint64_t rounded = ((upper >> (9 + top)) + 1) >> 1;  // 53 bits, or 2^53
  const int exponent = 74 + top - zeros - power.shift - (kLeastPower + size);
  value = std::bit_cast<double>((static_cast<std::uint64_t>(exponent + 1075) << 52) +
                                (rounded - (std::uint64_t{1} << 52)));
  return true;
}

[[noreturn]] void refuse(std::size_t line, const char* first, const char* last) {
  const std::string text(first, std::min(last, first + kShown));
  throw std::invalid_argument("line " + std::to_string(line) + ": expected a number, got '" + text +
                              "'");
}

}  // namespace

Parsed parse_lines(std::span<const char> text, bool whole, std::span<double> out) {
  Parsed parsed{0, 0, 0};
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    if (end - at > kLength && at[kLength] == '\n' && parsed.numbers < out.size() &&
        parse_scientific(at, at + kLength, out[parsed.numbers])) {
      at += kLength + 1;
      parsed.numbers += 1;
      parsed.lines += 1;
      parsed.bytes += kLength + 1;
      continue;
    }
    const auto* stop = static_cast<const char*>(std::memchr(at, '\n', end - at));
    if (!stop && !whole) break;
    const char* last = stop ? stop : end;
    const char* const next = stop ? stop + 1 : end;
    ++parsed.lines;
    while (at != last && blank(*at)) ++at;
    while (at != last && blank(last[-1])) --last;
    if (at != last) {
      double value = 0;
      if (!parse_scientific(at, last, value)) {
        const auto [rest, error] = std::from_chars(at + (*at == '+'), last, value);
        // Out of range is what cannot be told from 0 or infinity; text of a double never is.
        if (error != std::errc() || rest != last) refuse(parsed.lines, at, last);
      }
      if (parsed.numbers == out.size()) {
        throw std::invalid_argument("line " + std::to_string(parsed.lines) + ": more than " +
                                    std::to_string(out.size()) + " numbers");
      }
      out[parsed.numbers++] = value;
    }
    at = next;
    parsed.bytes = static_cast<std::size_t>(at - text.data());
  }
  return parsed;
}

}  // namespace dynsample
