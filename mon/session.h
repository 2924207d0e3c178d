#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/clock.h"
#include "msg/caps_mon.h"
#include "msg/messenger.h"
#include "msg/mon_messages.h"

namespace spirula::mon {

/// What a session wants to be told: the version it wants next, and whether one answer is enough.
struct Subscription {
  std::uint64_t next = 0;
  bool onetime = false;
};

/// One authenticated peer of the monitor. Kept in Connection::context; lives on the monitor's shard.
struct Session {
  msg::ConnectionRef connection;
  msg::MonCaps caps;
  std::map<std::string, Subscription> subscriptions;
  std::string hostname;
  MonotonicTime since;
  std::uint64_t number = 0;  ///< counts sessions
  std::optional<std::map<std::string, std::string>> config_sent;
  msg::Epoch osdmap_sent;             ///< the newest it was sent
  msg::AddressVector daemon_address;  ///< of an OSD or MDS, as it last said

  const msg::KeyName& name() const { return connection->identity().name; }
  bool is(msg::EntityType type) const { return name().type == static_cast<std::uint32_t>(type); }
  /// `need`: bits of msg::MonCaps::Access.
  bool allows(std::string_view service, unsigned need, std::string_view command = {},
              const std::map<std::string, std::string>& arguments = {}) const;
  template <class Body>
  void send(const Body& body, std::uint64_t tid = 0) {
    connection->send(msg::make_message(body, tid, connection->peer_features()));
  }
};
using SessionRef = std::shared_ptr<Session>;
/// In order of their arrival, so that a simulation replays.
struct SessionOrder {
  bool operator()(const SessionRef& a, const SessionRef& b) const { return a->number < b->number; }
};

/// Everybody who is connected.
class SessionList {
 public:
  SessionRef add(msg::ConnectionRef connection, MonotonicTime now);
  void remove(const msg::ConnectionRef& connection);
  static SessionRef of(const msg::ConnectionRef& connection);
  const std::set<SessionRef, SessionOrder>& all() const { return sessions_; }
  /// The newest session of a daemon.
  SessionRef find(const msg::KeyName& name) const;

 private:
  std::set<SessionRef, SessionOrder> sessions_;
  std::uint64_t last_number_ = 0;
};

}  // namespace spirula::mon
