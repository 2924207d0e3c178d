#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "base/task_group.h"
#include "base/wait.h"
#include "maps/osd_map.h"
#include "msg/daemon_commands.h"
#include "msg/daemon_messages.h"
#include "osd/backoffs.h"
#include "osd/inputs.h"
#include "osd/object_context.h"
#include "osd/peer_messages.h"
#include "osd/peering.h"
#include "osd/pg_log.h"

namespace spirula::osd {

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
  /// Has the store give back what only its snapshots hold: space that was overwritten or deleted returns with later
  /// commits. The number of an attempt that begins from now on; PlacementGroup::on_room() follows every attempt.
  virtual std::uint64_t make_room() = 0;
  /// The attempts that have ended.
  virtual std::uint64_t room_attempts() = 0;
  /// The store takes no more writes: the daemon has to stop.
  virtual void store_failed(std::error_code why) = 0;
  /// Also the ids of backoffs.
  virtual std::uint64_t next_notify_id() = 0;
  /// Clients keep requests to a PG that is not active, or for an object that nobody has, even if there is room for them
  /// here.
  virtual bool backs_off_at_once() { return false; }
  virtual void count_backoff() {}
  /// To another OSD that the map shows up, in order; lost only if its process ends or its session breaks for good.
  virtual void send_to_osd(std::int32_t osd, msg::Message message) = 0;
  /// Takes one of the places for recovery that all PGs share; false: none is free. end_recovery() gives it back.
  virtual bool begin_recovery() { return true; }
  virtual void end_recovery() {}
  /// Asks the monitor to record that we are up (OsdAlive); a map answers.
  virtual void request_up_thru(Epoch wanted) = 0;
  /// Asks the monitor for another acting set (empty: the one that CRUSH chooses); a map answers.
  virtual void request_acting(PgId pg, std::vector<std::int32_t> acting) = 0;
};

/// One replica of one placement group. Lives on one shard, so no member takes a lock. Osd owns it; stop() must
/// complete before destruction.
/// Invariants: an op is acknowledged only once it is on stable storage here and at every replica; changes of one object
/// happen in the order of arrival; every change is in the log in the transaction that makes it.
/// With every interval it starts over from what its store has: README.md has the states and the protocol.
class PlacementGroup {
 public:
  PlacementGroup(PgHost& host, PgId id);
  ~PlacementGroup();
  PgId id() const { return id_; }

  /// Makes its collection, empty. `info`: the PG's history up to the map `seen`. Errc of the store.
  Task<Result<>> create(unsigned bits, PgInfo info, Epoch seen);
  /// Reads info and log. Errc::malformed, Errc::io.
  Task<Result<>> load(unsigned bits);

  /// A map older than the newest, for the history: after create() or load(), in order of epochs.
  void pass_map(const maps::OsdMap& map);
  /// The maps up to this one have been taken, or were before the store forgot them.
  void set_seen(Epoch epoch) { seen_ = std::max(seen_, epoch); }
  Epoch seen() const { return seen_; }
  const PgInfo& info() const { return info_; }
  /// The newest map, in order of epochs. The pool is in it. `serving`: it shows our process up.
  void on_map(OsdMapRef map, bool serving = true);
  /// Works on it when its turn comes; takes it over. The caller has checked the sender's rights.
  void submit(ClientOpRef op);
  /// Connections that broke: watches run into their timeouts, requests that wait for the PG or an object are forgotten.
  void on_reset(const msg::ConnectionRef& connection);
  /// The client keeps its requests from now on.
  void on_backoff_acknowledged(const msg::ConnectionRef& connection, std::uint64_t id) {
    backoffs_.on_acknowledged(connection, id);
  }
  // From other OSDs; of an epoch that we have.
  void on_request(PeerRequest request);
  void on_reply(PeerReply reply);
  void on_write(ReplicaWrite write);
  void on_ack(ReplicaAck ack);
  /// What was under way to or from that OSD is lost.
  void on_peer_reset(std::int32_t osd);
  /// An attempt to make room has ended.
  void on_room();
  /// Once a second: watches and notifies that time out, snapshots to trim.
  void tick();

