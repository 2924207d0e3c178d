#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace spirula::librados {

/// How a file's bytes are spread over objects (Ceph: file_layout_t; src/osdc/Striper.cc): stripe units go round
/// `stripe_count` objects until each of them holds `object_size` bytes; then the next set of objects begins.
struct StripeLayout {
  std::uint32_t stripe_unit = 4 << 20;
  std::uint32_t stripe_count = 1;
  std::uint32_t object_size = 4 << 20;
  /// Nothing is zero, units are multiples of 64 KiB, and an object holds a whole number of them (Ceph:
  /// file_layout_t::is_valid).
  bool is_valid() const;
  friend bool operator==(const StripeLayout&, const StripeLayout&) = default;
};

/// A run of bytes in one object and where in the file it belongs.
struct ObjectExtent {
  std::uint64_t object = 0;  ///< its number in the file
  std::uint64_t offset = 0;  ///< in the object
  std::uint64_t length = 0;
  std::uint64_t file_offset = 0;
  friend bool operator==(const ObjectExtent&, const ObjectExtent&) = default;
};

/// The pieces of [offset, offset + length) in file order; neighbours in one object that touch are joined.
/// CHECKs that the layout is valid.
std::vector<ObjectExtent> map_extent(const StripeLayout& layout, std::uint64_t offset, std::uint64_t length);
/// How many objects a file of this size may have touched: their numbers are 0 to count - 1.
std::uint64_t object_count(const StripeLayout& layout, std::uint64_t file_size);
/// How many bytes of object number `object` a file of this size uses.
std::uint64_t object_bytes(const StripeLayout& layout, std::uint64_t object, std::uint64_t file_size);
/// The other way: where the file would end at least, if this object has so many bytes (more than none).
std::uint64_t file_bytes(const StripeLayout& layout, std::uint64_t object, std::uint64_t object_bytes);
/// The name of a file's object: "10000000001.00000002".
std::string object_name(std::uint64_t inode, std::uint64_t object);

}  // namespace spirula::librados
