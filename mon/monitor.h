#pragma once
#include <memory>
#include <string>

#include "base/metrics.h"
#include "base/shard.h"
#include "base/task.h"
#include "mon/auth_keeper.h"
#include "mon/cluster_log.h"
#include "mon/cluster_stats.h"
#include "mon/command.h"
#include "mon/decider.h"
#include "mon/legacy_port.h"
#include "mon/mds_watch.h"
#include "mon/osd_watch.h"
#include "mon/publisher.h"
#include "mon/session.h"
#include "msg/messenger.h"

namespace spirula {
class Config;
}

namespace spirula::mon {

/// One monitor: takes messages, lets the services decide, and tells whoever wants to know. Everything of it lives on
/// one shard. stop() must complete before destruction.
class Monitor : public msg::Dispatcher {
 public:
  /// Reads the decision log of `mon data`. Errc::not_found: there is none; Errc::malformed: it is damaged. What and
  /// where has then been logged.
  static Result<std::unique_ptr<Monitor>> open(Shard& shard, Config& config);
  static Result<std::unique_ptr<Monitor>> open(Shard& shard, Config& config, std::unique_ptr<LogStorage> storage);
  ~Monitor() override;

  /// Serves from now on. Errc of binding.
  Task<Result<>> start();
  Task<> stop();

  msg::AddressVector address() const;
  const State& state() const { return decider_->state(); }
  Surroundings surroundings() const;
  /// Runs one command as `ceph` sends it, with every capability: for the admin socket.
  Task<CommandResult> run_command(std::string json, std::string input, std::string caller);

  void on_message(msg::ConnectionRef connection, msg::Message message) override;
  void on_accept(msg::ConnectionRef connection) override;
  void on_reset(msg::ConnectionRef connection) override;

 private:
  Monitor(Shard& shard, Config& config, std::unique_ptr<DecisionLog> log, State state);
  msg::Time wall() const { return msg::Time::from(shard_.clock().wall()); }
  Result<Endpoint> own_endpoint() const;
  Task<Result<>> register_address();
  void open_legacy_port(Endpoint own);
  Task<> tick_for_ever();
  void tick();
  /// The central configuration holds for us too.
  void take_own_config();
  /// Tells the cluster log what has become worse and what better.
  void note_health();

  void dispatch(const SessionRef& session, const msg::Message& message);
  bool dispatch_daemon(const SessionRef& session, const msg::Message& message);
  /// Reads a body and hands it on; a body that does not decode closes the connection.
  template <class Body, class Action>
  void with(const SessionRef& session, const msg::Message& message, Action action);

  void handle(const SessionRef& session, const msg::MonCommand& request, std::uint64_t tid);
  void handle(const SessionRef& session, const msg::Command& request, std::uint64_t tid);
  void handle(const SessionRef& session, const msg::PoolOp& request, std::uint64_t tid);
  void handle(const SessionRef& session, const msg::Log& request);
  void handle(const SessionRef& session, const msg::Auth& request, std::uint64_t tid);
  void handle(const SessionRef& session, const msg::MonGetVersion& request);
  void handle(const SessionRef& session, const msg::MonGetOsdMap& request);
  void handle(const SessionRef& session, const msg::Statfs& request, std::uint64_t tid);
  void handle_pool_stats(const SessionRef& session, const msg::Message& message);
  void handle(const SessionRef& session, const msg::BlocklistRequest& request, std::uint64_t tid);
  void handle(const SessionRef& session, const msg::RemoveSnaps& request, std::uint64_t tid);
  using Answer = std::move_only_function<void(CommandResult)>;
  void execute(ParsedCommand command, std::string typed, std::string input, std::string caller, Answer answer);

  Shard& shard_;
  Config& config_;
  MonotonicTime started_;
  Metrics metrics_;
  Counter& messages_ = metrics_.counter("mon", "messages", "messages taken");
  Counter& commands_ = metrics_.counter("mon", "commands", "commands run");
  Counter& logins_ = metrics_.counter("mon", "logins", "sessions that stood");
  Counter& decisions_ = metrics_.counter("mon", "decisions", "decisions made durable");
  Gauge& session_count_ = metrics_.gauge("mon", "sessions", "sessions that stand");
  std::unique_ptr<Decider> decider_;
  ClusterLog log_;
  std::map<std::string, std::string> health_noted_;  // code -> summary
  bool health_known_ = false;
  SessionList sessions_;
  ClusterStats stats_;
  OsdWatch osds_;
  MdsWatch mdss_;
  Publisher publisher_;
  std::unique_ptr<AuthKeeper> keys_;
  std::unique_ptr<msg::AuthService> auth_;
  std::unique_ptr<msg::Messenger> messenger_;
  std::unique_ptr<LegacyPort> legacy_port_;
  TaskGroup tasks_;
};

}  // namespace spirula::mon
