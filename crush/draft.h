#pragma once

#include <cstddef>
#include <optional>
#include <utility>

#include "crush/crush_map.h"
#include "crush/device_classes.h"

/// The steps that edits of a map are made of (edit.h, rules.h, device_classes.h). They keep bucket weights, weight sets
/// and names in step with one another, but leave shadows to rebuild_class_shadows().
namespace spirula::crush::draft {

/// One more than the highest device in a bucket, which is what Ceph's decoder sets it to (crush_finalize).
void count_devices(CrushMap& map);

/// Runs `change` on a copy of the map, settles what depends on it (class shadows, max_devices), and puts the copy in
/// place of the map if all went well: an edit happens whole or not at all.
template <class Change>
Result<> atomically(CrushMap& map, Change&& change) {
  CrushMap next = map;
  TRY(std::forward<Change>(change)(next));
  TRY(rebuild_class_shadows(next));
  count_devices(next);
  map = std::move(next);
  return {};
}

/// Makes room for a bucket: grows the slots (eight, then doubling, as Ceph does) until `id`'s is there. Without an id,
/// the first free slot. Errc::exists: taken; Errc::too_large: limits::bucket_slots_max.
Result<ItemId> place_bucket(CrushMap& map, std::optional<ItemId> id = std::nullopt);
/// Forgets a bucket, its name, class, weight sets and record of shadows.
void erase_bucket(CrushMap& map, ItemId id);

/// Appends an item to a bucket, with weight 0.
Result<> add_to_bucket(CrushMap& map, ItemId bucket, ItemId item);
/// Takes an item out of a bucket and lightens the buckets above.
Result<> remove_from_bucket(CrushMap& map, ItemId bucket, ItemId item);
/// Sets an item's weight in one bucket, and the weights of the bucket and of those above it.
Result<> set_weight(CrushMap& map, ItemId bucket, ItemId item, Weight weight);
/// The real buckets that hold an item.
std::vector<ItemId> holders_of(const CrushMap& map, ItemId item);

/// What a bucket weighs in a weight set; nothing if the set does not cover it.
std::optional<Weight> weight_in_set(const ChooseArgs& args, ItemId bucket, std::size_t position);

}  // namespace spirula::crush::draft
