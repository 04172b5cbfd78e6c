// Reading one file whole, or saying what is wrong with it.
#pragma once

#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

#include "table.h"

namespace dynsample {

[[noreturn]] inline void fail(const Table& table, std::int64_t id, const std::string& what) {
  throw std::runtime_error("dynsample: sample " + std::to_string(id) + ", " + table.path(id) +
                           ": " + what);
}

inline std::int64_t size_on_disk(const Table& table, std::int64_t id) {
  struct stat status;
  if (stat(table.path(id), &status) != 0) fail(table, id, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) fail(table, id, "not a regular file");
  if (status.st_size == 0) fail(table, id, "the file is empty");
  return status.st_size;
}

// The size decides the shape of the output before the file is read, so it must not have changed.
inline void read_file(const Table& table, std::int64_t id, std::uint8_t* to,
                      std::int64_t expected) {
  const File file(table.path(id));
  if (!file.is_open()) fail(table, id, std::strerror(errno));
  if (file.read_whole(to, expected)) return;
  const std::int64_t size = file.size();  // or the system gave a part
  const std::int64_t got = size == expected ? file.read(to, expected) : size;
  if (got != expected) {
    fail(table, id,
         "had " + std::to_string(expected) + " bytes, and has " + std::to_string(got) + " now");
  }
}

}  // namespace dynsample
