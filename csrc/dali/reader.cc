// The operator of the index feed: sample ids in, encoded bytes and labels out.
//
// Compiled at first use against the DALI that is installed (dynsample/dali/operator.py), from 1.26
// to 2.x. Python describes the samples once (`dynsample_add_table`), a pipeline names the table by
// its handle, and from then on nothing of Python runs per sample.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "dali/pipeline/operator/operator.h"
#include "files.h"
#include "jpeg.h"
#include "table.h"

namespace dynsample {
namespace {

namespace data_types {
using namespace dali;  // where DALI has these names up to 1.x; they are global from 2.0 on
constexpr auto kUint8 = DALI_UINT8;
constexpr auto kInt32 = DALI_INT32;
constexpr auto kInt64 = DALI_INT64;
}  // namespace data_types
using data_types::kInt32, data_types::kInt64, data_types::kUint8;

std::mutex tables_mutex;
std::map<std::int64_t, std::shared_ptr<const Table>> tables;
std::int64_t next_handle = 0;

std::shared_ptr<const Table> find_table(std::int64_t handle) {
  const std::lock_guard<std::mutex> lock(tables_mutex);
  const auto found = tables.find(handle);
  if (found == tables.end()) {
    throw std::invalid_argument("dynsample: no table " + std::to_string(handle) +
                                " in this process: a pipeline with this reader cannot be "
                                "serialised");
  }
  return found->second;
}

// Calls work(k) for k in [0, count) on the threads of the pipeline.
template <class Work>
void for_each(dali::ThreadPool& pool, int count, const Work& work) {
  const int pieces = 4 * pool.NumThreads();
  const int step = std::max(1, (count + pieces - 1) / pieces);
  for (int begin = 0; begin < count; begin += step) {
    const int end = std::min(count, begin + step);
    pool.AddWork(
        [begin, end, &work](int) {
          for (int k = begin; k < end; ++k) work(k);
        },
        end - begin);
  }
  pool.RunAll();
}

class Read : public dali::Operator<dali::CPUBackend> {
 public:
  explicit Read(const dali::OpSpec& spec)
      : dali::Operator<dali::CPUBackend>(spec),
        table_(find_table(spec.GetArgument<std::int64_t>("table"))),
        known_sizes_(table_->packed ? 0 : table_->size()),
        shares_(table_->packed && spec.GetArgument<int>("device_id") == dali::CPU_ONLY_DEVICE_ID) {}

  // DALI asks for the first up to 1.35, and for the second from then on.
  bool CanInferOutputs() const { return !shares_; }
  bool HasContiguousOutputs() const { return !shares_; }

#if __has_include("dali/pipeline/operator/checkpointing/op_checkpoint.h")
  // There is no state: the ids come from outside. Without these, no pipeline with this operator
  // could have a checkpoint of its random augmentations.
  void SaveState(dali::OpCheckpoint&, dali::AccessOrder) override {}
  void RestoreState(const dali::OpCheckpoint&) override {}
  std::string SerializeCheckpoint(const dali::OpCheckpoint&) const override { return {}; }
  void DeserializeCheckpoint(dali::OpCheckpoint&, const std::string&) const override {}
#endif

 protected:
  bool SetupImpl(std::vector<dali::OutputDesc>& outputs, const dali::Workspace& ws) override {
    const auto& index = ws.Input<dali::CPUBackend>(0);
    const int count = index.num_samples();
    ids_.resize(count);
    sizes_.resize(count);
    for (int k = 0; k < count; ++k) {
      ids_[k] = index.tensor<std::int64_t>(k)[0];
      if (ids_[k] < 0 || ids_[k] >= table_->size()) {
        throw std::out_of_range("dynsample: sample " + std::to_string(ids_[k]) + " is not in [0, " +
                                std::to_string(table_->size()) + ")");
      }
    }
    if (shares_) return false;
    for_each(ws.GetThreadPool(), count, [this](int k) { sizes_[k] = size_of(ids_[k]); });
    dali::TensorListShape<1> shapes(count);
    for (int k = 0; k < count; ++k) shapes.tensor_shape_span(k)[0] = sizes_[k];
    outputs.resize(2);
    outputs[0] = {shapes, kUint8};
    outputs[1] = {dali::uniform_list_shape<1>(count, {1}), kInt32};
    return true;
  }

  void RunImpl(dali::Workspace& ws) override {
    auto& encoded = ws.Output<dali::CPUBackend>(0);
    auto& labels = ws.Output<dali::CPUBackend>(1);
    const int count = static_cast<int>(ids_.size());
    if (shares_) {
      share(encoded);
      labels.Resize(dali::uniform_list_shape<1>(count, {1}), kInt32);
      for (int k = 0; k < count; ++k) describe(k, encoded, labels);
    } else {
      for_each(ws.GetThreadPool(), count, [&](int k) {
        copy(ids_[k], sizes_[k], static_cast<std::uint8_t*>(encoded.raw_mutable_tensor(k)));
        describe(k, encoded, labels);
      });
    }
  }

