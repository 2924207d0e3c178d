#pragma once
#include <compare>
#include <cstdint>
#include <string>

#include "base/codec.h"

namespace spirula::filestore {

/// An object's full name. Objects are ordered by (pool, bit-reversed hash, namespace, key, name, snap), so that a
/// placement group (a pool and the low bits of the hash) is one contiguous range that splits without moving anything.
struct ObjectId {
  std::int64_t pool = 0;  ///< negative pools hold an OSD's own objects
  std::uint32_t hash = 0;
  std::string name_space;
  std::string key;  ///< locator key; empty when the name itself was hashed
  std::string name;
  std::uint64_t snap = 0;  ///< a SnapId; heads have the highest usable one (CEPH_NOSNAP)

  static void fields(auto& self, auto& wire) {
    wire(self.pool);
    wire(self.hash);
    wire(self.name_space);
    wire(self.key);
    wire(self.name);
    wire(self.snap);
  }
  std::string describe() const;
  friend bool operator==(const ObjectId&, const ObjectId&) = default;
  friend std::strong_ordering operator<=>(const ObjectId& a, const ObjectId& b);
};

/// A range of the object space: the objects of `pool` whose hash agrees with `seed` in its low `bits` bits.
/// A PG of a pool with 2^n groups has n bits; the store itself keeps no more about placement than this.
struct CollectionId {
  std::int64_t pool = 0;
  std::uint32_t seed = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.pool);
    wire(self.seed);
  }
  std::string describe() const;  ///< "3.1f"
  friend auto operator<=>(const CollectionId&, const CollectionId&) = default;
};

}  // namespace spirula::filestore
