#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>

#include "crush/crush_map.h"

/// The JSON that scripts know, with the field names and order of Ceph (CrushWrapper::dump and its parts).
namespace spirula::crush {

/// `ceph osd crush dump`: devices, types, buckets (shadows too), rules, tunables, choose_args.
boost::json::object dump(const CrushMap& map);
/// `ceph osd crush rule dump NAME`; an empty object if there is no such rule.
boost::json::object dump_rule(const CrushMap& map, std::int32_t id);
/// `ceph osd crush show-tunables`.
boost::json::object dump_tunables(const CrushMap& map);

/// The oldest client release that can follow the map, for dump_tunables and `require_min_compat_client`.
std::string_view release_min(const CrushMap& map);

}  // namespace spirula::crush
