// What a sound map looks like: navigable() for every decoded map, verify() for one that an operator hands in.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "crush/crush_map.h"

namespace spirula::crush {
namespace {

/// Depth of the deepest bucket of each subtree, 0 while unknown; false once a cycle or too deep a nesting shows.
class DepthProbe {
 public:
  explicit DepthProbe(const CrushMap& map) : map_(map), depths_(map.buckets.size()) {}

  bool bounded(ItemId id, std::size_t above) {
    if (above >= limits::depth_max) return false;  // a cycle ends here as well
    auto& depth = depths_[slot_of(id)];
    if (depth) return above + depth <= limits::depth_max;
    std::size_t below = 0;
    for (const auto child : map_.bucket(id)->items) {
      if (!is_bucket(child)) continue;
      if (!bounded(child, above + 1)) return false;
      below = std::max(below, depths_[slot_of(child)]);
    }
    depth = below + 1;
    return true;
  }

 private:
  const CrushMap& map_;
  std::vector<std::size_t> depths_;
};

using Problem = std::optional<std::string>;

Problem check_names(const CrushMap& map) {
  for (const auto& [names, what] : {std::pair{&map.type_names, "type"}, std::pair{&map.item_names, "item"},
                                    std::pair{&map.rule_names, "rule"}, std::pair{&map.class_names, "class"}}) {
    std::set<std::string_view> seen;
    for (const auto& [id, name] : *names)
      if (!seen.insert(name).second) return fmt::format("{} name '{}' is used twice", what, name);
  }
  for (const auto& [id, name] : map.item_names)
    if (is_bucket(id) && !map.bucket(id)) return fmt::format("'{}' names bucket {}, which does not exist", name, id);
  return {};
}

Problem check_bucket(const CrushMap& map, const Bucket& bucket) {
  const std::string name(map.item_name(bucket.id));
  if (name.empty()) return fmt::format("bucket {} has no name", bucket.id);
  if (bucket.type == 0) return fmt::format("bucket '{}' has the type of a device", name);
  if (map.type_name(bucket.type).empty())
    return fmt::format("bucket '{}' has type {}, which has no name", name, bucket.type);
  if (bucket.hash != 0) return fmt::format("bucket '{}' uses unknown hash {}", name, bucket.hash);
  std::set<ItemId> seen;
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < bucket.size(); ++i) {
    const ItemId item = bucket.items[i];
    if (!seen.insert(item).second) return fmt::format("bucket '{}' holds item {} twice", name, item);
    if (!is_bucket(item) && item >= map.max_devices)
      return fmt::format("bucket '{}' holds device {}, but max_devices is {}", name, item, map.max_devices);
    if (map.is_shadow(item) != map.is_shadow(bucket.id) && is_bucket(item))
      return fmt::format("bucket '{}' holds '{}'; shadows and real buckets do not mix", name, map.item_name(item));
    sum += bucket.item_weight(i);
  }
  if (sum != bucket.weight) return fmt::format("bucket '{}' weighs {}, its items {}", name, bucket.weight, sum);
  return {};
}

Problem check_rule(const CrushMap& map, std::int32_t id, const Rule& rule) {
  const std::string name(map.rule_name(id));
  if (name.empty()) return fmt::format("rule {} has no name", id);
  for (const auto& step : rule.steps) {
    switch (step.op) {
      case Op::take:
        if (is_bucket(step.arg1) ? !map.bucket(step.arg1) : step.arg1 >= map.max_devices)
          return fmt::format("rule '{}' takes item {}, which does not exist", name, step.arg1);
        break;
      case Op::choose_firstn:
      case Op::choose_indep:
      case Op::chooseleaf_firstn:
      case Op::chooseleaf_indep:
        if (step.arg2 != 0 && !map.type_names.contains(step.arg2))
          return fmt::format("rule '{}' chooses type {}, which does not exist", name, step.arg2);
        break;
      default:
        if (name_of(step.op).empty())
          return fmt::format("rule '{}' has unknown step {}", name, static_cast<std::uint32_t>(step.op));
    }
  }
  return {};
}

Problem check_classes(const CrushMap& map) {
  for (const auto& [item, id] : map.item_classes)
    if (!map.class_names.contains(id)) return fmt::format("item {} has class {}, which does not exist", item, id);
  for (const auto& [original, shadows] : map.class_buckets) {
    for (const auto& [id, shadow] : shadows) {
      const std::string expected = fmt::format("{}~{}", map.item_name(original), map.class_name(id));
      if (!map.bucket(original) || !map.bucket(shadow) || map.item_name(shadow) != expected)
        return fmt::format("bucket {} is no shadow of {} for class {}", shadow, original, id);
    }
  }
  return {};
}

}  // namespace

bool CrushMap::navigable() const {
  for (std::size_t slot = 0; slot < buckets.size(); ++slot) {
    if (!buckets[slot]) continue;
    const Bucket& here = *buckets[slot];
    if (here.id != bucket_at(slot) || here.type == 0 || !here.well_formed()) return false;
    for (const auto item : here.items)
      if (is_bucket(item) && !bucket(item)) return false;
  }
  DepthProbe probe(*this);
  return std::ranges::all_of(buckets, [&](const auto& b) { return !b || probe.bounded(b->id, 0); });
}

std::optional<std::string> CrushMap::verify() const {
  if (!navigable()) return "buckets are out of place, contain themselves or refer to buckets that do not exist";
  if (auto problem = check_names(*this)) return problem;
  for (const auto& bucket : buckets)
    if (bucket)
      if (auto problem = check_bucket(*this, *bucket)) return problem;
  for (std::size_t id = 0; id < rules.size(); ++id)
    if (rules[id])
      if (auto problem = check_rule(*this, static_cast<std::int32_t>(id), *rules[id])) return problem;
  return check_classes(*this);
}

}  // namespace spirula::crush
