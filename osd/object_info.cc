#include "osd/object_info.h"

#include <algorithm>

namespace spirula::osd {

msg::HObject place_of(const ObjectId& object) {
  return {object.key, object.name, SnapId(object.snap), object.hash, false, object.name_space, object.pool};
}

Clone* SnapSet::find(SnapId id) {
  auto it = std::ranges::lower_bound(clones, id, {}, &Clone::id);
  return it != clones.end() && it->id == id ? &*it : nullptr;
}

SnapChoice choose_snap(const SnapSet& snaps, SnapId snap) {
  if (snap == msg::snap_head || snap > snaps.sequence) return {SnapTarget::head, {}};
  auto it = std::ranges::lower_bound(snaps.clones, snap, {}, &Clone::id);
  // Had it existed when the snapshot was taken, a later write would have left a clone. (Ceph: find_object_context)
  if (it == snaps.clones.end()) return {};
  if (it->snaps.empty() || it->snaps.back() > snap) return {};
  return {SnapTarget::clone, it->id};
}

}  // namespace spirula::osd
