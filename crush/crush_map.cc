#include "crush/crush_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace spirula::crush {
namespace {

constexpr std::uint32_t algs_legacy = 0x16;  // uniform, list, straw
constexpr std::uint32_t algs_hammer = 0x36;  // and straw2

struct Profile {
  std::string_view name;
  Tunables tunables;
};

/// Newest first. "default" and "optimal" are what Pacific makes of them. straw_calc_version is no part of a profile's
/// identity in Ceph: it does not change how a map is read.
constexpr std::array<Profile, 8> profiles{{
    {"jewel", {0, 0, 50, 1, 1, 1, algs_hammer, 1}},
    {"hammer", {0, 0, 50, 1, 1, 1, algs_hammer, 0}},
    {"firefly", {0, 0, 50, 1, 1, 1, algs_legacy, 0}},
    {"bobtail", {0, 0, 50, 1, 0, 0, algs_legacy, 0}},
    {"argonaut", {2, 5, 19, 0, 0, 0, algs_legacy, 0}},
    {"legacy", {2, 5, 19, 0, 0, 0, algs_legacy, 0}},
    {"optimal", {0, 0, 50, 1, 1, 1, algs_hammer, 1}},
    {"default", {0, 0, 50, 1, 1, 1, algs_hammer, 1}},
}};

constexpr std::array<std::pair<Op, std::string_view>, 13> op_names{{
    {Op::noop, "noop"},
    {Op::take, "take"},
    {Op::choose_firstn, "choose_firstn"},
    {Op::choose_indep, "choose_indep"},
    {Op::emit, "emit"},
    {Op::chooseleaf_firstn, "chooseleaf_firstn"},
    {Op::chooseleaf_indep, "chooseleaf_indep"},
    {Op::set_choose_tries, "set_choose_tries"},
    {Op::set_chooseleaf_tries, "set_chooseleaf_tries"},
    {Op::set_choose_local_tries, "set_choose_local_tries"},
    {Op::set_choose_local_fallback_tries, "set_choose_local_fallback_tries"},
    {Op::set_chooseleaf_vary_r, "set_chooseleaf_vary_r"},
    {Op::set_chooseleaf_stable, "set_chooseleaf_stable"},
}};

template <class Map>
std::string_view name_in(const Map& names, std::int32_t key) {
  const auto found = names.find(key);
  return found == names.end() ? std::string_view{} : std::string_view(found->second);
}

template <class Map>
std::optional<std::int32_t> key_in(const Map& names, std::string_view name) {
  for (const auto& [key, known] : names)
    if (known == name) return key;
  return std::nullopt;
}

}  // namespace

std::optional<Tunables> Tunables::profile(std::string_view name) {
  for (const auto& profile : profiles)
    if (profile.name == name) return profile.tunables;
  return std::nullopt;
}

std::string_view Tunables::profile_name() const {
  for (const auto& profile : profiles) {
    Tunables same = profile.tunables;
    same.straw_calc_version = straw_calc_version;
    if (same == *this) return profile.name;
  }
  return "unknown";
}

std::string_view name_of(Op op) {
  for (const auto& [value, name] : op_names)
    if (value == op) return name;
  return {};
}

bool is_valid_name(std::string_view name) {
  constexpr std::string_view allowed = "-_.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  return !name.empty() && name.find_first_not_of(allowed) == name.npos;
}

const Bucket* CrushMap::bucket(ItemId id) const {
  if (!is_bucket(id) || slot_of(id) >= buckets.size() || !buckets[slot_of(id)]) return nullptr;
  return &*buckets[slot_of(id)];
}

Bucket* CrushMap::bucket(ItemId id) {
  return const_cast<Bucket*>(std::as_const(*this).bucket(id));
}

const Rule* CrushMap::rule(std::int32_t id) const {
  const auto slot = static_cast<std::size_t>(id);
  return id >= 0 && slot < rules.size() && rules[slot] ? &*rules[slot] : nullptr;
}

std::optional<ItemId> CrushMap::item_by_name(std::string_view name) const {
  return key_in(item_names, name);
}
std::optional<std::int32_t> CrushMap::type_by_name(std::string_view name) const {
  return key_in(type_names, name);
}
std::optional<std::int32_t> CrushMap::rule_by_name(std::string_view name) const {
  return key_in(rule_names, name);
}
std::optional<std::int32_t> CrushMap::class_by_name(std::string_view name) const {
  return key_in(class_names, name);
}
std::string_view CrushMap::item_name(ItemId id) const {
  return name_in(item_names, id);
}
std::string_view CrushMap::type_name(std::int32_t type) const {
  return name_in(type_names, type);
}
std::string_view CrushMap::rule_name(std::int32_t id) const {
  return name_in(rule_names, id);
}

std::string_view CrushMap::class_name(std::int32_t id) const {
  return name_in(class_names, id);
}

std::string_view CrushMap::item_class(ItemId id) const {
  const auto found = item_classes.find(id);
  return found == item_classes.end() ? std::string_view{} : name_in(class_names, found->second);
}

std::optional<std::int32_t> CrushMap::type_of(ItemId id) const {
  if (!is_bucket(id)) return 0;
  const Bucket* found = bucket(id);
  if (!found) return std::nullopt;
  return found->type;
}

bool CrushMap::is_shadow(ItemId id) const {
  return is_bucket(id) && item_name(id).contains('~');
}

