#include "crush/dump.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <string>
#include <utility>

#include "crush/edit.h"

namespace spirula::crush {
namespace {

namespace json = boost::json;

/// Whether any rule uses one of these steps.
bool has_step(const CrushMap& map, std::initializer_list<Op> ops) {
  return std::ranges::any_of(map.rules, [&](const auto& rule) {
    return rule && std::ranges::any_of(
                       rule->steps, [&](const RuleStep& step) { return std::ranges::find(ops, step.op) != ops.end(); });
  });
}

/// What a client must understand; Ceph calls the steps "v2" to "v5" rules. JSON has them as 0 or 1.
struct Needs {
  explicit Needs(const CrushMap& map)
      : tunables(map.tunables.choose_local_tries != 2 || map.tunables.choose_local_fallback_tries != 5 ||
                 map.tunables.choose_total_tries != 19),
        tunables2(map.tunables.chooseleaf_descend_once != 0),
        tunables3(map.tunables.chooseleaf_vary_r != 0),
        tunables5(map.tunables.chooseleaf_stable != 0),
        rules2(has_step(map, {Op::choose_indep, Op::chooseleaf_indep, Op::set_choose_tries, Op::set_chooseleaf_tries})),
        rules3(has_step(map, {Op::set_chooseleaf_vary_r})),
        rules5(has_step(map, {Op::set_chooseleaf_stable})),
        buckets4(
            std::ranges::any_of(map.buckets, [](const auto& b) { return b && b->algorithm == Algorithm::straw2; })) {}

