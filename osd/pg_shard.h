#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/metrics.h"
#include "osd/map_history.h"
#include "osd/placement_group.h"

namespace spirula::osd {

/// Figures of the daemon that shards count.
struct OsdFigures {
  explicit OsdFigures(Metrics& metrics);
  Counter &operations, &reads, &writes, &read_bytes, &written_bytes, &dropped, &refused, &backoffs;
  Timing &read_latency, &write_latency;
};

class PgShard;

/// What the shards of one daemon share. Read-only while they run, or thread-safe.
struct ShardCommons {
  std::int32_t whoami = -1;
  filestore::ObjectStore* store = nullptr;
  unsigned count = 1;
  std::size_t log_entries_max = limits::log_entries_max;
  bool backoff_on_peering = false;
  OsdFigures* figures = nullptr;
  std::atomic<std::uint64_t> pg_count{0};
  std::atomic<std::uint64_t> next_notify{1};
  std::atomic<int> recoveries{0};
  std::vector<PgShard*> shards;
  std::function<void(ClientOpRef)> retry;                                      ///< on the shard that had it wait
  std::function<void(std::error_code)> on_store_failed;                        ///< from any shard
  std::function<msg::ConnectionRef(std::int32_t osd, PgShard& from)> connect;  ///< nullptr: the map does not show it up
  std::function<void(Epoch)> request_up_thru;                                  ///< from any shard
  std::function<void(PgId, std::vector<std::int32_t>)> request_acting;         ///< from any shard
};

/// The PGs of one shard.
class PgShard : public PgHost {
 public:
  PgShard(Shard& shard, unsigned index, ShardCommons& commons);
  ~PgShard() override;

  /// Whether a PG lives here.
  static unsigned index_of(PgId pg, unsigned count) { return count == 1 ? 0 : (pg.seed * 2654435761u >> 16) % count; }
  bool owns(PgId pg) const { return index_of(pg, commons_.count) == index_; }

  // All of these on the shard itself.
  /// Opens the PGs the store has. Errc of the store.
  /// `oldest`, `newest`: the maps that the store has.
  Task<Result<>> load(std::vector<filestore::CollectionInfo> collections, Epoch oldest, Epoch newest);
  /// Every epoch, in order. `serving`: the map shows this OSD up as the process that we are.
  void on_map(MapViewRef view, bool serving);
  const MapViewRef& view() const { return view_; }
  unsigned index() const { return index_; }
  /// A request whose sender may make it, by the map `checked`. Shards get a map one after the other: it waits until
  /// that map is here too, and if a newer one is, what that forbids counts.
  void handle(ClientOpRef op);
  /// A request made under a newer map. Once that is here it is handled or, if it is not checked yet, given to commons'
  /// retry.
  void wait_for_map(ClientOpRef op);
  void on_reset(const msg::ConnectionRef& connection);
  /// Drops requests that wait for a map and that the client keeps; returns ClientOp::waiting_bytes of them.
  std::uint64_t drop_waiting(const msg::ConnectionRef& connection, const msg::OsdBackoff& backoff);
  void on_backoff_acknowledged(const msg::ConnectionRef& connection, const msg::OsdBackoff& backoff);
  // From other OSDs.
  void handle_peer(PeerRequest request);
  void handle_peer(PeerReply reply);
  void handle_peer(ReplicaWrite write);
  void handle_peer(ReplicaAck ack);
  void on_peer_reset(std::int32_t osd);
  /// What people ask of a PG that we are primary of; see PlacementGroup::command().
  Task<msg::DaemonCommands::Answer> command(PgId pg, std::string name, msg::DaemonCommands::Arguments arguments);
  void tick();
  /// Reports of the PGs we are primary of: those whose state changed since the last call, with `sums` also those whose
  /// sums did, or all.
  enum class Which { changed, sums, all };
  std::vector<msg::PgReport> reports(Which which);
  /// What clients see of the objects in every copy here.
  std::uint64_t bytes_stored() const;
  std::size_t pgs_held() const { return pgs_.size(); }
  void for_each_operation(const std::function<void(const ClientOp&)>& visit) const;
  std::size_t operations_in_flight() const;
  Task<> stop();

  // PgHost
  Shard& shard() override { return shard_; }
  ObjectStore& store() override { return *commons_.store; }
  const ObjectClasses& classes() override { return ObjectClasses::builtin(); }
  std::int32_t whoami() override { return commons_.whoami; }
  Epoch epoch() override { return view_ ? view_->map->epoch : Epoch{}; }
  void reply(ClientOp& op, msg::OsdReply reply) override;
  std::size_t log_entries_max() override;
  std::size_t idle_objects_max() override;
  bool is_cautious() override { return cautious_; }
  bool is_full() override;
  std::uint64_t make_room() override;
  std::uint64_t room_attempts() override { return room_attempts_; }
  void store_failed(std::error_code why) override { commons_.on_store_failed(why); }
  std::uint64_t next_notify_id() override;
  bool backs_off_at_once() override { return commons_.backoff_on_peering; }
  void count_backoff() override { commons_.figures->backoffs.add(); }
  void send_to_osd(std::int32_t osd, msg::Message message) override;
  bool begin_recovery() override;
  void end_recovery() override { --commons_.recoveries; }
  void request_up_thru(Epoch wanted) override;
  void request_acting(PgId pg, std::vector<std::int32_t> acting) override;

 private:
  struct Slot {
    std::unique_ptr<PlacementGroup> pg;
    bool ready = false;     ///< created or loaded
    bool removing = false;  ///< its pool is gone
    bool remove_again = false;
    std::uint64_t reported = 0, activity = 0;  ///< what was reported last
    std::deque<ClientOpRef> waiting;
    std::deque<std::move_only_function<void()>> waiting_peers;
    std::deque<PeerRequest> told;  ///< notifies that came during the removal: of a copy that begins after it
  };
  Task<> create_new(PgId id);
  Task<> create_copy(PgId id, PgInfo info, Epoch seen, unsigned bits);
  Task<> create(PgId id, PgInfo info, Epoch seen, unsigned bits);
  Task<Result<>> catch_up(PlacementGroup& pg);
  Task<Result<OsdMapRef>> map_of(Epoch epoch);
  template <class M>
  void defer(M message);
  template <class M>
  void deliver(M message, void (PlacementGroup::*take)(M));
  Task<> remove(PgId id);
  Task<> commit_for_room();
  void look_for_missing();
  bool is_fenced(const ClientOp& op) const;

  // pg_copy.cc
  void fetch_copy_source(ClientOpRef op);
  using CopyDone = std::move_only_function<void(std::shared_ptr<const CopySource>)>;
  /// Reads a whole object of a PG that lives here.
  void read_whole(PgId pg, ObjectId object, SnapId snap, std::uint64_t version, CopyDone done);

  Shard& shard_;
  const unsigned index_;
  ShardCommons& commons_;
  TaskGroup tasks_;
  MapViewRef view_;
  bool serving_ = false, cautious_ = false, stopping_ = false;
  std::map<PgId, Slot> pgs_;
  std::map<PgId, maps::Placement> incomplete_;  ///< ours by the map, but their data is elsewhere
  std::deque<ClientOpRef> waiting_for_map_;
  std::deque<std::pair<Epoch, std::move_only_function<void()>>> waiting_peers_;  ///< for a map
  std::map<Epoch, OsdMapRef> recent_maps_;
  std::uint64_t room_attempts_ = 0, room_wanted_ = 0;
  bool making_room_ = false;
};

}  // namespace spirula::osd
