#pragma once

#include <cstdint>

namespace spirula::crush {

/// 2^44 * log2(value + 1) for a value in [0, 0xffff], in the fixed-point arithmetic (and with the errors) of
/// Ceph's crush_ln, because straw2 draws are compared bit for bit. Ceph: crush_ln, crush_ln_table.h.
std::uint64_t ln(std::uint32_t value);

}  // namespace spirula::crush
