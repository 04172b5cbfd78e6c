#include "core/file_list.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <string_view>

namespace dynsample {
namespace {

constexpr std::ptrdiff_t kDigits = 20;  // of a label, zeros before it and its sign included

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Takes [first, last), which ends in no white space, apart from its end; false when it is no line
// of a list. The name begins at `first`.
bool take_apart(const char* first, const char* last, const char*& name_end, std::int32_t& label) {
  const char* digits = last;
  while (digits != first && is_digit(digits[-1])) --digits;
  if (digits == last) return false;
  if (digits != first && digits[-1] == '-') --digits;
  if (last - digits > kDigits) return false;
  if (std::from_chars(digits, last, label).ec != std::errc()) return false;
  name_end = digits;
  while (name_end != first && is_space(name_end[-1])) --name_end;
  return name_end != first && name_end != digits && !std::memchr(first, 0, name_end - first);
}

std::string_view name_in(Text text, std::int64_t begin, std::int64_t end) {
  if (begin < 0 || begin > end || end > static_cast<std::int64_t>(text.size())) {
    throw std::invalid_argument("names must be inside of their text");
  }
  return {text.data() + begin, static_cast<std::size_t>(end - begin)};
}

}  // namespace

ListRead parse_file_list(Text text, std::size_t at, Listed out) {
  if (at > text.size()) throw std::invalid_argument("at is beyond the text");
  const std::size_t room = std::min({out.begins.size(), out.ends.size(), out.labels.size()});
  const char* const base = text.data();
  const char* const end = base + text.size();
  std::size_t samples = 0;
  for (const char* first = base + at; first != end;) {
    const auto* feed = static_cast<const char*>(std::memchr(first, '\n', end - first));
    const char* const stop = feed ? feed : end;
    const char* last = stop;
    while (last != first && is_space(last[-1])) --last;
    if (last != first) {
      if (samples == room) throw std::invalid_argument("more lines than there is room for");
      const char* name_end = nullptr;
      if (!take_apart(first, last, name_end, out.labels[samples])) {
        return {samples, static_cast<std::size_t>(first - base)};
      }
      out.begins[samples] = first - base;
      out.ends[samples] = name_end - base;
      ++samples;
    }
    first = feed ? feed + 1 : end;
  }
  return {samples, text.size()};
}

void join_names(Text prefix, Text text, std::span<const std::int64_t> begins,
                std::span<const std::int64_t> ends, std::span<char> out,
                std::span<std::int64_t> starts) {
  if (begins.size() != ends.size() || starts.size() != begins.size() + 1) {
    throw std::invalid_argument("begins, ends and starts must be of the same names");
  }
  std::size_t at = 0;
  for (std::size_t i = 0; i < begins.size(); ++i) {
    const std::string_view name = name_in(text, begins[i], ends[i]);
    starts[i] = static_cast<std::int64_t>(at);
    if (out.size() - at < prefix.size() + name.size() + 1) break;
    char* to = out.data() + at;
    to = std::copy(prefix.begin(), prefix.end(), to);
    to = std::copy(name.begin(), name.end(), to);
    *to = 0;
    at += prefix.size() + name.size() + 1;
  }
  starts.back() = static_cast<std::int64_t>(at);
  if (at != out.size()) throw std::invalid_argument("out must have just the bytes of the names");
}

std::pair<std::size_t, std::size_t> name_range(Text names, std::span<const std::int64_t> starts) {
  if (starts.size() < 2) throw std::invalid_argument("there must be a name");
  std::size_t first = 0, last = 0;
  std::string_view lowest = name_in(names, starts[0], starts[1]), highest = lowest;
  for (std::size_t i = 1; i + 1 < starts.size(); ++i) {
    const std::string_view each = name_in(names, starts[i], starts[i + 1]);
    if (each < lowest) lowest = each, first = i;
    if (each > highest) highest = each, last = i;
  }
  return {first, last};
}

}  // namespace dynsample
