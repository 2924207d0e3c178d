#include "crush/rules.h"

#include <algorithm>
#include <cstddef>

#include "crush/draft.h"

namespace spirula::crush {
namespace {

/// The first id that is neither a rule's nor, in maps older than Luminous, a rule's set number.
std::size_t free_rule(const CrushMap& map) {
  std::size_t id = 0;
  const auto is_used = [&](const auto& rule) { return rule && rule->ruleset == id; };
  while (id < map.rules.size() && (map.rules[id] || std::ranges::any_of(map.rules, is_used))) ++id;
  return id;
}

}  // namespace

Result<std::int32_t> create_rule(CrushMap& map, const SimpleRule& spec) {
  if (!is_valid_name(spec.name)) return Errc::invalid;
  if (map.rule_by_name(spec.name)) return Errc::exists;
  auto root = map.item_by_name(spec.root);
  if (!root) return Errc::not_found;
  std::int32_t domain = 0;
  if (!spec.failure_domain.empty()) {
    const auto type = map.type_by_name(spec.failure_domain);
    if (!type) return Errc::invalid;
    domain = *type;
  }
  if (!spec.device_class.empty()) {
    const auto id = map.class_by_name(spec.device_class);
    const auto shadows = map.class_buckets.find(*root);
    if (!id || shadows == map.class_buckets.end() || !shadows->second.contains(*id)) return Errc::invalid;
    root = shadows->second.at(*id);
  }
  const std::size_t slot = free_rule(map);
  if (slot >= limits::rules_max) return Errc::too_large;

  // Ceph: add_simple_rule_at, which gives indep rules more tries because they may not shift a position.
  Rule rule{.ruleset = static_cast<std::uint8_t>(slot), .type = spec.type};
  if (spec.indep) {
    rule.size_min = 3;
    rule.size_max = 20;
    rule.steps = {{Op::set_chooseleaf_tries, 5, 0}, {Op::set_choose_tries, 100, 0}};
  }
  rule.steps.push_back({Op::take, *root, 0});
  const Op choose = domain ? (spec.indep ? Op::chooseleaf_indep : Op::chooseleaf_firstn)
                           : (spec.indep ? Op::choose_indep : Op::choose_firstn);
  rule.steps.push_back({choose, 0, domain});
  rule.steps.push_back({Op::emit, 0, 0});

  map.rules.resize(std::max(map.rules.size(), slot + 1));
  map.rules[slot] = std::move(rule);
  map.rule_names[static_cast<std::int32_t>(slot)] = spec.name;
  return static_cast<std::int32_t>(slot);
}

Result<> remove_rule(CrushMap& map, std::int32_t id) {
  if (!map.rule(id)) return Errc::not_found;
  return draft::atomically(map, [&](CrushMap& next) -> Result<> {
    next.rules[static_cast<std::size_t>(id)].reset();
    next.rule_names.erase(id);
    return {};
  });
}

Result<> rename_rule(CrushMap& map, std::string_view from, std::string_view to) {
  const auto id = map.rule_by_name(from);
  if (!id) return Errc::not_found;
  if (map.rule_by_name(to)) return Errc::exists;
  if (!is_valid_name(to)) return Errc::invalid;
  map.rule_names[*id] = to;
  return {};
}

}  // namespace spirula::crush
