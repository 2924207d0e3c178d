#pragma once

#include <string_view>

#include "crush/crush_map.h"

namespace spirula::crush {

/// Makes every shadow bucket anew from the real ones. A shadow keeps its id as long as its bucket and class live, so
/// rules and placements stay put. Forgets classes that no device has and no rule takes. Every function of edit.h ends
/// with this. Errc::invalid: a real bucket holds a shadow; Errc::too_large, overflow as for adding buckets. The map is
/// then half rebuilt. Ceph: rebuild_roots_with_classes, with the same ids.
Result<> rebuild_class_shadows(CrushMap& map);

/// Gives a device its class, which is created if it is new. False if it had it. Errc::not_found: no such device;
/// Errc::busy: it has another class, which must be removed first; Errc::invalid: no valid class name.
Result<bool> set_device_class(CrushMap& map, ItemId device, std::string_view name);
/// False if the device had none. Errc::not_found: no such device.
Result<bool> remove_device_class(CrushMap& map, ItemId device);
/// Errc::not_found: no such class; Errc::exists: the new name is taken; Errc::invalid: it is no valid name.
Result<> rename_device_class(CrushMap& map, std::string_view from, std::string_view to);

}  // namespace spirula::crush