  int tunables, tunables2, tunables3, tunables5, rules2, rules3, rules5, buckets4;
};

json::array dump_devices(const CrushMap& map) {
  json::array devices;
  for (std::int32_t id = 0; id < map.max_devices; ++id) {
    json::object device{{"id", id}};
    device["name"] = map.item_names.contains(id) ? std::string(map.item_name(id)) : fmt::format("device{}", id);
    if (!map.item_class(id).empty()) device["class"] = map.item_class(id);
    devices.push_back(std::move(device));
  }
  return devices;
}

json::array dump_types(const CrushMap& map) {
  json::array types;
  if (!map.type_names.contains(0)) types.push_back(json::object{{"type_id", 0}, {"name", "device"}});
  for (const auto& [id, name] : map.type_names) types.push_back(json::object{{"type_id", id}, {"name", name}});
  return types;
}

json::array dump_buckets(const CrushMap& map) {
  json::array buckets;
  for (const auto& bucket : map.buckets) {
    if (!bucket) continue;
    json::array items;
    for (std::size_t i = 0; i < bucket->size(); ++i)
      items.push_back(json::object{{"id", bucket->items[i]}, {"weight", bucket->item_weight(i)}, {"pos", i}});
    buckets.push_back(json::object{{"id", bucket->id},
                                   {"name", map.item_name(bucket->id)},
                                   {"type_id", bucket->type},
                                   {"type_name", map.type_name(bucket->type)},
                                   {"weight", bucket->weight},
                                   {"alg", name_of(bucket->algorithm)},
                                   {"hash", bucket->hash == 0 ? "rjenkins1" : "unknown"},
                                   {"items", std::move(items)}});
  }
  return buckets;
}

json::object dump_choose_args(const CrushMap& map) {
  json::object all;
  for (const auto& [pool, args] : map.choose_args) {
    json::array buckets;
    for (const auto& [slot, arg] : args) {
      json::object entry{{"bucket_id", bucket_at(slot)}};
      if (!arg.weight_sets.empty()) {
        json::array sets;
        for (const auto& set : arg.weight_sets) {
          json::array weights;
          for (const auto weight : set) weights.push_back(from_weight(weight));
          sets.push_back(std::move(weights));
        }
        entry["weight_set"] = std::move(sets);
      }
      if (!arg.ids.empty()) entry["ids"] = json::array(arg.ids.begin(), arg.ids.end());
      buckets.push_back(std::move(entry));
    }
    all[std::to_string(pool)] = std::move(buckets);
  }
  return all;
}

json::object dump_step(const CrushMap& map, const RuleStep& step) {
  switch (step.op) {
    case Op::noop:
    case Op::emit:
      return {{"op", name_of(step.op)}};
    case Op::take:
      return {{"op", name_of(step.op)}, {"item", step.arg1}, {"item_name", map.item_name(step.arg1)}};
    case Op::choose_firstn:
    case Op::choose_indep:
    case Op::chooseleaf_firstn:
    case Op::chooseleaf_indep:
      return {{"op", name_of(step.op)}, {"num", step.arg1}, {"type", map.type_name(step.arg2)}};
    case Op::set_choose_tries:
    case Op::set_chooseleaf_tries:
      return {{"op", name_of(step.op)}, {"num", step.arg1}};
    default:  // Ceph has no names for the rest either
      return {{"opcode", static_cast<std::uint32_t>(step.op)}, {"arg1", step.arg1}, {"arg2", step.arg2}};
  }
}

}  // namespace

std::string_view release_min(const CrushMap& map) {
  const Needs needs(map);
  if (needs.rules5 || needs.tunables5) return "jewel";
  if (needs.buckets4) return "hammer";
  if (needs.tunables3) return "firefly";
  if (needs.tunables2 || needs.tunables) return "bobtail";
  return "argonaut";
}

json::object dump_rule(const CrushMap& map, std::int32_t id) {
  const Rule* rule = map.rule(id);
  if (!rule) return {};
  json::array steps;
  for (const auto& step : rule->steps) steps.push_back(dump_step(map, step));
  return {{"rule_id", id},
          {"rule_name", map.rule_name(id)},
          {"ruleset", rule->ruleset},
          {"type", static_cast<int>(rule->type)},
          {"min_size", rule->size_min},
          {"max_size", rule->size_max},
          {"steps", std::move(steps)}};
}

json::object dump_tunables(const CrushMap& map) {
  const Tunables& tunables = map.tunables;
  const Needs needs(map);
  const auto profile = tunables.profile_name();
  return {{"choose_local_tries", tunables.choose_local_tries},
          {"choose_local_fallback_tries", tunables.choose_local_fallback_tries},
          {"choose_total_tries", tunables.choose_total_tries},
          {"chooseleaf_descend_once", tunables.chooseleaf_descend_once},
          {"chooseleaf_vary_r", tunables.chooseleaf_vary_r},
          {"chooseleaf_stable", tunables.chooseleaf_stable},
          {"straw_calc_version", tunables.straw_calc_version},
          {"allowed_bucket_algs", tunables.allowed_bucket_algs},
          {"profile", profile},
          {"optimal_tunables", static_cast<int>(profile == "jewel")},
          {"legacy_tunables", static_cast<int>(profile == "argonaut")},
          {"minimum_required_version", release_min(map)},
          {"require_feature_tunables", needs.tunables},
          {"require_feature_tunables2", needs.tunables2},
          {"has_v2_rules", needs.rules2},
          {"require_feature_tunables3", needs.tunables3},
          {"has_v3_rules", needs.rules3},
          {"has_v4_buckets", needs.buckets4},
          {"require_feature_tunables5", needs.tunables5},
          {"has_v5_rules", needs.rules5}};
}

json::object dump(const CrushMap& map) {
  json::array rules;
  for (std::size_t id = 0; id < map.rules.size(); ++id)
    if (map.rules[id]) rules.push_back(dump_rule(map, static_cast<std::int32_t>(id)));
  return {{"devices", dump_devices(map)}, {"types", dump_types(map)},       {"buckets", dump_buckets(map)},
          {"rules", std::move(rules)},    {"tunables", dump_tunables(map)}, {"choose_args", dump_choose_args(map)}};
}

}  // namespace spirula::crush
