#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/coroutine.h"
#include "base/simulation.h"
#include "filestore/memory_store.h"
#include "librados/cluster.h"
#include "mon/monitor.h"
#include "mon/test_storage.h"
#include "msg/mon_messages.h"
#include "osd/osd.h"

/// The real daemons in a simulated world: one monitor, OSDs on stores in memory that lose what was not durable, and a
/// client.
namespace spirula::simulation {

using msg::SnapId;

/// What a daemon sees of a store that outlives it. Once it is cut off, nothing the daemon still does has an effect.
class StoreLease : public filestore::ObjectStore {
 public:
  explicit StoreLease(filestore::MemoryStore& store) : store_(store) {}
  void cut() { cut_ = true; }

  using CollectionId = filestore::CollectionId;
  using ObjectId = filestore::ObjectId;
  Task<Result<>> submit(CollectionId collection, filestore::Transaction transaction) override {
    if (cut_) return refuse();
    return store_.submit(collection, std::move(transaction));
  }
  Task<Result<BufferList>> read(ObjectId object, std::uint64_t offset, std::uint64_t length) override {
    return store_.read(std::move(object), offset, length);
  }
  Task<Result<filestore::ObjectStat>> stat(ObjectId object) override { return store_.stat(std::move(object)); }
  Task<Result<std::vector<filestore::Extent>>> extents(ObjectId object, std::uint64_t offset,
                                                       std::uint64_t length) override {
    return store_.extents(std::move(object), offset, length);
  }
  Task<Result<Buffer>> get_attribute(ObjectId object, std::string name) override {
    return store_.get_attribute(std::move(object), std::move(name));
  }
  Task<Result<std::map<std::string, Buffer>>> get_attributes(ObjectId object) override {
    return store_.get_attributes(std::move(object));
  }
  Task<Result<Buffer>> omap_header(ObjectId object) override { return store_.omap_header(std::move(object)); }
  Task<Result<std::map<std::string, Buffer>>> omap_get(ObjectId object, std::set<std::string> keys) override {
    return store_.omap_get(std::move(object), std::move(keys));
  }
  Task<Result<filestore::OmapPage>> omap_list(ObjectId object, std::string after, std::string from,
                                              std::size_t count_max, std::size_t bytes_max) override {
    return store_.omap_list(std::move(object), std::move(after), std::move(from), count_max, bytes_max);
  }
  Task<Result<filestore::ObjectPage>> list(CollectionId collection, std::optional<ObjectId> start,
                                           std::size_t count_max) override {
    return store_.list(collection, std::move(start), count_max);
  }
  Task<Result<std::vector<filestore::CollectionInfo>>> collections() override { return store_.collections(); }
  Task<Result<std::map<std::string, Buffer>>> collection_get(CollectionId collection,
                                                             std::set<std::string> keys) override {
    return store_.collection_get(collection, std::move(keys));
  }
  Task<Result<filestore::OmapPage>> collection_list(CollectionId collection, std::string after,
                                                    std::size_t count_max) override {
    return store_.collection_list(collection, std::move(after), count_max);
  }
  Task<Result<std::uint32_t>> digest(ObjectId object, std::uint64_t offset, std::uint64_t length) override {
    return store_.digest(std::move(object), offset, length);
  }
  Task<Result<std::vector<filestore::Extent>>> verify(ObjectId object, std::uint64_t offset,
                                                      std::uint64_t length) override {
    return store_.verify(std::move(object), offset, length);
  }
  Result<std::shared_ptr<filestore::SpaceReservation>> reserve(std::uint64_t bytes, filestore::Space kind) override {
    return store_.reserve(bytes, kind);
  }
  filestore::StoreStatistics statistics() override { return store_.statistics(); }
  std::uint64_t transaction_bytes_max() const override { return store_.transaction_bytes_max(); }
  Task<Result<>> commit() override { co_return Result<>{}; }
  Task<> stop() override { co_return; }

 private:
  static Task<Result<>> refuse() { co_return Errc::io; }
  filestore::MemoryStore& store_;
  bool cut_ = false;
};

class Cluster {
 public:
  Cluster(std::uint64_t seed, unsigned osds, unsigned size, unsigned min_size);

  sim::Simulation world;
  Task<> start();
  Task<> stop();
  Task<> pass(Duration time);
  /// A monitor command; its text.
  Task<std::string> command(std::string json);

  /// Power off: what was not durable is gone.
  Task<> kill(unsigned osd);
  Task<> restart(unsigned osd);
  /// The pool has so many PGs.
  static constexpr unsigned pgs = 8;
  using Answer = msg::DaemonCommands::Answer;
  /// What the PG's primary answers to "query" and its like, as JSON; `more` arguments begin with a comma.
  Task<Answer> ask(unsigned seed, std::string command, std::string more = "");
  /// What the primaries count under that name of "stat_sum", of all PGs.
  Task<std::int64_t> sum(std::string name);
  /// One that runs.
  osd::Osd& osd(unsigned osd) { return *nodes_.at(osd).osd; }
  bool runs(unsigned osd) const { return nodes_.at(osd).osd != nullptr; }
  sim::Host& host(unsigned osd) { return *nodes_.at(osd).host; }
  sim::Host& client_host() { return *client_host_; }
  sim::Host& monitor_host() { return *monitor_host_; }
  /// From now on the OSD's store makes nothing durable, until it is killed or this is taken back.
  void hold(unsigned osd) { nodes_.at(osd).store->hold_durability(); }
  void release(unsigned osd) { nodes_.at(osd).store->release_durability(); }
  /// An empty disk, while it is off.
  Task<> replace_disk(unsigned osd);

  /// Of one of two clients on one host.
  librados::Objecter& objecter(unsigned client = 0) { return clients_.at(client)->objecter(); }
  /// A new self-managed snapshot of the pool.
  Task<SnapId> take_snapshot();
  Task<> remove_snapshot(SnapId snap);
  std::int64_t pool = -1;
  /// Until the monitor has been told that every PG is active and clean. False after `limit`.
  Task<bool> settle(Duration limit);
  /// What differs between the copies of the pool's objects; empty if nothing does. `clean` cluster.
  Task<std::string> compare_copies();

 private:
  struct Node {
    sim::Host* host = nullptr;
    std::unique_ptr<Config> config;
    std::unique_ptr<filestore::MemoryStore> store;
    StoreLease* lease = nullptr;
    std::unique_ptr<osd::Osd> osd;
  };
  Task<> format(unsigned osd);

  unsigned size_, min_size_;
  sim::Host *monitor_host_, *client_host_;
  Config monitor_config_{"mon", "a"}, client_config_{"client", "admin"};
  mon::MemoryStorage::Disk monitor_disk_;
  std::unique_ptr<mon::Monitor> monitor_;
  std::vector<Node> nodes_;
  Task<msg::PoolOpReply> pool_operation(msg::PoolOpKind kind, SnapId snap);
  std::vector<std::unique_ptr<librados::Cluster>> clients_;
};

}  // namespace spirula::simulation
