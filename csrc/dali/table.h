// Samples as Python described them: where each is, and its label.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <vector>

namespace dynsample {

// An open file, closed again whatever happens.
class File {
 public:
  // A pipe is not waited for: it is no regular file, which `size` tells.
  explicit File(const char* path) : descriptor_(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }

  // -1 of what is no regular file.
  std::int64_t size() const {
    struct stat status;
    return fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode) ? status.st_size : -1;
  }

  // Bytes read, fewer than `count` only at the end of the file or on an error.
  std::int64_t read(std::uint8_t* to, std::int64_t count, std::int64_t at = 0) const {
    std::int64_t done = 0;
    while (done < count) {
      const ssize_t got = pread(descriptor_, to + done, count - done, at + done);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      done += got;
    }
    return done;
  }

  // Reads a file of `count` bytes; false when it is not one. One system call instead of one for the
  // size and one for the bytes: a byte more is asked for, which is there when the file is larger.
  bool read_whole(std::uint8_t* to, std::int64_t count) const {
    char more;
    const iovec parts[] = {{to, static_cast<std::size_t>(count)}, {&more, 1}};
    return preadv(descriptor_, parts, 2, 0) == count;
  }

 private:
  int descriptor_;
};

// A part of a file in memory, for as long as this object lives.
class Mapping {
 public:
  // The file must have `end` bytes at least.
  Mapping(const char* path, std::int64_t begin, std::int64_t end)
      : file_(path), begin_(begin), size_(end) {
    if (file_.is_open() && is_whole()) {
      base_ = mmap(nullptr, size_, PROT_READ, MAP_SHARED, file_.descriptor(), 0);
    }
    if (base_ == MAP_FAILED) throw std::runtime_error("cannot map the file");
  }
  ~Mapping() { munmap(base_, size_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  // Whether the file still has all that was mapped: to touch what was cut off kills the process.
  bool is_whole() const { return file_.size() >= size_; }

  const std::uint8_t* data() const { return static_cast<const std::uint8_t*>(base_) + begin_; }

  // As File::read, from `at` on in this part; what was cut off is not there.
  std::int64_t read(std::uint8_t* to, std::int64_t count, std::int64_t at) const {
    return file_.read(to, count, begin_ + at);
  }

 private:
  const File file_;
  void* base_ = MAP_FAILED;
  std::int64_t begin_, size_;
};

// Throws unless each of `size` samples has some bytes between its bound and the next, from 0 on.
inline void check_bounds(const std::int64_t* bounds, std::int64_t size) {
  bool ascend = size >= 0 && bounds[0] == 0;
  for (std::int64_t i = 0; ascend && i < size; ++i) ascend = bounds[i] < bounds[i + 1];
  if (!ascend) throw std::invalid_argument("bounds of samples must ascend from 0 on");
}

// Samples as Python described them. Operators share it, as they may outlive their description.
struct Table {
  std::vector<char> paths;  // NUL-terminated, one after the other
  std::vector<std::int64_t> starts;
  std::vector<std::int32_t> labels;
  std::vector<std::int64_t> offsets;        // of the images in a pack, and the end of the last
  std::unique_ptr<const Mapping> packed{};  // null: each path is a file

  std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }
  const char* path(std::int64_t id) const { return paths.data() + starts[id]; }
};

}  // namespace dynsample
