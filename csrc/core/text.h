// Numbers out of text, one a line.
#pragma once

#include <cstddef>
#include <span>

namespace dynsample {

struct Parsed {
  std::size_t numbers;  // written to `out`
  std::size_t bytes;    // read: up to the end of the last whole line
  std::size_t lines;    // in those bytes
};

// Reads numbers from the whole lines of `text`, correctly rounded; blank lines are skipped, and so
// is what follows on an unfinished line, unless the text ends there (whole). Throws
// std::invalid_argument, with the line and what it holds, for a line that is not one number, for a
// last one without its line break, and when `out` has no room for another.
Parsed parse_lines(std::span<const char> text, bool whole, std::span<double> out);

}  // namespace dynsample
