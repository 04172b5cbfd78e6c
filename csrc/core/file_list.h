// Names of files: out of a list that somebody wrote, and one after the other as readers keep them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace dynsample {

using Text = std::span<const char>;

// Where the names of a list are in its text, and their labels. All have one length.
struct Listed {
  std::span<std::int64_t> begins, ends;
  std::span<std::int32_t> labels;
};

struct ListRead {
  std::size_t samples;  // written to `out`
  std::size_t bytes;    // read: up to the first line that is wrong, all when none is
};

// Reads lines of a name, white space and a label from `text`, which begins at `at`: see
// dynsample/file_list.py for what is a line. `out` needs room for as many samples as there are
// lines; throws std::invalid_argument when it has less.
ListRead parse_file_list(Text text, std::size_t at, Listed out);

// Writes prefix, name and a NUL byte for every name [begins[i], ends[i]) of `text`, and to `starts`
// where each begins, and where the last one ends. `out` must have just the bytes that are needed.
// Throws std::invalid_argument when it has not, or names are not inside of the text.
void join_names(Text prefix, Text text, std::span<const std::int64_t> begins,
                std::span<const std::int64_t> ends, std::span<char> out,
                std::span<std::int64_t> starts);

// The first and the last name in the order of their bytes, of those that `join_names` wrote; there
// must be one at least.
std::pair<std::size_t, std::size_t> name_range(Text names, std::span<const std::int64_t> starts);

}  // namespace dynsample
