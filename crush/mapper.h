#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "crush/crush_map.h"

namespace spirula::crush {

/// Runs a rule for input `x` (a placement group's seed) and returns at most `result_max` items. A firstn rule returns
/// as many as it found, an indep rule leaves item_none where it found none. `reweights` is the OSDMap's vector of
/// 16.16 in/out weights by device: 0 is out, 0x10000 fully in; a device past its end is out. `choose_args` may be null.
/// A rule that does not exist gives nothing. Ceph: crush_do_rule; equal to it on every map it terminates on, see
/// limits::draws_max. Reads the map only, so shards may share it.
std::vector<ItemId> do_rule(const CrushMap& map, std::int32_t rule, std::uint32_t x, std::size_t result_max,
                            std::span<const Weight> reweights, const ChooseArgs* choose_args = nullptr);

/// True if the reweight vector turns this device away for this input. Ceph: is_out.
bool is_out(std::span<const Weight> reweights, ItemId device, std::uint32_t x);

namespace limits {
/// A map can ask for billions of tries. One call of do_rule compares at most this many items; afterwards every draw
/// fails. A full-depth mapping of a 10,000-OSD cluster needs some thousand.
inline constexpr std::uint64_t draws_max = std::uint64_t{1} << 24;
/// No pool is wider.
inline constexpr std::size_t result_max = 4096;
}  // namespace limits

}  // namespace spirula::crush
