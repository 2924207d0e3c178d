#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/codec.h"
#include "base/result.h"

namespace spirula::crush {

/// A device (>= 0: the OSD's number) or a bucket (< 0: slot -1 - id of the map). Plain, because CRUSH hashes it.
using ItemId = std::int32_t;
/// 16.16 fixed point; 0x10000 is one unit, by habit one TiB.
using Weight = std::uint32_t;

inline constexpr Weight weight_one = 0x10000;
/// Ceph: CRUSH_ITEM_NONE, a position of an indep rule that could not be filled.
inline constexpr ItemId item_none = 0x7fffffff;

constexpr bool is_bucket(ItemId id) {
  return id < 0;
}
constexpr std::size_t slot_of(ItemId bucket) {
  return static_cast<std::size_t>(-1 - static_cast<std::int64_t>(bucket));
}
constexpr ItemId bucket_at(std::size_t slot) {
  return static_cast<ItemId>(-1 - static_cast<std::int64_t>(slot));
}

/// How a bucket picks one of its items. Ceph: CRUSH_BUCKET_*.
enum class Algorithm : std::uint8_t { uniform = 1, list = 2, tree = 3, straw = 4, straw2 = 5 };
/// "straw2" and the like; "unknown" for a value that is none of them.
std::string_view name_of(Algorithm algorithm);
std::optional<Algorithm> algorithm_by_name(std::string_view name);

/// An inner node of the hierarchy: items, their weights, and the way to pick one. Ceph: crush_bucket and its five
/// kinds. Invariant, kept by assign() and demanded of decoded buckets by well_formed(): the arrays fit the items.
struct Bucket {
  ItemId id = 0;
  std::uint16_t type = 0;  ///< a key of CrushMap::type_names, never 0 (devices)
  Algorithm algorithm = Algorithm::straw2;
  std::uint8_t hash = 0;  ///< hash_rjenkins1
  Weight weight = 0;      ///< of all items
  std::vector<ItemId> items;
  /// Per item; for a uniform bucket empty (see uniform_weight), for a tree bucket empty (see derived).
  std::vector<Weight> weights;
  Weight uniform_weight = 0;
  /// list: sums of weights 0..i; straw: straw lengths; tree: node weights, item i at node 2i + 1. Clients draw with
  /// these, so a decoded bucket keeps them as they came.
  std::vector<std::uint32_t> derived;

  friend bool operator==(const Bucket&, const Bucket&) = default;

  std::size_t size() const { return items.size(); }
  Weight item_weight(std::size_t position) const;
  std::vector<Weight> item_weights() const;
  /// The position of an item; size() if it is not here.
  std::size_t position_of(ItemId item) const;
  bool contains(ItemId item) const { return position_of(item) < size(); }

  /// Replaces items and weights, and computes everything that depends on them. `straw_calc_version` is the map's
  /// tunable. Errc::invalid: unequal weights in a uniform bucket, or more items than a tree can hold. Errc::overflow:
  /// the weights add up to more than 32 bits. On error nothing has changed.
  Result<> assign(std::vector<ItemId> new_items, const std::vector<Weight>& new_weights,
                  std::uint8_t straw_calc_version);

  /// Draws one item for input `x` and draw number `r`; deterministic, and the same in every client. A straw2 bucket
  /// uses `ids` and `weights_override` instead of its own where they are not empty (a choose_args entry).
  /// The bucket must not be empty. `permutation` is scratch that the caller keeps between calls.
  ItemId draw(std::uint32_t x, std::uint32_t r, std::span<const ItemId> ids, std::span<const Weight> weights_override,
              std::vector<std::uint32_t>& permutation) const;
  /// The draw of a uniform bucket, and the fallback of old tunables: position r of a permutation seeded with x.
  ItemId draw_permuted(std::uint32_t x, std::uint32_t r, std::vector<std::uint32_t>& permutation) const;

  /// True if the arrays have the sizes the algorithm needs, so that draw() stays inside them.
  bool well_formed() const;

  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
};

namespace limits {
/// A tree bucket's node count is one byte on the wire, so seven levels.
inline constexpr std::size_t tree_items_max = 64;
}  // namespace limits

}  // namespace spirula::crush
