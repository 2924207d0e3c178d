#include "osd/object_class.h"

#include <algorithm>

namespace spirula::osd {

const ObjectClasses& ObjectClasses::builtin() {
  static const ObjectClasses classes = [] {
    ObjectClasses all;
    add_lock_class(all);
    return all;
  }();
  return classes;
}

const ObjectMethod* ObjectClasses::find(std::string_view class_name, std::string_view method) const {
  auto in_class = classes_.find(class_name);
  if (in_class == classes_.end()) return nullptr;
  auto found = in_class->second.find(method);
  return found == in_class->second.end() ? nullptr : &found->second;
}

std::int32_t ObjectClasses::refusal(std::string_view class_name) const {
  static constexpr std::string_view loaded_by_ceph[] = {
      "cephfs", "hello",     "journal", "lock",    "log", "numops",  "otp",   "rbd",       "refcount", "rgw",
      "rgw_gc", "timeindex", "user",    "version", "cas", "cmpomap", "queue", "2pc_queue", "fifo"};
  return std::ranges::find(loaded_by_ceph, class_name) != std::end(loaded_by_ceph) ? -EOPNOTSUPP : -EPERM;
}

}  // namespace spirula::osd
