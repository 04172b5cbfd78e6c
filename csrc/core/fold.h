// The fold: applying a log to the columns, in (row, ticket) order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>

#include "core/columns.h"
#include "core/log.h"

namespace dynsample {

// How often each row may be observed; counted down by the fold. Empty: any number of times.
using Quota = std::variant<std::monostate, std::span<std::uint8_t>, std::span<std::uint32_t>>;

// Applies the log to the columns and marks its rows as seen.
//
// Observations of a row are applied by ascending ticket, equal tickets in call order; without
// tickets (a span of no address) in call order. A ticket below zero drops its observation. Those
// above the quota are dropped too, the last first; their number is returned. The result does not
// depend on the number of threads. Throws std::invalid_argument when sizes differ.
std::size_t fold(ObservationLog& log, std::span<const Column> columns, std::span<std::uint8_t> seen,
                 const Quota& quota, std::span<const std::int64_t> tickets);

}  // namespace dynsample
