// Threads that append while another one closes, matches, folds and changes what is allowed, as
// training does at the end of every epoch. Every observation is folded once. Compiled with
// -fsanitize=thread by test_sanitized_threads.py.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "core/fold.h"
#include "core/log.h"
#include "core/match.h"
#include "core/parallel.h"

using namespace dynsample;

namespace {

constexpr std::size_t kRows = 5000, kBatch = 100, kBatches = 2000, kAppenders = 2;

std::atomic<std::size_t> at_work{kAppenders};

void append_all(ObservationLog& log) {
  std::vector<std::int64_t> ids(kBatch);
  const std::vector<float> loss(kBatch, 1.0f);
  const float* const signals[] = {loss.data()};
  std::vector<float> weights(kBatch);
  for (std::size_t batch = 0; batch < kBatches; ++batch) {
    std::iota(ids.begin(), ids.end(), batch * kBatch % kRows);
    log.append(std::span<const std::int64_t>(ids), signals);
    log.weights(std::span<const std::int64_t>(ids), {}, weights);
  }
  --at_work;
}

struct Table {
  std::vector<double> sum = std::vector<double>(kRows);
  std::vector<std::uint32_t> count = std::vector<std::uint32_t>(kRows);
  std::vector<std::uint8_t> seen = std::vector<std::uint8_t>(kRows);
  const Column column{0, MeanColumn{sum.data(), count.data()}};

  void end_epoch(ObservationLog& log, std::span<const std::uint32_t> issued) {
    log.close();
    {
      const ObservationLog::Reading reading = log.reading();
      std::vector<std::int64_t> places(log.closed().size());
      all_issued(issued, log.closed().rows(), kRows, false);
      match(issued, log.closed().rows(), kRows, places);
    }
    const Portion portion{{&column, 1}, {}};
    fold(log, {&portion, 1}, seen);
  }
};

}  // namespace

int main() {
  set_num_threads(3);
  ObservationLog log(kRows, 1, std::size_t{1} << 30);
  Table table;
  std::vector<std::uint32_t> issued(kRows);
  std::iota(issued.begin(), issued.end(), 0);

  std::vector<std::thread> appenders;
  for (std::size_t a = 0; a < kAppenders; ++a) appenders.emplace_back(append_all, std::ref(log));
  std::vector<std::uint8_t> masks[2] = {std::vector<std::uint8_t>(kRows, 1),
                                        std::vector<std::uint8_t>(kRows, 1)};
  for (std::size_t epoch = 0; at_work; ++epoch) {
    log.set_allowed(masks[epoch % 2]);
    std::fill(masks[1 - epoch % 2].begin(), masks[1 - epoch % 2].end(), 1);  // nobody reads it
    std::vector<std::int32_t> row_of(kRows);
    std::iota(row_of.begin(), row_of.end(), 0);
    log.set_rows(row_of);
    table.end_epoch(log, issued);
    if (log.size() > kAppenders * kBatches * kBatch) return 1;
  }
  for (std::thread& appender : appenders) appender.join();
  table.end_epoch(log, issued);

  const auto folded = std::accumulate(table.count.begin(), table.count.end(), std::size_t{0});
  const std::size_t appended = kAppenders * kBatches * kBatch;
  std::printf("%zu of %zu observations are in the table\n", folded, appended);
  const bool right = folded == appended && log.num_folded() == appended && log.size() == 0;
  log.clear();
  return right && log.num_folded() == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
