// Samples as Python described them: where each is, and its label.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <vector>

namespace dynsample {

// A part of a file in memory, for as long as this object lives.
class Mapping {
 public:
  // The file must have `end` bytes at least.
  Mapping(const char* path, std::int64_t begin, std::int64_t end) : begin_(begin), size_(end) {
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (descriptor >= 0 && fstat(descriptor, &status) == 0 && status.st_size >= end) {
      base_ = mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor, 0);
    }
    if (descriptor >= 0) close(descriptor);
    if (base_ == MAP_FAILED) throw std::runtime_error("cannot map the file");
  }
  ~Mapping() { munmap(base_, size_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  const std::uint8_t* data() const { return static_cast<const std::uint8_t*>(base_) + begin_; }

 private:
  void* base_ = MAP_FAILED;
  std::int64_t begin_, size_;
};

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
