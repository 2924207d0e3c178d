#pragma once
#include <cerrno>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/codec.h"
#include "base/result.h"
#include "msg/types.h"

/// Object classes: methods that run beside an object, as operations of a request (Ceph: src/objclass).
namespace spirula::osd {

/// What a method may do with the object it was called on. Reads see the object as it was before the request. A read
/// that fails with Errc::again has to be fetched first: return the error, the method is called again from its start.
class MethodContext {
 public:
  virtual ~MethodContext() = default;
  virtual bool exists() const = 0;
  virtual std::uint64_t size() const = 0;
  /// Errc::no_data: no such attribute (or no object).
  virtual Result<Buffer> attribute(const std::string& name) = 0;
  virtual Result<std::vector<std::string>> attribute_names() = 0;
  virtual Result<BufferList> read(std::uint64_t offset, std::uint64_t length) = 0;
  virtual Result<std::map<std::string, Buffer>> omap_values(const std::set<std::string>& keys) = 0;

  virtual Result<> create(bool exclusive) = 0;
  virtual Result<> remove() = 0;
  virtual Result<> write_full(BufferList data) = 0;
  virtual Result<> set_attribute(const std::string& name, Buffer value) = 0;
  virtual Result<> remove_attribute(const std::string& name) = 0;
  virtual Result<> omap_set(std::map<std::string, Buffer> values) = 0;
  virtual Result<> omap_remove(std::set<std::string> keys) = 0;

  virtual msg::EntityName origin() const = 0;
  virtual msg::AddressVector origin_address() const = 0;
  virtual msg::Time now() const = 0;
};

struct ObjectMethod {
  bool reads = false, writes = false;
  /// The output; an error is the operation's result.
  std::function<Result<Buffer>(MethodContext&, Buffer input)> call;
};

/// The classes this OSD offers, fixed at start.
class ObjectClasses {
 public:
  static const ObjectClasses& builtin();
  /// nullptr: no such method.
  const ObjectMethod* find(std::string_view class_name, std::string_view method) const;
  /// What a call of a method that find() does not know is told: -EOPNOTSUPP for a method or class that Ceph has and we
  /// do not, -EPERM for a class that Ceph's daemons would not load either (its osd_class_load_list).
  std::int32_t refusal(std::string_view class_name) const;
  void add(std::string class_name, std::string method, ObjectMethod what) {
    classes_[std::move(class_name)][std::move(method)] = std::move(what);
  }

 private:
  std::map<std::string, std::map<std::string, ObjectMethod, std::less<>>, std::less<>> classes_;
};

/// Advisory locks (librados' rados_lock_*; Ceph: src/cls/lock).
void add_lock_class(ObjectClasses& classes);

}  // namespace spirula::osd
