#include "crush/device_classes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "crush/draft.h"

namespace spirula::crush {
namespace {

void drop_dead_classes(CrushMap& map) {
  std::set<std::int32_t> alive;
  for (const auto& [item, id] : map.item_classes)
    if (!is_bucket(item)) alive.insert(id);
  for (std::size_t rule = 0; rule < map.rules.size(); ++rule)
    for (const auto take : map.takes_of(static_cast<std::int32_t>(rule)))
      for (const auto& [original, shadows] : map.class_buckets)
        for (const auto& [id, shadow] : shadows)
          if (shadow == take) alive.insert(id);
  std::erase_if(map.class_names, [&](const auto& entry) { return !alive.contains(entry.first); });
}

/// Builds the shadows of one rebuild.
class ShadowBuilder {
 public:
  explicit ShadowBuilder(CrushMap& map) : map_(map), old_(std::exchange(map.class_buckets, {})) {
    for (const auto& [original, shadows] : old_)
      for (const auto& [id, shadow] : shadows) used_.insert(shadow);
  }

  /// The shadow of a bucket, its children's before its own.
  Result<ItemId> shadow_of(ItemId original, std::int32_t device_class) {
    if (const auto known = map_.class_buckets.find(original); known != map_.class_buckets.end())
      if (const auto it = known->second.find(device_class); it != known->second.end()) return it->second;

    const Bucket source = *map_.bucket(original);
    Bucket shadow{.type = source.type, .algorithm = source.algorithm, .hash = source.hash};
    std::vector<ItemId> items;
    std::vector<Weight> weights;
    std::vector<std::size_t> origins;  // positions in the source
    for (std::size_t i = 0; i < source.size(); ++i) {
      const ItemId item = source.items[i];
      if (is_bucket(item)) {
        TRY(const ItemId child, shadow_of(item, device_class));
        items.push_back(child);
        weights.push_back(map_.bucket(child)->weight);
      } else if (const auto it = map_.item_classes.find(item);
                 it != map_.item_classes.end() && it->second == device_class) {
        items.push_back(item);
        weights.push_back(source.item_weight(i));
      } else {
        continue;
      }
      origins.push_back(i);
    }
    TRY(shadow.assign(items, weights, map_.tunables.straw_calc_version));
    TRY(shadow.id, draft::place_bucket(map_, choose_id(original, device_class)));
    map_.buckets[slot_of(shadow.id)] = shadow;
    map_.item_classes[shadow.id] = device_class;
    map_.item_names[shadow.id] = fmt::format("{}~{}", map_.item_name(original), map_.class_name(device_class));
    map_.class_buckets[original][device_class] = shadow.id;
    for (auto& [pool, args] : map_.choose_args) copy_weight_sets(args, original, shadow, origins);
    return shadow.id;
  }

 private:
  /// The id it had, else the first that neither a bucket has nor an earlier shadow had.
  ItemId choose_id(ItemId original, std::int32_t device_class) const {
    if (const auto known = old_.find(original); known != old_.end())
      if (const auto it = known->second.find(device_class); it != known->second.end()) return it->second;
    ItemId id = -1;
    while (map_.bucket(id) || used_.contains(id)) --id;
    return id;
  }

  static void copy_weight_sets(ChooseArgs& args, ItemId original, const Bucket& shadow,
                               const std::vector<std::size_t>& origins) {
    const auto source = args.find(static_cast<std::uint32_t>(slot_of(original)));
    if (source == args.end() || source->second.weight_sets.empty()) return;
    std::vector<std::vector<Weight>> sets;
    for (std::size_t position = 0; position < source->second.weight_sets.size(); ++position) {
      auto& set = sets.emplace_back();
      for (std::size_t i = 0; i < shadow.size(); ++i)
        set.push_back(is_bucket(shadow.items[i])
                          ? draft::weight_in_set(args, shadow.items[i], position).value_or(shadow.item_weight(i))
                          : source->second.weight_sets[position][origins[i]]);
    }
    args[static_cast<std::uint32_t>(slot_of(shadow.id))].weight_sets = std::move(sets);
  }

  CrushMap& map_;
  const std::map<ItemId, std::map<std::int32_t, ItemId>> old_;
  std::set<ItemId> used_;
};

}  // namespace

Result<> rebuild_class_shadows(CrushMap& map) {
  drop_dead_classes(map);
  std::vector<ItemId> shadows;
  for (const auto& bucket : map.buckets) {
    if (!bucket) continue;
    if (map.is_shadow(bucket->id))
      shadows.push_back(bucket->id);
    else if (std::ranges::any_of(bucket->items, [&](ItemId item) { return map.is_shadow(item); }))
      return Errc::invalid;
  }
  const auto old = map.class_buckets;
  for (const auto shadow : shadows) draft::erase_bucket(map, shadow);
  map.class_buckets = old;
  ShadowBuilder builder(map);
  for (const auto root : map.roots())
    for (const auto& [id, name] : std::map(map.class_names)) TRY(builder.shadow_of(root, id));
  return {};
}

Result<bool> set_device_class(CrushMap& map, ItemId device, std::string_view name) {
  if (is_bucket(device) || !map.item_names.contains(device)) return Errc::not_found;
  if (!is_valid_name(name)) return Errc::invalid;
  if (map.item_class(device) == name) return false;
  if (!map.item_class(device).empty()) return Errc::busy;
  TRY(draft::atomically(map, [&](CrushMap& next) -> Result<> {
    auto id = next.class_by_name(name);
    if (!id) {
      id = next.class_names.empty() ? 0 : next.class_names.rbegin()->first + 1;
      next.class_names[*id] = name;
    }
    next.item_classes[device] = *id;
    return {};
  }));
  return true;
}

Result<bool> remove_device_class(CrushMap& map, ItemId device) {
  if (is_bucket(device) || !map.item_names.contains(device)) return Errc::not_found;
  if (!map.item_classes.contains(device)) return false;
  TRY(draft::atomically(map, [&](CrushMap& next) -> Result<> {
    next.item_classes.erase(device);
    return {};
  }));
  return true;
}

Result<> rename_device_class(CrushMap& map, std::string_view from, std::string_view to) {
  const auto id = map.class_by_name(from);
  if (!id) return Errc::not_found;
  if (!is_valid_name(to)) return Errc::invalid;
  if (map.class_by_name(to)) return Errc::exists;
  return draft::atomically(map, [&](CrushMap& next) -> Result<> {
    next.class_names[*id] = to;
    return {};
  });
}

}  // namespace spirula::crush
