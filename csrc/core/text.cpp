#include "core/text.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <string>

namespace dynsample {
namespace {

constexpr std::size_t kShown = 40;  // characters of a wrong line in the message

bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

[[noreturn]] void refuse(std::size_t line, const char* what, const char* first, const char* last) {
  std::string text(first, std::min(last, first + kShown));
  std::replace_if(text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  throw std::invalid_argument("line " + std::to_string(line) + ": " + what + ", got '" + text +
                              "'");
}

}  // namespace

Parsed parse_lines(std::span<const char> text, bool whole, std::span<double> out) {
  Parsed parsed{0, 0, 0};
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    const auto* stop = static_cast<const char*>(std::memchr(at, '\n', end - at));
    if (!stop && !whole) break;
    const char* last = stop ? stop : end;
    ++parsed.lines;
    while (at != last && blank(*at)) ++at;
    while (at != last && blank(last[-1])) --last;
    if (at != last) {
      if (!stop) refuse(parsed.lines, "has no line break, as if the file were cut short", at, last);
      double value = 0;
      const auto [rest, error] = std::from_chars(at + (*at == '+' && at[1] != '-'), last, value);
      // Out of range is what cannot be told from 0 or infinity; text of a double never is.
      if (error != std::errc() || rest != last) {
        refuse(parsed.lines, "expected a number", at, last);
      }
      if (parsed.numbers == out.size()) {
        throw std::invalid_argument("line " + std::to_string(parsed.lines) + ": more than " +
                                    std::to_string(out.size()) + " numbers");
      }
      out[parsed.numbers++] = value;
    }
    at = stop ? stop + 1 : end;
    parsed.bytes = static_cast<std::size_t>(at - text.data());
  }
  return parsed;
}

}  // namespace dynsample