 private:
  // Gives the label, and the name that later operators have in their errors.
  void describe(int k, dali::TensorList<dali::CPUBackend>& encoded,
                dali::TensorList<dali::CPUBackend>& labels) const {
    labels.mutable_tensor<std::int32_t>(k)[0] = table_->labels[ids_[k]];
    encoded.SetSourceInfo(k, table_->path(ids_[k]));
  }

  // Gives out the images where they lie in the pack. Not on pipelines with a GPU, which want them
  // in memory that they have allocated.
  void share(dali::TensorList<dali::CPUBackend>& encoded) const {
    const int count = static_cast<int>(ids_.size());
    if (count && !table_->packed->is_whole()) fail_cut(ids_[0]);
    encoded.Reset();
    encoded.set_pinned(false);
    encoded.SetContiguity(dali::BatchContiguity::Noncontiguous);
    encoded.set_type(kUint8);
    encoded.set_sample_dim(1);
    encoded.SetSize(count);
    for (int k = 0; k < count; ++k) {
      const std::int64_t size = packed_size(ids_[k]);
      auto* image = const_cast<std::uint8_t*>(packed_image(ids_[k], size));
      encoded.SetSample(k, std::shared_ptr<void>(table_, image), size, false, {size}, kUint8,
                        dali::CPU_ONLY_DEVICE_ID, dali::AccessOrder::host());
    }
  }

  void copy(std::int64_t id, std::int64_t size, std::uint8_t* to) const {
    if (!table_->packed) {
      read_file(*table_, id, to, size);
    } else if (table_->packed->read(to, size, table_->offsets[id]) != size) {
      fail_cut(id);
    }
    check_whole(id, to, size);
  }

  const std::uint8_t* packed_image(std::int64_t id, std::int64_t size) const {
    const std::uint8_t* image = table_->packed->data() + table_->offsets[id];
    check_whole(id, image, size);
    return image;
  }

  [[noreturn]] void fail_cut(std::int64_t id) const {
    fail(*table_, id, "the pack was cut short since it was opened");
  }

  std::int64_t packed_size(std::int64_t id) const {
    return table_->offsets[id + 1] - table_->offsets[id];
  }

  void check_whole(std::int64_t id, const std::uint8_t* image, std::int64_t size) const {
    if (jpeg::is_cut_short(image, size)) fail(*table_, id, "a JPEG that ends too soon");
  }

  // One system call per sample and run, instead of one per sample and epoch. Atomic, as an id that
  // is drawn twice may be looked up by two threads.
  std::int64_t size_of(std::int64_t id) {
    if (table_->packed) return packed_size(id);
    if (const std::uint32_t known = known_sizes_[id].load(std::memory_order_relaxed)) return known;
    const std::int64_t size = size_on_disk(*table_, id);
    if (size <= std::numeric_limits<std::uint32_t>::max()) {
      known_sizes_[id].store(static_cast<std::uint32_t>(size), std::memory_order_relaxed);
    }
    return size;
  }

  const std::shared_ptr<const Table> table_;
  std::vector<std::atomic<std::uint32_t>> known_sizes_;  // 0: not looked up yet, or larger
  const bool shares_;
  std::vector<std::int64_t> ids_, sizes_;
};

}  // namespace
}  // namespace dynsample

extern "C" {

// Describes samples to this process, as in Table; `starts` has size + 1 entries. With a pack, its
// images begin at `packed_at`, and `offsets` has size + 1 entries. Gives a handle, or -1 when the
// pack cannot be mapped, or has not all that its offsets say; and in `kept` where the copies of
// paths, starts, labels and offsets are, until the handle is removed.
std::int64_t dynsample_add_table(const char* paths, const std::int64_t* starts,
                                 const std::int32_t* labels, std::int64_t size, const char* pack,
                                 std::int64_t packed_at, const std::int64_t* offsets,
                                 const void** kept) try {
  using namespace dynsample;
  check_bounds(starts, size);
  if (pack) check_bounds(offsets, size);
  if (size && paths[starts[size] - 1]) throw std::invalid_argument("paths must end in a NUL byte");
  auto table = std::make_shared<Table>();
  table->paths.assign(paths, paths + starts[size]);
  table->starts.assign(starts, starts + size + 1);
  table->labels.assign(labels, labels + size);
  if (pack) {
    table->offsets.assign(offsets, offsets + size + 1);
    table->packed = std::make_unique<Mapping>(pack, packed_at, packed_at + offsets[size]);
  }
  kept[0] = table->paths.data();
  kept[1] = table->starts.data();
  kept[2] = table->labels.data();
  kept[3] = table->offsets.data();
  const std::lock_guard<std::mutex> lock(tables_mutex);
  tables[next_handle] = std::move(table);
  return next_handle++;
} catch (const std::exception&) {
  return -1;
}

void dynsample_remove_table(std::int64_t handle) {
  const std::lock_guard<std::mutex> lock(dynsample::tables_mutex);
  dynsample::tables.erase(handle);
}

}  // extern "C"

namespace dynsample {

using namespace dali;

DALI_REGISTER_OPERATOR(dynsample__Read, Read, ::dali::CPU);

DALI_SCHEMA(dynsample__Read)
    .DocStr("Encoded bytes and labels of samples, by their ids.")
    .NumInput(1)
    .NumOutput(2)
    .AddArg("table", "Handle of the samples.", kInt64);

}  // namespace dynsample
