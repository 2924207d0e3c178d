#pragma once
#include <functional>
#include <list>
#include <memory>
#include <unordered_set>
#include <vector>

#include "osd/client_op.h"
#include "osd/object_info.h"
#include "osd/watch.h"

namespace spirula::osd {

/// What a request wants of its object. Reads share it; changes that depend on nothing but the object's info share it
/// among themselves, since each is decided on the state its predecessor leaves; a change that reads content, or the
/// first request, which has to learn the info, is alone.
enum class Hold : std::uint8_t { read, change, alone };

/// An object in use, or used a moment ago: its state after the last change decided, durable or not, and the requests
/// in their order. Belongs to its PG.
struct ObjectContext {
  ObjectId head;
  bool loaded = false;
  ObjectState state;
  SnapSet snaps;

  unsigned readers = 0, changers = 0;
  bool alone = false;
  // Lists: most contexts are idle, and an empty deque takes 600 bytes.
  std::list<ClientOpRef> queue;
  bool starting = false;  ///< queued requests are being started further up the stack
  /// Changes given to the store, and those of them that are durable. An answer that depends on a change waits for it.
  std::uint64_t submitted = 0, completed = 0;
  std::list<std::pair<std::uint64_t, std::move_only_function<void()>>> after_commit;
  ObjectWatches watches;
  std::list<ObjectContext*>::iterator idle_place;
  bool idle = false;

  bool may_start(Hold hold) const {
    switch (hold) {
      case Hold::read:
        return !alone && changers == 0;
      case Hold::change:
        return !alone && readers == 0;
      case Hold::alone:
        return !alone && readers == 0 && changers == 0;
    }
    return false;
  }
  void take(Hold hold) {
    if (hold == Hold::read) ++readers;
    if (hold == Hold::change) ++changers;
    if (hold == Hold::alone) alone = true;
  }
  void release(Hold hold) {
    if (hold == Hold::read) --readers;
    if (hold == Hold::change) --changers;
    if (hold == Hold::alone) alone = false;
  }
  bool in_use() const { return readers || changers || alone || !queue.empty() || starting || !watches.empty(); }
};

/// Contexts are found by the object they belong to, whose name they hold once.
struct ObjectContextHash {
  using is_transparent = void;
  std::size_t operator()(const ObjectId& id) const noexcept {
    return std::hash<std::string>{}(id.name) ^ (std::size_t{id.hash} << 1);
  }
  std::size_t operator()(const std::unique_ptr<ObjectContext>& object) const noexcept { return (*this)(object->head); }
};
struct ObjectContextEqual {
  using is_transparent = void;
  static const ObjectId& id(const ObjectId& id) { return id; }
  static const ObjectId& id(const std::unique_ptr<ObjectContext>& object) { return object->head; }
  bool operator()(const auto& a, const auto& b) const { return id(a) == id(b); }
};

/// The contexts of a PG; the idle ones up to a bound.
class ObjectContexts {
 public:
  ObjectContext& get(const ObjectId& head);
  /// nullptr: not in memory.
  ObjectContext* find(const ObjectId& head);
  /// Nobody uses it just now: keep it for a while.
  void release(ObjectContext& object);
  /// Forgets what it knew (a change failed).
  void clear();
  std::size_t size() const { return objects_.size(); }
  template <class F>
  void for_each(F&& visit) {
    for (auto& object : objects_) visit(*object);
  }
  /// Those with requests queued; the visit may change them.
  template <class F>
  void for_each_waiting(F&& visit) {
    std::vector<ObjectId> waiting;
    for (auto& object : objects_)
      if (!object->queue.empty()) waiting.push_back(object->head);
    for (const ObjectId& id : waiting)
      if (ObjectContext* object = find(id)) visit(*object);
  }
  void set_idle_max(std::size_t count) { idle_max_ = count; }

 private:
  std::unordered_set<std::unique_ptr<ObjectContext>, ObjectContextHash, ObjectContextEqual> objects_;
  std::list<ObjectContext*> idle_;  ///< least recently used first
  std::size_t idle_max_ = limits::idle_objects_min;
};

}  // namespace spirula::osd
