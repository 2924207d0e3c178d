#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/net.h"
#include "base/result.h"
#include "base/shard.h"
#include "base/task.h"
#include "msg/message.h"
#include "msg/messenger.h"
#include "msg/mon_messages.h"

namespace spirula {
class Config;
}
namespace spirula::msg {
class CephxClient;
struct RotatingSecrets;
}  // namespace spirula::msg

namespace spirula::maps {

namespace limits {
inline constexpr std::size_t mon_requests_max = 4096;      ///< requests waiting for a monitor's answer
inline constexpr std::size_t log_lines_unsent_max = 1000;  ///< of the cluster log; older ones are dropped
}  // namespace limits

struct MonClientOptions {
  std::vector<Endpoint> monitors;     ///< from "mon host"; the monmap takes over once it is known
  msg::KeyName name;                  ///< who we are
  msg::CephxClient* cephx = nullptr;  ///< kept fresh here; nullptr without cephx
  Config* config = nullptr;           ///< gets the central configuration; nullptr: not asked for
  std::string hostname;
  Duration hunt_interval = std::chrono::seconds(3);     ///< a monitor that does not answer in this time is passed over
  Duration silence_max = std::chrono::seconds(30);      ///< a session on which nothing is heard for so long is dropped
  Duration request_timeout = std::chrono::seconds(60);  ///< for requests that name no other
};

/// Everybody's line to the monitors: one session to one of them at a time; when it breaks another is made, and what was
/// subscribed and asked is subscribed and asked again. Lives on one shard and is called there.
/// The messenger routes monitor connections here (msg::PeerRouter). Monitor connections are lossy.
///   MonClient monitors(shard, options);
///   router.route(EntityType::mon, monitors);
///   auto messenger = Messenger::create(...);
///   monitors.on<msg::FsMapMessage>([&](msg::FsMapMessage map) { ...; monitors.got("fsmap", map.epoch.value); });
///   monitors.subscribe("fsmap", 0);
///   monitors.start(*messenger);
///   Result<> ready = co_await monitors.wait_until_ready(10s);
class MonClient : public msg::Dispatcher {
 public:
  MonClient(Shard& shard, MonClientOptions options);
  ~MonClient() override;

  void start(msg::Messenger& messenger);
  /// Ends the session; everything waiting gets Errc::cancelled. Before the messenger is destroyed.
  Task<> stop();

  /// Until a session stands and the monmap has come. Errc::access as soon as a monitor refuses who we are (we go on
  /// trying), Errc::timed_out.
  Task<Result<>> wait_until_ready(Duration timeout);
  bool is_ready() const;
  msg::Uuid fsid() const;           ///< zero until ready
  std::uint64_t global_id() const;  ///< what the monitor calls us; 0 until ready
  /// The monitor we talk to; a blank address without a session.
  msg::Address monitor() const;

  // --- what the monitor sends ----------------------------------------------------------------------------------------
  /// Calls `handler` with every message of this kind, in order of registration; malformed ones are logged and skipped.
  template <msg::Body T>
  void on(std::function<void(T)> handler) {
    on_raw(T::message_type, [handler = std::move(handler)](const msg::Message& message) -> Result<> {
      TRY(T body, msg::read_message<T>(message));
      handler(std::move(body));
      return {};
    });
  }
  void on_raw(std::uint16_t type, std::function<Result<>(const msg::Message&)> handler);
  /// A new session stands: what is true of us must be said again (boot, beacon). Subscriptions and requests are
  /// repeated by themselves.
  void on_session(std::function<void()> handler);
  /// New rotating secrets, for a service that admits others by ticket.
  void on_rotating_secrets(std::function<void(const msg::RotatingSecrets&)> handler);

  /// Wants `what` from version `start` on (0: the current one first), for ever or only once. Replaces an earlier wish.
  void subscribe(const std::string& what, std::uint64_t start, bool once = false);
  void unsubscribe(const std::string& what);
  /// `what` has come up to this version: a later session goes on from the next.
  void got(const std::string& what, std::uint64_t version);

  // --- what we ask
  // ----------------------------------------------------------------------------------------------------
  /// One command, {"prefix": "osd pool ls", ...}, and its answer, whose result may be negative. Sent again if the
  /// session breaks. Errc::timed_out, Errc::cancelled, Errc::busy (too many are waiting).
  Task<Result<msg::CommandReply>> command(std::string json, Buffer input = {}, Duration timeout = {});
  /// The newest and oldest version of a map ("osdmap", "fsmap", "monmap").
  Task<Result<msg::MonGetVersionReply>> get_version(std::string what);
  /// Any request that is answered by a message with its tid: Statfs, GetPoolStats, PoolOp, and of our own
  /// OsdMarkMeDown, BlocklistRequest, RemoveSnaps. Sent again if the session breaks. Errors as for command().
  ///   auto answer = co_await monitors.exchange(msg::make_message(statfs), msg::StatfsReply::message_type);
  ///   CO_TRY(auto reply, msg::read_message<msg::StatfsReply>(*answer))
  Task<Result<msg::Message>> exchange(msg::Message request, std::uint16_t reply_type, Duration timeout = {});

  /// To the monitor, if a session stands; otherwise it is dropped (on_session() is the moment to repeat it).
  template <msg::Body T>
  void send(const T& body) {
    send_message(msg::make_message(body));
  }
  void send_message(msg::Message message);
  /// A line for the cluster log.
  void log(msg::LogPriority priority, std::string text, std::string channel = "cluster");

  // msg::Dispatcher
  void on_message(msg::ConnectionRef connection, msg::Message message) override;
  void on_connect(msg::ConnectionRef connection) override;
  void on_reset(msg::ConnectionRef connection) override;
  void on_connect_failed(msg::ConnectionRef connection, std::error_code why) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spirula::maps
