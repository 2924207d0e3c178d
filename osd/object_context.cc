#include "osd/object_context.h"

#include "base/check.h"

namespace spirula::osd {

ObjectContext& ObjectContexts::get(const ObjectId& head) {
  auto found = objects_.find(head);
  if (found == objects_.end()) {
    auto made = std::make_unique<ObjectContext>();
    made->head = head;
    return **objects_.insert(std::move(made)).first;
  }
  ObjectContext& object = **found;
  if (object.idle) idle_.erase(object.idle_place);
  object.idle = false;
  return object;
}

ObjectContext* ObjectContexts::find(const ObjectId& head) {
  auto found = objects_.find(head);
  return found == objects_.end() ? nullptr : found->get();
}

void ObjectContexts::release(ObjectContext& object) {
  if (object.in_use() || object.idle) return;
  if (!object.loaded) {
    objects_.erase(objects_.find(object.head));
    return;
  }
  object.idle_place = idle_.insert(idle_.end(), &object);
  object.idle = true;
  while (idle_.size() > idle_max_) {
    ObjectContext* oldest = idle_.front();
    idle_.pop_front();
    objects_.erase(objects_.find(oldest->head));
  }
}

void ObjectContexts::clear() {
  idle_.clear();
  objects_.clear();
}

}  // namespace spirula::osd
