#pragma once
#include <string>

#include "mon/session.h"
#include "mon/state.h"

namespace spirula::mon {

/// Sends maps and configuration to those who subscribed. Lives on the monitor's shard; sees only decided state.
class Publisher {
 public:
  Publisher(const SessionList& sessions) : sessions_(sessions) {}

  /// Takes MonSubscribe and sends at once what is there.
  void subscribe(Session& session, const msg::MonSubscribe& request, const State& state);
  /// After a decision: whatever somebody waits for.
  void publish(const State& before, const State& now);
  /// Everything one session waits for.
  void serve(Session& session, const State& state);

  static void send_monmap(Session& session, const State& state);
  static void send_config(Session& session, const State& state);
  /// Maps from `first` on: incrementals if they are still there, else a full one before them.
  static void send_osdmaps(Session& session, const State& state, msg::Epoch first);
  static void send_osdmap(Session& session, const State& state);  ///< the newest, in full

 private:
  /// True if the subscription is served for now: `version` is what was sent.
  bool serve_one(Session& session, const std::string& what, const Subscription& wanted, const State& state,
                 std::uint64_t& version);
  bool serve_mdsmap(Session& session, const std::string& what, const Subscription& wanted, const State& state,
                    std::uint64_t& version);

  /// New lines of the cluster log to those who watch it (`ceph -w`).
  void publish_log(const State& before, const State& now);

  const SessionList& sessions_;
};

/// A map of managers that names none (Ceph: MgrMap), for clients that wait for one.
Buffer encode_empty_mgr_map();

}  // namespace spirula::mon
