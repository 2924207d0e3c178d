#include "osd/object_class.h"

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

}  // namespace spirula::osd
