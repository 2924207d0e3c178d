#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/task_group.h"
#include "maps/osd_map.h"
#include "msg/daemon_messages.h"
#include "osd/inputs.h"
#include "osd/object_context.h"
#include "osd/pg_log.h"

namespace spirula::osd {

using OsdMapRef = std::shared_ptr<const maps::OsdMap>;
using msg::PgId;

/// What a PG needs of the daemon around it. Lives on the PG's shard.
class PgHost {
 public:
  virtual ~PgHost() = default;
  virtual Shard& shard() = 0;
  virtual ObjectStore& store() = 0;
  virtual const ObjectClasses& classes() = 0;
  virtual std::int32_t whoami() = 0;
  virtual Epoch epoch() = 0;
  virtual void reply(ClientOp& op, msg::OsdReply reply) = 0;
  /// Log entries a PG may keep, given how many PGs there are.
  virtual std::size_t log_entries_max() = 0;
  /// Objects a PG may remember although nobody uses them.
  virtual std::size_t idle_objects_max() = 0;
  /// Space is short: changes of one object must not overlap.
  virtual bool is_cautious() = 0;
  /// Nothing may grow any more but what must: the store keeps the rest for deletes, maps and its own commits.
  virtual bool is_full() = 0;
  /// The store takes no more writes: the daemon has to stop.
  virtual void store_failed(std::error_code why) = 0;
  virtual std::uint64_t next_notify_id() = 0;
};

/// What a PG remembers of itself besides its log; kept under "info" in the collection's metadata.
struct PgInfo {
  static constexpr std::uint8_t version = 1, compat = 1;
  Epoch created;                   ///< the map that created it here
  Epoch interval_since;            ///< first epoch of the current up and acting sets
  Epoch last_started, last_clean;  ///< when it last went active, and clean
  std::vector<std::int32_t> up, acting;
  Version log_tail;
  bool removing = false;  ///< its pool is gone; what is left is being removed
  static void fields(auto& self, auto& wire) {
    wire(self.created);
    wire(self.interval_since);
    wire(self.last_started);
    wire(self.last_clean);
    wire(self.up, 64);
    wire(self.acting, 64);
    wire(self.log_tail);
    wire(self.removing);
  }
  friend bool operator==(const PgInfo&, const PgInfo&) = default;
};

/// Who serves a PG, by the newest map: the first half of peering, as a plain function. With a single copy there is
/// nobody to ask; with more there will be infos to collect before `activate` can be decided.
struct PeeringPlan {
  bool primary = false;       ///< we serve clients
  bool new_interval = false;  ///< the sets changed: whoever waits has been told by the map to look elsewhere
  bool activate = false;      ///< enough of the acting set is there
  std::uint64_t state = 0;    ///< msg::pg_state bits to show
};
PeeringPlan plan_peering(const PgInfo& info, const maps::Pool& pool, const maps::Placement& placement,
                         std::int32_t whoami);

/// One replica of one placement group. Lives on one shard, so no member takes a lock. Osd owns it; stop() must
/// complete before destruction.
/// Invariants: an op is acknowledged only once it is on stable storage; changes of one object happen in the order of
/// arrival; every change is in the log in the transaction that makes it.
class PlacementGroup {
 public:
  PlacementGroup(PgHost& host, PgId id);
  ~PlacementGroup();
  PgId id() const { return id_; }

  /// Makes its collection, empty. Errc of the store.
  Task<Result<>> create(unsigned bits, Epoch epoch);
  /// Reads info and log. Errc::malformed, Errc::io.
  Task<Result<>> load(unsigned bits);

  /// The newest map; in order of epochs, after create() or load(). The pool is in it.
  void on_map(OsdMapRef map);
  /// Works on it when its turn comes; takes it over. The caller has checked the sender's rights.
  void submit(ClientOpRef op);
  /// Connections that broke: watches run into their timeouts.
  void on_reset(const msg::ConnectionRef& connection);
  /// Once a second: watches and notifies that time out, snapshots to trim.
  void tick();

