#pragma once

#include <cstdint>
#include <string_view>

namespace spirula::crush {

/// Hashes of object and directory-entry names. Values are on the wire (pg_pool_t::object_hash, the directory
/// layout's dl_dir_hash). Ceph: CEPH_STR_HASH_*.
enum class StringHash : std::uint8_t { linux_dcache = 1, rjenkins = 2 };

/// Jenkins' hash of a byte string. Ceph: ceph_str_hash_rjenkins.
std::uint32_t hash_rjenkins(std::string_view bytes);

/// The Linux dcache's old name hash, used by the first directory layouts. Ceph: ceph_str_hash_linux.
std::uint32_t hash_linux_dcache(std::string_view bytes);

/// The hash a wire value names; an unknown one gives 0xffffffff, as everywhere in Ceph.
std::uint32_t hash_string(StringHash kind, std::string_view bytes);

/// The smallest 2^n - 1 that covers the values below `count`; 0 for a count of 0 or 1. Ceph: calc_pg_masks.
constexpr std::uint32_t stable_mod_mask(std::uint32_t count) {
  std::uint32_t mask = 0;
  for (std::uint32_t rest = count ? count - 1 : 0; rest; rest >>= 1) mask = (mask << 1) | 1;
  return mask;
}

/// Reduces a hash to [0, count) so that growing `count` by one moves only the values that land in the new slot.
/// `mask` is stable_mod_mask(count). Ceph: ceph_stable_mod.
constexpr std::uint32_t stable_mod(std::uint32_t value, std::uint32_t count, std::uint32_t mask) {
  const std::uint32_t slot = value & mask;
  return slot < count ? slot : value & (mask >> 1);
}

constexpr std::uint32_t stable_mod(std::uint32_t value, std::uint32_t count) {
  return stable_mod(value, count, stable_mod_mask(count));
}

}  // namespace spirula::crush
