#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/shard.h"
#include "base/task.h"
#include "librados/operation.h"
#include "maps/osd_map_feed.h"
#include "msg/messenger.h"

namespace spirula::maps {
class MonClient;
}

namespace spirula::librados {

namespace limits {
inline constexpr std::uint64_t ops_in_flight_max = 1024;            ///< Ceph: objecter_inflight_ops
inline constexpr std::uint64_t bytes_in_flight_max = 100ull << 20;  ///< Ceph: objecter_inflight_op_bytes
inline constexpr std::size_t listing_page = 1024;                   ///< objects a pgnls asks for
}  // namespace limits

struct ObjecterOptions {
  std::uint64_t ops_in_flight_max = limits::ops_in_flight_max;
  std::uint64_t bytes_in_flight_max = limits::bytes_in_flight_max;
  Duration timeout{};  ///< for operations that name no other; 0: wait for ever, as Ceph does
  /// Tells this life of a daemon from its earlier ones, which had the same entity name: OSDs know a request by name,
  /// incarnation and tid, and answer one they have seen without doing it. Clients, whose names are new each time, need
  /// none.
  std::uint32_t incarnation = 0;
};

/// Sends operations to where their objects live and keeps sending until they are answered: it resolves object -> PG ->
/// primary OSD on the newest map, holds one connection an OSD, and resends (same tid, next attempt) when the map moves
/// the PG, a connection breaks or a backoff is lifted. Operations on one object are sent in the order of submit().
/// Lives on one shard and is called there. The messenger routes OSD connections here (msg::PeerRouter).
/// Writes to a full cluster or pool wait until it is not, unless they carry full_try or full_force.
class Objecter : public msg::Dispatcher {
 public:
  Objecter(Shard& shard, msg::Messenger& messenger, maps::MonClient& monitors, maps::OsdMapFeed& maps,
           ObjecterOptions options = {});
  ~Objecter() override;
  /// Everything in flight ends with Errc::cancelled. Before the messenger stops.
  Task<> stop();

  /// The OSD's answer, whatever it says. Errors are those of getting no answer: Errc::not_found (no such pool, on the
  /// newest map), Errc::cancelled, and after the timeout Errc::timed_out for reads, Errc::outcome_unknown for writes.
  Task<Result<OperationResult>> submit(ObjectRef object, Operation operation);
  /// The same, but a negative answer is an error too: Errc::not_found, Errc::exists, Errc::no_space, ...
  Task<Result<OperationResult>> execute(ObjectRef object, Operation operation);

  // The everyday calls, on execute().
  Task<Result<BufferList>> read(ObjectRef object, std::uint64_t offset, std::uint64_t length);
  Task<Result<>> write(ObjectRef object, std::uint64_t offset, BufferList data, msg::SnapContext snaps = {});
  Task<Result<>> write_full(ObjectRef object, BufferList data, msg::SnapContext snaps = {});
  Task<Result<>> append(ObjectRef object, BufferList data, msg::SnapContext snaps = {});
  Task<Result<>> truncate(ObjectRef object, std::uint64_t size, msg::SnapContext snaps = {});
  Task<Result<>> remove(ObjectRef object, msg::SnapContext snaps = {});
  Task<Result<msg::StatOutput>> stat(ObjectRef object);
  /// Every key and value, over as many requests as it takes.
  Task<Result<OmapValues>> omap_all(ObjectRef object);

  /// A page of the objects of one PG, from `from` (HObject::min() to begin). Objects of `name_space`, or of all
  /// namespaces if it is all_namespaces.
  static constexpr const char* all_namespaces = "\001";
  struct Page {
    std::vector<msg::ListedObject> objects;
    msg::HObject next;
    bool end = false;  ///< of the PG
  };
  Task<Result<Page>> list(msg::PgId pg, std::string name_space, msg::HObject from,
                          std::uint64_t count_max = limits::listing_page);

  // Watches (linger.cc): told when somebody notifies, kept over broken connections and moved PGs.
  struct WatchEvents {
    /// Somebody notified; what is returned is our answer. Called on the shard, must not block.
    std::function<Buffer(std::uint64_t notifier, const Buffer& payload)> on_notify;
    /// The watch is lost for good: Errc::closed (it lapsed), Errc::not_found (the object is gone), ...
    std::function<void(std::error_code)> on_lost;
  };
  /// Registers, and keeps registered until unwatch() or on_lost. Returns the watch's cookie. An OSD that hears nothing
  /// of us for `timeout` drops the watch.
  Task<Result<std::uint64_t>> watch(ObjectRef object, WatchEvents events, Duration timeout = std::chrono::seconds(30));
  Task<Result<>> unwatch(std::uint64_t cookie);
  /// Tells everybody who watches, and collects their answers; who has not answered after `timeout` is in `missed`.
  Task<Result<msg::NotifyResponse>> notify(ObjectRef object, Buffer payload,
                                           Duration timeout = std::chrono::seconds(10));

  /// Until our map is of this epoch: what a barrier (an evicted client, a full flag) needs.
  Task<Result<>> wait_for_map(Epoch epoch, Duration timeout);
  std::shared_ptr<const maps::OsdMap> map() const;

  struct Figures {
    std::size_t in_flight = 0, sessions = 0;
    std::uint64_t sent = 0, resent = 0, answered = 0;
  };
  Figures figures() const;
  /// One line an operation in flight, for dump_ops_in_flight.
  std::vector<std::string> describe_in_flight() const;

  // msg::Dispatcher
  void on_message(msg::ConnectionRef connection, msg::Message message) override;
  void on_connect(msg::ConnectionRef connection) override;
  void on_reset(msg::ConnectionRef connection) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spirula::librados
