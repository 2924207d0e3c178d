#include "crush/edit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "crush/device_classes.h"
#include "crush/draft.h"

namespace spirula::crush {
namespace {

/// The algorithm for new buckets: the best one the tunables allow. Ceph: get_default_bucket_alg.
Result<Algorithm> default_algorithm(const CrushMap& map) {
  for (const auto algorithm :
       {Algorithm::straw2, Algorithm::straw, Algorithm::tree, Algorithm::list, Algorithm::uniform})
    if (map.tunables.allowed_bucket_algs >> static_cast<unsigned>(algorithm) & 1) return algorithm;
  return Errc::invalid;
}

Result<ItemId> make_bucket(CrushMap& map, std::string_view name, std::int32_t type) {
  if (type <= 0 || type > std::numeric_limits<std::uint16_t>::max()) return Errc::invalid;
  TRY(const Algorithm algorithm, default_algorithm(map));
  TRY(const ItemId id, draft::place_bucket(map));
  map.buckets[slot_of(id)] = Bucket{.id = id, .type = static_cast<std::uint16_t>(type), .algorithm = algorithm};
  map.item_names[id] = name;
  return id;
}

/// The location's types, lowest first, with the names of the buckets.
Result<std::vector<std::pair<std::int32_t, std::string>>> by_type(const CrushMap& map, const Location& location) {
  std::vector<std::pair<std::int32_t, std::string>> levels;
  for (const auto& [type_name, bucket_name] : location) {
    const auto type = map.type_by_name(type_name);
    if (!type || *type == 0 || !is_valid_name(bucket_name)) return Errc::invalid;
    levels.emplace_back(*type, bucket_name);
  }
  std::ranges::sort(levels);
  return levels;
}

/// insert_item on a draft.
Result<> insert(CrushMap& map, ItemId item, Weight weight, std::string_view name, const Location& location) {
  if (!is_valid_name(name)) return Errc::invalid;
  TRY(const auto levels, by_type(map, location));
  if (levels.empty()) return Errc::invalid;
  if (const auto known = map.item_by_name(name); known && *known != item) return Errc::exists;
  map.item_names.try_emplace(item, name);

  ItemId below = item;
  for (const auto& [type, bucket_name] : levels) {
    auto here = map.item_by_name(bucket_name);
    const bool existed = here.has_value();
    if (existed) {
      if (!map.bucket(*here) || map.bucket(*here)->type != type) return Errc::invalid;
      if (map.subtree_contains(*here, below)) return Errc::invalid;
      if (map.subtree_contains(below, *here)) return Errc::loop;
    } else {
      TRY(here, make_bucket(map, bucket_name, type));
    }
    TRY(draft::add_to_bucket(map, *here, below));
    if (existed) break;
    below = *here;
  }
  return draft::set_weight(map, *map.item_by_name(levels.front().second), item, weight);
}

/// Takes an item out of the real buckets at or below `ancestor`, or out of all. False if none held it.
Result<bool> detach(CrushMap& map, ItemId item, std::optional<ItemId> ancestor) {
  bool found = false;
  for (const auto holder : draft::holders_of(map, item)) {
    if (ancestor && !map.subtree_contains(*ancestor, holder)) continue;
    TRY(draft::remove_from_bucket(map, holder, item));
    found = true;
  }
  return found;
}

/// Rules hold on to the buckets they take, by themselves or by a shadow.
bool is_taken(const CrushMap& map, ItemId bucket) {
  for (std::size_t rule = 0; rule < map.rules.size(); ++rule) {
    for (const auto take : map.takes_of(static_cast<std::int32_t>(rule))) {
      if (take == bucket) return true;
      const auto shadows = map.class_buckets.find(bucket);
      if (shadows != map.class_buckets.end() &&
          std::ranges::any_of(shadows->second, [&](const auto& entry) { return entry.second == take; }))
        return true;
    }
  }
  return false;
}

}  // namespace

Result<Location> parse_location(std::span<const std::string> words) {
  Location location;
  for (const auto& word : words) {
    const auto equals = word.find('=');
    if (equals == word.npos || equals == 0 || equals + 1 == word.size()) return Errc::invalid;
    location[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return location;
}

Result<Weight> to_weight(double weight) {
  if (std::isnan(weight) || weight < 0) return Errc::invalid;
  if (weight * weight_one > std::numeric_limits<Weight>::max()) return Errc::overflow;
  return static_cast<Weight>(weight * weight_one);
}

Result<ItemId> add_bucket(CrushMap& map, std::string_view name, std::string_view type, const Location& location) {
  if (!is_valid_name(name)) return Errc::invalid;
  if (map.item_by_name(name)) return Errc::exists;
  const auto type_id = map.type_by_name(type);
  if (!type_id) return Errc::invalid;
  ItemId id = 0;
  TRY(draft::atomically(map, [&](CrushMap& next) -> Result<> {
    TRY(id, make_bucket(next, name, *type_id));
    if (!location.empty()) TRY(insert(next, id, 0, name, location));
    return {};
  }));
  return id;
}

Result<> insert_item(CrushMap& map, ItemId item, Weight weight, std::string_view name, const Location& location) {
  return draft::atomically(map, [&](CrushMap& next) { return insert(next, item, weight, name, location); });
}

bool is_at(const CrushMap& map, ItemId item, const Location& location) {
  const auto levels = by_type(map, location);
  if (!levels || levels->empty()) return false;
  const auto lowest = map.item_by_name(levels->front().second);
  const Bucket* here = lowest ? map.bucket(*lowest) : nullptr;
  return here && here->contains(item);
}

Result<bool> update_item(CrushMap& map, ItemId item, Weight weight, std::string_view name, const Location& location) {
  TRY(const auto levels, by_type(map, location));
  if (!is_at(map, item, location)) {
    TRY(draft::atomically(map, [&](CrushMap& next) -> Result<> {
      TRY(detach(next, item, std::nullopt));
      return insert(next, item, weight, name, location);
    }));
    return true;
  }
  const ItemId lowest = *map.item_by_name(levels.front().second);
  const Bucket& here = *map.bucket(lowest);
  if (map.item_name(item) == name && here.item_weight(here.position_of(item)) == weight) return false;
  if (!is_valid_name(name)) return Errc::invalid;
  if (const auto known = map.item_by_name(name); known && *known != item) return Errc::exists;
  TRY(draft::atomically(map, [&](CrushMap& next) -> Result<> {
    next.item_names[item] = name;
    return draft::set_weight(next, lowest, item, weight);
  }));
  return true;
}

Result<bool> create_or_move_item(CrushMap& map, ItemId item, Weight weight, std::string_view name,
                                 const Location& location) {
  if (is_at(map, item, location)) return false;
  return update_item(map, item, map.weight_of(item).value_or(weight), name, location);
}

Result<bool> move_item(CrushMap& map, ItemId item, const Location& location) {
  if (!map.item_names.contains(item) || map.is_shadow(item)) return Errc::not_found;
  return create_or_move_item(map, item, 0, std::string(map.item_name(item)), location);
}

Result<> link_bucket(CrushMap& map, ItemId bucket, const Location& location) {
  if (!map.bucket(bucket) || map.is_shadow(bucket)) return Errc::not_found;
  return insert_item(map, bucket, map.bucket(bucket)->weight, std::string(map.item_name(bucket)), location);
}

Result<> remove_item(CrushMap& map, ItemId item, std::optional<ItemId> ancestor) {
  if (is_bucket(item)) {
    const Bucket* bucket = map.bucket(item);
    if (!bucket || map.is_shadow(item)) return Errc::not_found;
    if (bucket->size()) return Errc::not_empty;
    if (is_taken(map, item)) return Errc::busy;
  }
  return draft::atomically(map, [&](CrushMap& next) -> Result<> {
    TRY(const bool found, detach(next, item, ancestor));
    if (!found && (ancestor || !next.item_names.contains(item))) return Errc::not_found;
    if (!draft::holders_of(next, item).empty()) return {};
    if (is_bucket(item)) {
      draft::erase_bucket(next, item);
    } else {
      next.item_names.erase(item);
      next.item_classes.erase(item);
    }
    return {};
  });
}

Result<> unlink_bucket(CrushMap& map, ItemId bucket, std::optional<ItemId> ancestor) {
  if (!map.bucket(bucket) || map.is_shadow(bucket)) return Errc::not_found;
  return draft::atomically(map, [&](CrushMap& next) -> Result<> {
    TRY(const bool found, detach(next, bucket, ancestor));
    if (!found) return Errc::not_found;
    return {};
  });
}

Result<> reweight_item(CrushMap& map, ItemId item, Weight weight) {
  const auto holders = draft::holders_of(map, item);
  if (holders.empty()) return Errc::not_found;
  return draft::atomically(map, [&](CrushMap& next) -> Result<> {
    for (const auto holder : holders) TRY(draft::set_weight(next, holder, item, weight));
    return {};
  });
}

Result<> reweight_subtree(CrushMap& map, ItemId bucket, Weight weight) {
  if (!map.bucket(bucket) || map.is_shadow(bucket)) return Errc::not_found;
  return draft::atomically(map, [&](CrushMap& next) -> Result<> {
    std::vector<std::pair<ItemId, ItemId>> places;
    for (const Bucket* here : next.buckets_under(bucket))
      for (const auto item : here->items)
        if (!is_bucket(item)) places.emplace_back(here->id, item);
    for (const auto& [here, item] : places) TRY(draft::set_weight(next, here, item, weight));
    return {};
  });
}

Result<> reweight_all(CrushMap& map) {
  return draft::atomically(map, [](CrushMap& next) -> Result<> {
    for (const auto root : next.roots()) {
      // Children come after their parents, so from the back every bucket's own weight is right before it is used.
      const auto below = next.buckets_under(root);
      std::vector<ItemId> order;
      for (const Bucket* here : below) order.push_back(here->id);
      std::ranges::reverse(order);
      for (const auto id : order)
        for (const auto item : std::vector(next.bucket(id)->items))
          if (is_bucket(item)) TRY(draft::set_weight(next, id, item, next.bucket(item)->weight));
    }
    return {};
  });
}

Result<> rename_bucket(CrushMap& map, std::string_view from, std::string_view to) {
  const auto id = map.item_by_name(from);
  if (!id || map.is_shadow(*id)) return Errc::not_found;
  if (!is_bucket(*id)) return Errc::not_directory;
  if (map.item_by_name(to)) return Errc::exists;
  if (!is_valid_name(to)) return Errc::invalid;
  return draft::atomically(map, [&](CrushMap& next) -> Result<> {
    next.item_names[*id] = to;
    return {};
  });
}

}  // namespace spirula::crush