  bool is_active() const { return active_; }
  bool is_primary() const { return primary_; }
  const maps::Pool& pool() const { return *pool_; }
  const std::string& pool_name() const { return pool_name_; }
  bool is_removing() const { return info_.removing; }
  msg::PgReport report() const;
  /// Counts changes of what report() says.
  std::uint64_t report_version() const { return report_version_; }
  std::size_t operations_in_flight() const { return in_flight_.size() + waiting_for_active_.size(); }
  template <class F>
  void for_each_operation(F&& visit) const {
    for (const auto& [pointer, op] : in_flight_) visit(*op);
    for (const auto& op : waiting_for_active_) visit(*op);
  }

  /// Its pool is gone: takes no more requests, removes every object, then the collection. Goes on after a restart.
  Task<Result<>> remove();
  /// Lets go of everything; requests not answered are forgotten (their clients ask again).
  Task<> stop();

 private:
  struct Writing;  // one change on its way to the store
  CollectionId collection() const { return {id_.pool, id_.seed}; }

  // pg_requests.cc
  Hold hold_for(const ClientOp& op, const ObjectContext& object) const;
  void start_queued(ObjectContext& object);
  void begin(const ClientOpRef& op, ObjectContext& object, Hold hold);
  Task<> load_and_decide(ClientOpRef op, ObjectContext& object, Hold hold);
  Task<> fetch_and_decide(ClientOpRef op, ObjectContext& object, Hold hold, Inputs inputs);
  void act(const ClientOpRef& op, ObjectContext& object, Hold hold, Outcome outcome);
  void write(const ClientOpRef& op, ObjectContext& object, Hold hold, Outcome outcome);
  Task<> complete(std::shared_ptr<Writing> writing, Task<Result<>> stored);
  void finish(const ClientOpRef& op, ObjectContext& object, Hold hold);
  Task<> list(ClientOpRef op);
  void after_durable(std::move_only_function<void()> action);
  void note_durable(Version at);
  bool answer_repeated(const ClientOpRef& op);
  std::int32_t refuse_full(const ClientOp& op, const Outcome& outcome) const;
  void apply_effects(ClientOp& op, ObjectContext& object, Outcome& outcome);
  void start_notifies(ClientOp& op, ObjectContext& object, Outcome& outcome);
  void reply(ClientOp& op, Outcome& outcome, Version at, std::uint64_t user_version, bool wrote);
  void reply_result(ClientOp& op, std::int32_t result, Version at, std::uint64_t user_version);

  // pg_background.cc
  Task<> save_info();
  void drop_watcher(ObjectContext& object, const WatchKey& key);
  Task<> trim_snaps();
  Task<Result<>> trim_one(SnapId snap, SnapId clone, ObjectId head);
  void note_trimmed(SnapId snap);
  std::shared_ptr<ClientOp> internal_op(const ObjectId& head);

  PgHost& host_;
  const PgId id_;
  unsigned bits_ = 0;
  TaskGroup tasks_;
  OsdMapRef map_;
  const maps::Pool* pool_ = nullptr;
  std::string pool_name_;
  PgInfo info_;
  PgLog log_;
  std::uint64_t version_ = 0;  ///< the last one given out
  std::uint64_t user_version_ = 0;
  ObjectContexts objects_;
  bool loaded_ = false, primary_ = false, active_ = false, stopping_ = false;
  std::uint64_t state_ = 0;
  std::deque<ClientOpRef> waiting_for_active_;
  std::unordered_map<const ClientOp*, ClientOpRef> in_flight_;
  /// Changes decided and not yet durable, by request id.
  std::unordered_map<RequestId, ClientOpRef, RequestIdHash> unstable_;
  std::set<Version> undurable_;  ///< changes decided and not yet durable
  std::deque<std::pair<Version, std::move_only_function<void()>>> after_durable_;
  std::set<ObjectContext*> watched_;
  std::set<SnapId> snaps_to_trim_;
  std::map<std::uint64_t, std::uint64_t> snaps_trimmed_;  ///< intervals purged, for the monitor
  bool trimming_ = false;
  msg::PgUsage usage_;
  std::uint64_t report_version_ = 0;
};

}  // namespace spirula::osd
