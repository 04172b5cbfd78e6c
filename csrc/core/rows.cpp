#include "core/rows.h"

#include <stdexcept>
#include <string>

namespace dynsample {

void check_num_rows(std::size_t size) {
  if (size > 0xFFFFFFFFu) {
    throw std::invalid_argument("arrays must have at most 4294967295 rows, got " +
                                std::to_string(size));
  }
}

}  // namespace dynsample
