#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "base/clock.h"
#include "msg/messenger.h"
#include "msg/osd_messages.h"
#include "osd/request.h"

namespace spirula::osd {

/// The watchers of one object, as far as they are of this moment: who is connected, who has to answer what. What must
/// survive is in ObjectInfo::watchers. Lives with its ObjectContext.
class ObjectWatches {
 public:
  struct Watcher {
    WatchInfo info;
    msg::ConnectionRef connection;  ///< nullptr: away; it may come back until `deadline`
    bool pings = false;
    MonotonicTime deadline{};
  };
  struct Notify {
    std::uint64_t id = 0, cookie = 0;
    msg::ConnectionRef notifier;
    std::uint64_t notifier_id = 0;
    Buffer payload;
    std::set<WatchKey> waiting;
    msg::NotifyResponse response;
    MonotonicTime deadline{};
  };

  bool empty() const { return watchers_.empty() && notifies_.empty(); }
  /// The watchers an object's info lists, after a restart: all are away.
  void restore(const ObjectInfo& info, MonotonicTime now);

  void connect(const WatchEffect& watch, msg::ConnectionRef connection, MonotonicTime now);
  /// False: not connected; the client has to reconnect.
  bool ping(const WatchKey& key, MonotonicTime now);
  /// The watch is over. A watcher that did not ask for it is told.
  void remove(const WatchKey& key, bool tell);
  /// A client's connection is gone.
  void disconnected(const msg::ConnectionRef& connection, MonotonicTime now);

  /// Tells every watcher; completes at once when there is none connected or away. Errc::busy: too many, and the
  /// notifier is told.
  Result<> start(Notify notify, const ObjectInfo& info);
  void acknowledge(const NotifyAckEffect& ack, const msg::EntityName& client);

  /// Completes notifies whose time is over; returns the watchers whose time is over, to be removed from the object.
  std::vector<WatchKey> expire(MonotonicTime now);
  std::size_t watcher_count() const { return watchers_.size(); }
  bool is_away(const WatchKey& key) const;

 private:
  std::map<std::uint64_t, Notify>::iterator complete(std::map<std::uint64_t, Notify>::iterator at);
  void send_completion(Notify& notify, std::int32_t result);
  void gone(const WatchKey& key);

  std::map<WatchKey, Watcher> watchers_;
  std::map<std::uint64_t, Notify> notifies_;
  std::size_t payload_bytes_ = 0;  ///< of notifies_
};

}  // namespace spirula::osd
