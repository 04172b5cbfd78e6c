// Access to rows inside the kernels. The template arguments lift the two options out of the loops.
#pragma once

#include "core/order_key.h"
#include "core/rows.h"

namespace dynsample::DYNSAMPLE_ISA_NAME {
namespace {

template <bool kWhere, bool kFinite>
struct RowReader {
  const float* values;
  const std::uint8_t* where;

  explicit RowReader(const Rows& rows) : values(rows.values), where(rows.where) {}

  std::uint32_t bits(std::size_t i) const {
    std::uint32_t word;
    __builtin_memcpy(&word, values + i, sizeof word);
    return word;
  }
  bool takes_part(std::size_t i) const {
    bool yes = true;
    if constexpr (kWhere) yes &= where[i] != 0;
    if constexpr (kFinite) yes &= is_finite_bits(bits(i));
    return yes;
  }
  std::uint32_t key(std::size_t i) const {
    return takes_part(i) ? order_key(bits(i)) : kNotEligibleKey;
  }
};

// Calls body(reader) with the reader of the options of `rows`.
template <class Body>
auto with_reader(const Rows& rows, const Body& body) {
  if (rows.where) {
    return rows.finite_only ? body(RowReader<true, true>(rows))
                            : body(RowReader<true, false>(rows));
  }
  return rows.finite_only ? body(RowReader<false, true>(rows))
                          : body(RowReader<false, false>(rows));
}

}  // namespace
}  // namespace dynsample::DYNSAMPLE_ISA_NAME
