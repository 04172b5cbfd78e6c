#include "core/text.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <string>

#include "core/dispatch.h"

namespace dynsample {
namespace {

constexpr std::size_t kShown = 40;  // characters of a wrong line in the message

bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

[[noreturn]] void refuse(std::size_t line, const char* first, const char* last) {
  std::string text(first, std::min(last, first + kShown));
  std::replace_if(text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  throw std::invalid_argument("line " + std::to_string(line) + ": expected a number, got '" + text +
                              "'");
}

}  // namespace

Parsed parse_lines(std::span<const char> text, bool whole, std::span<double> out) {
  Parsed parsed{0, 0, 0};
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto scientific = kernels().text.scientific;
  while (at != end) {
    const std::size_t lines =
        std::min(static_cast<std::size_t>(end - at) / kScientificLine, out.size() - parsed.numbers);
    const std::size_t plain = scientific(at, lines, out.data() + parsed.numbers);
    at += plain * kScientificLine;
    parsed.numbers += plain;
    parsed.lines += plain;
    parsed.bytes += plain * kScientificLine;
    if (at == end) break;
    const auto* stop = static_cast<const char*>(std::memchr(at, '\n', end - at));
    if (!stop && !whole) break;
    const char* last = stop ? stop : end;
    const char* const next = stop ? stop + 1 : end;
    ++parsed.lines;
    while (at != last && blank(*at)) ++at;
    while (at != last && blank(last[-1])) --last;
    if (at != last) {
      double value = 0;
      const auto [rest, error] = std::from_chars(at + (*at == '+'), last, value);
      // Out of range is what cannot be told from 0 or infinity; text of a double never is.
      if (error != std::errc() || rest != last) refuse(parsed.lines, at, last);
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