  bool is_active() const { return active_; }
  bool is_primary() const { return primary_; }
  const maps::Pool& pool() const { return *pool_; }
  const std::string& pool_name() const { return pool_name_; }
  bool is_removing() const { return info_.removing; }
  /// Other OSDs have all of it and the map gives it to them: remove() may begin.
  bool is_unwanted() const { return unwanted_; }
  bool is_clean() const;
  msg::PgReport report() const;
  /// Counts changes of the state that report() says.
  std::uint64_t report_version() const { return report_version_; }
  /// Changes whenever the sums in report() do.
  std::uint64_t activity() const { return version_ + usage_.reads + usage_.recovered_objects; }
  /// Of the objects that a whole copy has.
  std::uint64_t bytes_stored() const {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(0, log_.totals().bytes));
  }
  std::size_t operations_in_flight() const { return in_flight_.size() + waiting_for_active_.size(); }
  template <class F>
  void for_each_operation(F&& visit) const {
    for (const auto& [pointer, op] : in_flight_) visit(*op);
    for (const auto& op : waiting_for_active_) visit(*op);
  }

  /// What people ask of it: "query", "list_unfound" (argument "offset"), "mark_unfound_lost" ("mulcmd": revert or
  /// delete). `done` may be dropped if the interval ends.
  using CommandDone = std::move_only_function<void(msg::DaemonCommands::Answer)>;
  void command(std::string name, msg::DaemonCommands::Arguments arguments, CommandDone done);

  /// Its pool is gone, or it is unwanted: takes no more requests, removes every object, then the collection. Goes on
  /// after a restart.
  Task<Result<>> remove();
  /// Lets go of everything; requests not answered are forgotten (their clients ask again).
  Task<> stop();

 private:
  struct Writing;  // one change on its way to the store
  /// Another OSD's copy, once it is activated.
  struct Peer {
    bool complete = true;
    ObjectId cursor;           ///< as PgInfo::cursor
    std::uint64_t filled = 0;  ///< objects known to be there, of a copy that is not complete
    Missing missing;
    /// The part after the cursor that is being filled, up to `range_last` or, with range_to_end, all the rest.
    bool filling = false, range_to_end = false;
    ObjectId range_last;
    bool compared = false;         ///< `differing` is known
    std::set<ObjectId> differing;  ///< heads in the range that are not yet as they should be
    std::set<ObjectId> touched;    ///< changed while the range was being compared
    /// Whether the replica has what a change of this head changes.
    bool follows(const ObjectId& head) const {
      return complete || head <= cursor || (in_range(head) && compared && !differing.contains(head));
    }
    bool in_range(const ObjectId& head) const {
      return filling && head > cursor && (range_to_end || head <= range_last);
    }
  };
  bool halted() const { return stopping_ || resetting_; }
  CollectionId collection() const { return {id_.pool, id_.seed}; }
  static constexpr const char* info_key = "info";
  static constexpr const char* missing_first = "missing.";
  static constexpr const char* missing_end = "missing/";
  static std::string missing_key(const ObjectId& head);
  static Result<Missing::value_type> read_missing(const std::string& key, const Buffer& value);

  // pg_requests.cc
  bool is_to_back_off(const ClientOp& op, std::size_t waiting) const;
  void begin_backoff(const ClientOp& op, const ObjectId& object);
  void back_off(const ClientOp& op);
  void back_off_waiting();
  void back_off_queued(ObjectContext& object);
  void drop_queued(ObjectContext& object, const msg::ConnectionRef& connection);
  Hold hold_for(const ClientOp& op, const ObjectContext& object) const;
  void start_queued(ObjectContext& object);
  void begin(const ClientOpRef& op, ObjectContext& object, Hold hold);
  bool take_loaded(const ClientOpRef& op, ObjectContext& object, Hold& hold, const Result<Attributes>& attributes);
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
  bool waits_for_room(ClientOp& op);
  std::int32_t refuse_full(const ClientOp& op, const Outcome& outcome) const;
  void apply_effects(ClientOp& op, ObjectContext& object, Outcome& outcome);
  void start_notifies(ClientOp& op, ObjectContext& object, Outcome& outcome);
  void reply(ClientOp& op, Outcome& outcome, Version at, std::uint64_t user_version, bool wrote);
  void reply_result(ClientOp& op, std::int32_t result, Version at, std::uint64_t user_version);

  // pg_peering.cc
  void begin_interval();
  Task<> change_interval();
  using VisitKey = std::function<Result<>(const std::string& key, const Buffer& value)>;
  Task<Result<>> for_each_key(std::string first, std::string end, VisitKey visit);
  Task<Result<>> load_log();
  Task<> peer();
  Task<Result<bool>> try_peering();
  Task<Result<>> collect_copies();
  Task<Result<>> adopt_log(std::vector<PgLogEntry> theirs, Version since, PgInfo info);
  Task<Result<std::vector<PgLogEntry>>> read_log();
  Task<Result<>> activate_replicas();
  void activate();
  void decide_serving();
  void show(std::uint64_t state);
  void update_state();
  void note_snaps();
  CopyInfo copy_info() const;
  void notify_primary();
  Task<Result<Activated>> follow(Activation activation);
  Task<> mark_clean();

  // pg_replication.cc
  Task<Result<Buffer>> ask(std::int32_t osd, PeerRequest::Kind kind, Buffer payload, BufferList data = {},
                           Duration patience = std::chrono::seconds(15));
  void tell(std::int32_t osd, PeerRequest::Kind kind, Buffer payload);
  Task<> serve(PeerRequest request);
  Task<Result<Buffer>> answer(PeerRequest& request);
  /// Stores a change here and at the replicas; its place is taken when this is called.
  Task<Result<>> commit(const PgLogEntry& entry, Version previous, Version keep_from, Transaction transaction);
  Task<Result<>> wait_for_replicas(Version at, Task<Result<>> local);
  Task<> acknowledge(ReplicaAck ack, std::int32_t to, Task<Result<>> stored);
  bool must_wait(const ObjectId& head, bool changes) const;
  void note_missing(const Transaction& transaction);

  // pg_recovery.cc
  Task<> recover();
  Task<> recover_objects();
  Task<> recover_some();
  struct Next {
    ObjectId head;
    bool urgent = false;  ///< a client waits for it
  };
  std::optional<Next> next_to_recover();
  Task<Result<>> recover_one(ObjectId head);
  Task<Result<ObjectContext*>> hold(ObjectId head, Hold hold);
  Task<Result<>> pull(ObjectId head, Need need);
  Task<Result<>> send_family(std::int32_t osd, ObjectId head, bool older = false);
  Task<Result<>> send_object(std::int32_t osd, ObjectId object, ChunkPayload first);
  Task<Result<FamilyPayload>> read_family(ObjectId head);
  Task<Result<>> take_chunk(ChunkPayload chunk, BufferList data);
  Task<Result<>> take_family(FamilyPayload family);
  Task<Result<RangePayload>> list_range(RangeOrder order);
  /// The map says that it has no room for what it does not have yet.
  bool is_too_full(std::int32_t osd) const;
  bool may_fill(std::int32_t osd) const;
  bool is_full(std::int32_t osd) const;
  Task<Result<>> backfill(std::int32_t osd);
  Task<Result<Version>> version_of(ObjectId object);

  // pg_unfound.cc
  struct Source {
    std::int32_t osd;
    bool exact;  ///< it does not follow: only if it has the very version
  };
  struct Earlier {
    std::int32_t osd = -1;  ///< nobody
    Version at;
  };
  std::vector<Source> sources_of(const ObjectId& head) const;
  bool is_unfound(const ObjectId& head, const Need& need) const;
  bool is_unfound(const ObjectId& head) const;
  void note_found(const ObjectId& head);
  std::size_t count_unfound() const;
  std::map<std::int32_t, bool> might_have_unfound() const;
  Task<> list_unfound(std::string offset, CommandDone done);
  Task<> mark_unfound_lost(bool revert, CommandDone done);
  Task<Result<>> give_up(ObjectId head, bool revert);
  Task<Result<>> give_up_held(ObjectContext& object, Need need, bool revert);
  Task<Result<Earlier>> find_earlier(ObjectId head, Need need, std::set<Version> known);

  // pg_query.cc
  JsonObject describe() const;
  JsonObject describe_stats() const;
  JsonArray describe_recovery() const;
  JsonArray describe_sources() const;

  // pg_background.cc
  Task<Result<>> save_info();
  void drop_watcher(ObjectContext& object, const WatchKey& key);
  Task<> trim_snaps();
  Task<Result<>> trim_one(SnapId snap, SnapId clone, ObjectId head);
  void note_trimmed(SnapId snap);
  std::shared_ptr<ClientOp> internal_op(const ObjectId& head);

  PgHost& host_;
  const PgId id_;
  unsigned bits_ = 0;
  TaskGroup tasks_;                  ///< what outlives an interval
  std::unique_ptr<TaskGroup> work_;  ///< of this interval
  OsdMapRef map_;
  Epoch seen_;
  const maps::Pool* pool_ = nullptr;
  std::string pool_name_;
  PgInfo info_;
  PgLog log_;
  std::uint64_t version_ = 0;  ///< the last one given out
  std::uint64_t user_version_ = 0;
  ObjectContexts objects_;
  bool loaded_ = false, primary_ = false, active_ = false, stopping_ = false;
  bool serving_ = false, resetting_ = false, changing_ = false, unwanted_ = false;
  std::uint64_t interval_number_ = 0;  ///< counts begin_interval()
  Event map_changed_, recovery_wanted_;
  std::uint64_t arrivals_ = 0;
  std::deque<std::move_only_function<void()>> after_reset_;
  // Of this interval, as primary.
  std::map<std::int32_t, CopyInfo> copies_;  ///< what others told of their copies
  std::vector<std::int32_t> replicas_;       ///< who gets every change: activated
  std::map<std::int32_t, Peer> peers_;       ///< of the replicas
  std::uint64_t activation_ = 0;             ///< what we activated, or follow as a replica
  std::uint64_t followed_ = 0;               ///< the last one we followed
  bool activated_ = false;
  struct Awaiting {
    std::set<std::int32_t> osds;
    std::shared_ptr<Event> done;
  };
  std::map<Version, Awaiting> awaiting_;
  struct Question;
  std::map<std::uint64_t, std::shared_ptr<Question>> questions_;
  std::uint64_t last_question_ = 0;
  Missing missing_;  ///< of our own copy
  std::set<ObjectId> recovering_;
  std::set<ObjectId> unfound_;                          ///< not to be tried again just now
  std::set<std::pair<std::int32_t, ObjectId>> denied_;  ///< who does not have what
  std::deque<ObjectId> wanted_;                         ///< objects that clients wait for
  std::deque<ClientOpRef> waiting_for_objects_;         ///< listings
  std::size_t recoverers_ = 0;
  Event recoverers_done_;
  std::string peering_problem_;
  std::uint64_t state_ = 0;
  Time state_since_;
  std::deque<ClientOpRef> waiting_for_active_;
  Backoffs backoffs_;
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
