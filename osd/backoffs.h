#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "msg/messenger.h"
#include "msg/osd_messages.h"
#include "osd/object_info.h"

namespace spirula::osd {

/// Clients that were asked to keep their requests to one PG, or for one of its objects, until they are told otherwise
/// (Ceph: MOSDBackoff), so that these need no room here while they cannot be served. Nothing is lost and the order
/// stays: from begin() on every such request of the connection is dropped, also those that it sent before it heard of
/// it. It acknowledges; by then all of these are here. Only after that it is told of the end, and sends everything
/// again that was not answered. Belongs to its PG.
class Backoffs {
 public:
  /// In place of an object: all of the PG.
  static const ObjectId whole_pg;

  /// Clients since Luminous and Linux 4.12 do.
  static bool understood_by(const msg::Connection& connection);

  /// This connection's requests for the object are to be dropped.
  bool hold(const msg::ConnectionRef& connection, const ObjectId& object) const {
    return holds(connection, whole_pg) || holds(connection, object);
  }
  /// `id`: unique among those of one connection.
  void begin(const msg::ConnectionRef& connection, const ObjectId& object, msg::ShardedPgId pg, msg::Epoch epoch,
             std::uint64_t id);
  void on_acknowledged(const msg::ConnectionRef& connection, std::uint64_t id);
  /// Requests for the object are welcome.
  void end(const ObjectId& object);
  /// All requests are. `at_once`: also of those who have not acknowledged yet, where none of theirs can be served.
  void end_all(bool at_once = false);
  /// It is gone, and its client has forgotten.
  void forget(const msg::ConnectionRef& connection);
  void forget_all() { held_.clear(); }

 private:
  struct Held {
    msg::ConnectionRef connection;
    msg::OsdBackoff message;
    bool acknowledged = false, over = false;
  };
  using Clients = std::vector<Held>;  ///< one for each connection, in the order of begin()
  bool holds(const msg::ConnectionRef& connection, const ObjectId& object) const {
    auto found = held_.find(object);
    return found != held_.end() &&
           std::ranges::find(found->second, connection, &Held::connection) != found->second.end();
  }
  static void unblock(Held& held);
  static void end(Clients& clients, bool at_once);
  void tidy() {
    std::erase_if(held_, [](const auto& each) { return each.second.empty(); });
  }
  std::map<ObjectId, Clients> held_;
};

}  // namespace spirula::osd
