// Reading one file whole, or saying what is wrong with it.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

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

// An open file, closed again whatever happens.
class File {
 public:
  explicit File(const char* path) : descriptor_(open(path, O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool is_open() const { return descriptor_ >= 0; }

  std::int64_t size() const {
    struct stat status;
    return fstat(descriptor_, &status) == 0 ? status.st_size : -1;
  }

  // Bytes read, fewer than `count` only at the end of the file or on an error.
  std::int64_t read_all(std::uint8_t* to, std::int64_t count) const {
    std::int64_t done = 0;
    while (done < count) {
      const ssize_t got = ::read(descriptor_, to + done, count - done);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      done += got;
    }
    return done;
  }

 private:
  int descriptor_;
};

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
  const std::int64_t size = file.size();
  const std::int64_t got = size == expected ? file.read_all(to, expected) : size;
  if (got != expected) {
    fail(table, id,
         "had " + std::to_string(expected) + " bytes, and has " + std::to_string(got) + " now");
  }
}

// Whether this is a JPEG without its end marker; some decoders leave the lower part of it
// unwritten. Bytes after the marker are common, and right, so such a file is searched from its
// beginning.
inline bool is_cut_short(const std::uint8_t* image, std::int64_t size) {
  const auto is_marker = [&](std::int64_t at, int low) {
    return image[at] == 0xFF && image[at + 1] == low;
  };
  if (size < 4 || !is_marker(0, 0xD8) || is_marker(size - 2, 0xD9)) return false;
  for (std::int64_t at = 2; at + 1 < size;) {
    const int low = image[at + 1];
    const bool inside_data = low <= 0x01 || low == 0xFF || (low >= 0xD0 && low <= 0xD8);
    if (image[at] != 0xFF || inside_data) {
      ++at;  // compressed data: with its stuffing, fill bytes and restarts
    } else if (low == 0xD9) {
      return false;
    } else if (at + 3 < size) {
      at += 2 + (image[at + 2] << 8 | image[at + 3]);  // a segment begins with its length
    } else {
      break;
    }
  }
  return true;
}

}  // namespace dynsample
