#include "osd/object_context.h"

#include "base/check.h"

namespace spirula::osd {

ObjectContext& ObjectContexts::get(const ObjectId& head) {
  auto& slot = objects_[head];
  if (!slot) {
    slot = std::make_unique<ObjectContext>();
    slot->head = head;
  } else if (slot->idle) {
    idle_.erase(slot->idle_place);
    slot->idle = false;
  }
  return *slot;
}

ObjectContext* ObjectContexts::find(const ObjectId& head) {
  auto found = objects_.find(head);
  return found == objects_.end() ? nullptr : found->second.get();
}

void ObjectContexts::release(ObjectContext& object) {
  if (object.in_use() || object.idle) return;
  if (!object.loaded) {
    objects_.erase(ObjectId(object.head));
    return;
  }
  object.idle_place = idle_.insert(idle_.end(), &object);
  object.idle = true;
  while (idle_.size() > idle_max_) {
    ObjectContext* oldest = idle_.front();
    idle_.pop_front();
    objects_.erase(ObjectId(oldest->head));
  }
}

void ObjectContexts::clear() {
  idle_.clear();
  objects_.clear();
}

}  // namespace spirula::osd