std::optional<ItemId> CrushMap::parent_of(ItemId id) const {
  const bool shadow = is_shadow(id);
  for (const auto& candidate : buckets)
    if (candidate && candidate->contains(id) && is_shadow(candidate->id) == shadow) return candidate->id;
  return std::nullopt;
}

std::vector<std::pair<std::string, std::string>> CrushMap::location_of(ItemId id) const {
  std::vector<std::pair<std::string, std::string>> location;
  for (auto parent = parent_of(id); parent && location.size() < limits::depth_max; parent = parent_of(*parent))
    location.emplace_back(type_name(bucket(*parent)->type), item_name(*parent));
  return location;
}

std::set<ItemId> CrushMap::roots(bool with_shadows) const {
  std::set<ItemId> held;
  for (const auto& candidate : buckets)
    if (candidate) held.insert(candidate->items.begin(), candidate->items.end());
  std::set<ItemId> result;
  for (const auto& candidate : buckets)
    if (candidate && !held.contains(candidate->id) && (with_shadows || !is_shadow(candidate->id)))
      result.insert(candidate->id);
  return result;
}

std::vector<const Bucket*> CrushMap::buckets_under(ItemId id) const {
  std::vector<const Bucket*> found;
  std::set<ItemId> seen{id};
  if (const Bucket* top = bucket(id)) found.push_back(top);
  for (std::size_t i = 0; i < found.size(); ++i)
    for (const auto item : found[i]->items)
      if (const Bucket* child = bucket(item); child && seen.insert(item).second) found.push_back(child);
  return found;
}

bool CrushMap::subtree_contains(ItemId root, ItemId item) const {
  return root == item ||
         std::ranges::any_of(buckets_under(root), [&](const Bucket* here) { return here->contains(item); });
}

std::set<ItemId> CrushMap::devices_under(ItemId id) const {
  std::set<ItemId> devices;
  if (!is_bucket(id)) devices.insert(id);
  for (const Bucket* here : buckets_under(id))
    std::ranges::copy_if(here->items, std::inserter(devices, devices.end()), [](ItemId i) { return !is_bucket(i); });
  return devices;
}

std::optional<Weight> CrushMap::weight_of(ItemId id) const {
  if (const Bucket* found = bucket(id)) return found->weight;
  for (const auto& candidate : buckets)
    if (candidate && !is_shadow(candidate->id) && candidate->contains(id))
      return candidate->item_weight(candidate->position_of(id));
  return std::nullopt;
}

std::vector<ItemId> CrushMap::takes_of(std::int32_t id) const {
  std::vector<ItemId> takes;
  if (const Rule* found = rule(id))
    for (const auto& step : found->steps)
      if (step.op == Op::take) takes.push_back(step.arg1);
  return takes;
}

Result<std::map<ItemId, double>> CrushMap::device_shares(std::int32_t id) const {
  if (!rule(id)) return Errc::not_found;
  std::map<ItemId, double> shares;
  for (const auto take : takes_of(id)) {
    std::map<ItemId, double> weights;
    if (!is_bucket(take)) weights[take] = 1;
    for (const Bucket* here : buckets_under(take))
      for (std::size_t i = 0; i < here->size(); ++i)
        if (!is_bucket(here->items[i])) weights[here->items[i]] = here->item_weight(i);
    double sum = 0;
    for (const auto& [device, weight] : weights) sum += weight;
    if (sum == 0) continue;
    for (const auto& [device, weight] : weights) shares[device] += weight / sum;
  }
  return shares;
}

const ChooseArgs* CrushMap::choose_args_for(std::int64_t pool) const {
  auto found = choose_args.find(pool);
  if (found == choose_args.end()) found = choose_args.find(default_choose_args);
  return found == choose_args.end() ? nullptr : &found->second;
}

std::string CrushMap::describe() const {
  const auto real = std::ranges::count_if(buckets, [&](const auto& b) { return b && !is_shadow(b->id); });
  const auto rule_count = std::ranges::count_if(rules, [](const auto& r) { return r.has_value(); });
  return fmt::format("crush map: {} devices, {} buckets, {} rules, {} classes, tunables {}", max_devices, real,
                     rule_count, class_names.size(), tunables.profile_name());
}

CrushMap CrushMap::make_default(std::string_view failure_domain) {
  // Ceph: OSDMap::_build_crush_types.
  static constexpr std::array<std::string_view, 12> types{"osd", "host", "chassis",    "rack", "row",    "pdu",
                                                          "pod", "room", "datacenter", "zone", "region", "root"};
  constexpr std::uint16_t root_type = 11;
  CrushMap map;
  for (std::size_t i = 0; i < types.size(); ++i) map.type_names[static_cast<std::int32_t>(i)] = types[i];
  map.buckets.resize(8);
  map.buckets[0] = Bucket{.id = -1, .type = root_type};
  map.item_names[-1] = "default";
  const std::int32_t domain = map.type_by_name(failure_domain).value_or(1);
  map.rules.resize(1);
  map.rules[0] = Rule{
      .steps = {{Op::take, -1, 0}, {domain ? Op::chooseleaf_firstn : Op::choose_firstn, 0, domain}, {Op::emit, 0, 0}}};
  map.rule_names[0] = "replicated_rule";
  return map;
}

}  // namespace spirula::crush
