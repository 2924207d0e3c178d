#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "msg/messenger.h"
#include "msg/osd_messages.h"

namespace spirula::osd {

/// Clients that were asked to keep their requests to one PG until they are told otherwise (Ceph: MOSDBackoff), so that
/// these need no room here while the PG cannot serve them. Nothing is lost and the order stays: from begin() on every
/// request of such a connection is dropped, also those that it sent before it heard of it. It acknowledges; by then
/// all of these are here. Only after that it is told of the end, and sends everything again that was not answered.
/// Belongs to its PG.
class Backoffs {
 public:
  /// Clients since Luminous and Linux 4.12 do.
  static bool understood_by(const msg::Connection& connection);

  /// Requests of this connection are to be dropped.
  bool hold(const msg::ConnectionRef& connection) const {
    return std::ranges::find(held_, connection, &Held::connection) != held_.end();
  }
  /// `id`: unique among those of one connection.
  void begin(const msg::ConnectionRef& connection, msg::ShardedPgId pg, msg::Epoch epoch, std::uint64_t id);
  void on_acknowledged(const msg::ConnectionRef& connection, std::uint64_t id);
  /// Requests are welcome. `at_once`: also of those who have not acknowledged yet, where none of theirs can be served.
  void end_all(bool at_once = false);
  /// It is gone, and its client has forgotten.
  void forget(const msg::ConnectionRef& connection) {
    std::erase_if(held_, [&](const Held& held) { return held.connection == connection; });
  }
  void forget_all() { held_.clear(); }

 private:
  struct Held {
    msg::ConnectionRef connection;
    msg::OsdBackoff message;
    bool acknowledged = false, over = false;
  };
  static void end(Held& held);
  std::vector<Held> held_;  ///< one for each connection, in the order of begin()
};

}  // namespace spirula::osd
