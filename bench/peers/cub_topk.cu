// CUB's selection of the k lowest, where the toolkit has it: their ids, in no order.
#include <cub/device/device_topk.cuh>

#include <cuda/iterator>
#include <cuda/stream_ref>

// Gives a CUDA error code; asked with no scratch memory, it only sets its size.
extern "C" int lowest_ids(void* scratch, std::size_t* bytes, const float* keys, float* lowest,
                          std::uint32_t* ids, std::size_t size, std::size_t k, void* stream) {
  const auto wanted = cuda::execution::require(cuda::execution::determinism::not_guaranteed,
                                               cuda::execution::output_ordering::unsorted);
  const cuda::stream_ref where(static_cast<cudaStream_t>(stream));
  return cub::DeviceTopK::MinPairs(scratch, *bytes, keys, lowest,
                                   cuda::make_counting_iterator(std::uint32_t{0}), ids,
                                   static_cast<std::int64_t>(size), static_cast<std::int64_t>(k),
                                   cuda::std::execution::env{where, wanted});
}
