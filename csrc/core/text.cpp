#include "core/text.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>

namespace dynsample {
namespace {

constexpr std::ptrdiff_t kLength = 24;  // of a number as "%.18e" writes it, below 10 and above 0
constexpr std::size_t kShown = 40;      // characters of a wrong line in the message

bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

// 10^k is exact in an x87 long double up to here.
constexpr int kExactPowers = 28;
constexpr auto kPowers = [] {
  std::array<long double, kExactPowers> powers{};
  long double power = 1;
  for (long double& each : powers) each = power, power *= 10;
  return powers;
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

// Reads what "%.18e" writes, d.dddddddddddddddddde+dd, the form of recorded probabilities, three
// times as fast as std::from_chars; false when the text has another form or needs more care.
//
// The 19 digits and the power of ten are exact in 64 bits, so the quotient is rounded once;
// rounding it again to double is right unless its last 11 bits are exactly a half.
bool parse_scientific(const char* first, const char* last, double& value) {
  if constexpr (std::numeric_limits<long double>::digits != 64 ||
                std::endian::native != std::endian::little) {
    return false;
  }
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
  if (first[21] != '-' && !(first[21] == '+' && size == 0)) return false;
  if (18 + size >= kExactPowers) return false;
  const long double quotient = static_cast<long double>(mantissa) / kPowers[18 + size];
  std::uint64_t bits;
  std::memcpy(&bits, &quotient, sizeof bits);
  if ((bits & 0x7FF) == 0x400) return false;
  value = static_cast<double>(quotient);
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
