#include "crush/draft.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>

namespace spirula::crush::draft {
namespace {

std::uint32_t key_of(ItemId bucket) {
  return static_cast<std::uint32_t>(slot_of(bucket));
}

template <class Change>
void for_each_choose_arg(CrushMap& map, ItemId bucket, Change&& change) {
  for (auto& [pool, args] : map.choose_args)
    if (const auto found = args.find(key_of(bucket)); found != args.end()) change(args, found->second);
}

Result<> set_weight_here(CrushMap& map, ItemId bucket, ItemId item, Weight weight) {
  Bucket& here = *map.bucket(bucket);
  auto weights = here.item_weights();
  const std::size_t position = here.position_of(item);
  // All items of a uniform bucket weigh the same, so setting one sets all.
  if (here.algorithm == Algorithm::uniform) std::ranges::fill(weights, weight);
  weights[position] = weight;
  TRY(here.assign(here.items, weights, map.tunables.straw_calc_version));
  for_each_choose_arg(map, bucket, [&](ChooseArgs& args, ChooseArg& arg) {
    for (std::size_t i = 0; i < arg.weight_sets.size(); ++i)
      arg.weight_sets[i][position] = is_bucket(item) ? weight_in_set(args, item, i).value_or(weight) : weight;
  });
  return {};
}

/// Carries a bucket's new weight to the buckets that hold it.
Result<> propagate(CrushMap& map, ItemId bucket) {
  for (const auto holder : holders_of(map, bucket)) TRY(set_weight(map, holder, bucket, map.bucket(bucket)->weight));
  return {};
}

}  // namespace

void count_devices(CrushMap& map) {
  map.max_devices = 0;
  for (const auto& bucket : map.buckets)
    if (bucket)
      for (const auto item : bucket->items)
        if (!is_bucket(item)) map.max_devices = std::max(map.max_devices, item + 1);
}

Result<ItemId> place_bucket(CrushMap& map, std::optional<ItemId> id) {
  if (!id) {
    const auto free = std::ranges::find_if(map.buckets, [](const auto& bucket) { return !bucket; });
    id = bucket_at(static_cast<std::size_t>(free - map.buckets.begin()));
  }
  const std::size_t slot = slot_of(*id);
  if (slot >= limits::bucket_slots_max) return Errc::too_large;
  std::size_t slots = map.buckets.size();
  while (slot >= slots) slots = slots ? slots * 2 : 8;
  map.buckets.resize(slots);
  if (map.buckets[slot]) return Errc::exists;
  return *id;
}

void erase_bucket(CrushMap& map, ItemId id) {
  map.buckets[slot_of(id)].reset();
  map.item_names.erase(id);
  map.item_classes.erase(id);
  map.class_buckets.erase(id);
  for (auto& [pool, args] : map.choose_args) args.erase(key_of(id));
}

std::vector<ItemId> holders_of(const CrushMap& map, ItemId item) {
  std::vector<ItemId> holders;
  for (const auto& bucket : map.buckets)
    if (bucket && !map.is_shadow(bucket->id) && bucket->contains(item)) holders.push_back(bucket->id);
  return holders;
}

Result<> add_to_bucket(CrushMap& map, ItemId bucket, ItemId item) {
  Bucket& here = *map.bucket(bucket);
  auto items = here.items;
  auto weights = here.item_weights();
  items.push_back(item);
  // A uniform bucket has one weight for all, so a new item starts with it.
  const bool shares = here.algorithm == Algorithm::uniform && !weights.empty();
  weights.push_back(shares ? here.uniform_weight : 0);
  TRY(here.assign(std::move(items), weights, map.tunables.straw_calc_version));
  for_each_choose_arg(map, bucket, [&](ChooseArgs&, ChooseArg& arg) {
    for (auto& set : arg.weight_sets) set.push_back(0);
    if (!arg.ids.empty()) arg.ids.push_back(item);
  });
  return propagate(map, bucket);
}

Result<> remove_from_bucket(CrushMap& map, ItemId bucket, ItemId item) {
  Bucket& here = *map.bucket(bucket);
  auto items = here.items;
  auto weights = here.item_weights();
  const auto position = static_cast<std::ptrdiff_t>(here.position_of(item));
  items.erase(items.begin() + position);
  weights.erase(weights.begin() + position);
  TRY(here.assign(std::move(items), weights, map.tunables.straw_calc_version));
  for_each_choose_arg(map, bucket, [&](ChooseArgs&, ChooseArg& arg) {
    for (auto& set : arg.weight_sets) set.erase(set.begin() + position);
    if (!arg.ids.empty()) arg.ids.erase(arg.ids.begin() + position);
  });
  return propagate(map, bucket);
}

Result<> set_weight(CrushMap& map, ItemId bucket, ItemId item, Weight weight) {
  TRY(set_weight_here(map, bucket, item, weight));
  return propagate(map, bucket);
}

std::optional<Weight> weight_in_set(const ChooseArgs& args, ItemId bucket, std::size_t position) {
  const auto found = args.find(key_of(bucket));
  if (found == args.end() || found->second.weight_sets.empty()) return std::nullopt;
  const auto& sets = found->second.weight_sets;
  const auto& set = sets[std::min(position, sets.size() - 1)];
  const auto sum = std::accumulate(set.begin(), set.end(), std::uint64_t{0});
  return static_cast<Weight>(std::min<std::uint64_t>(sum, std::numeric_limits<Weight>::max()));
}

}  // namespace spirula::crush::draft
