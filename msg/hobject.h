#pragma once
#include <compare>
#include <cstdint>
#include <limits>
#include <string>

#include "msg/types.h"

namespace spirula::msg {

/// Ceph: hobject_t. A place in the order in which a pool's objects are listed: an object's full name, or one of the two
/// ends. Order: pool, bit-reversed hash, namespace, effective key, name, snap (Ceph's cmp_bitwise).
struct HObject {
  std::string key;  ///< locator key; empty when the name itself was hashed
  std::string name;
  SnapId snap;
  std::uint32_t hash = 0;
  bool is_max = false;
  std::string name_space;
  std::int64_t pool = std::numeric_limits<std::int64_t>::min();

  static HObject min() { return {}; }
  static HObject max() {
    HObject end;
    end.is_max = true;
    return end;
  }
  bool is_min() const;
  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
  /// "3:1f0c…:ns:key:name:head", as Ceph prints it; "MIN", "MAX".
  std::string describe() const;
  friend bool operator==(const HObject&, const HObject&) = default;
  friend std::strong_ordering operator<=>(const HObject& a, const HObject& b);
};

/// The 32 bits in the opposite order: sorting by it keeps a PG's objects together however often it splits.
std::uint32_t reverse_bits(std::uint32_t value);

}  // namespace spirula::msg
