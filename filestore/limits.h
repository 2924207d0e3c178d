#pragma once
#include <cstddef>
#include <cstdint>

/// Every bound of the store, with its reason.
namespace spirula::filestore::limits {

/// Of an object's data. Ceph's own default is 128 MiB (osd_max_object_size); a file system on top uses 4 MiB.
inline constexpr std::uint64_t object_size_max = std::uint64_t{1} << 40;
/// Of name space + key + name once escaped: they must fit an xattr of a 16 KiB btrfs leaf and an index key.
inline constexpr std::size_t object_name_bytes_max = 12 * 1024;
/// Of an attribute's name.
inline constexpr std::size_t attribute_name_bytes_max = 4096;
/// Of one object's attributes together: they live in one index value, rewritten when one changes.
inline constexpr std::size_t attributes_bytes_max = 1 << 20;
/// Of one transaction's encoding: 64 MiB of omap value and what goes with it. A quarter of the journal bounds it too.
inline constexpr std::size_t transaction_bytes_max = 80 << 20;

}  // namespace spirula::filestore::limits
