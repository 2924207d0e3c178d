#pragma once

#include <cstdint>
#include <vector>

namespace spirula::crush {

/// Straw lengths (16.16) for a bucket of the first straw kind, so that the odds of the longest scaled straw follow the
/// weights. `version` is the tunable straw_calc_version: 0 keeps the original's mistakes with zero and equal weights,
/// 1 does not. Floating point, as in Ceph: lengths are computed once by whoever edits the map and then travel with it.
/// Ceph: crush_calc_straw.
std::vector<std::uint32_t> straw_lengths(const std::vector<std::uint32_t>& weights, std::uint8_t version);

}  // namespace spirula::crush
