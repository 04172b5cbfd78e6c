// The little that core asks of the operating system: the only file here that needs more than std.
#pragma once

#include <cstddef>

namespace dynsample {

// Cores that this process may run on, at least 1.
std::size_t available_cores();

// Advises the system to back [memory, memory + bytes) with large pages; nothing is lost where it
// does not.
void prefer_large_pages(void* memory, std::size_t bytes);

// Asks the system to read what is mapped at [memory, memory + bytes) in the background.
void will_need(const void* memory, std::size_t bytes);

// Whether the page that `memory` is on can be read without waiting for a file; true where the
// system cannot say.
bool in_memory(const void* memory);

}  // namespace dynsample
