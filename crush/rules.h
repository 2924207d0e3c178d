#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "crush/crush_map.h"

namespace spirula::crush {

/// A rule in the shape that `osd crush rule create-replicated` and `create-simple` offer: copies (or, indep, positions
/// of an erasure code) spread over the buckets of one type below one root.
struct SimpleRule {
  std::string name;
  std::string root = "default";
  std::string failure_domain = "host";  ///< empty or the device type: any devices
  std::string device_class = {};        ///< empty: devices of every class
  bool indep = false;
  RuleType type = RuleType::replicated;
};

/// Adds the rule and returns its id, the first free one. Errc::exists: the name is taken; Errc::not_found: no such
/// root; Errc::invalid: no such type or class, or no valid name; Errc::too_large: limits::rules_max.
Result<std::int32_t> create_rule(CrushMap& map, const SimpleRule& spec);
/// Errc::not_found. Whether a pool uses it is for the caller to know.
Result<> remove_rule(CrushMap& map, std::int32_t id);
/// Errc::not_found, Errc::exists, Errc::invalid.
Result<> rename_rule(CrushMap& map, std::string_view from, std::string_view to);

}  // namespace spirula::crush
