#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "msg/mon_messages.h"

/// What `rados df` asks the monitor. Sources: Ceph src/messages/MGetPoolStats.h, MGetPoolStatsReply.h,
/// src/osd/osd_types.h (object_stat_sum_t, pool_stat_t, store_statfs_t).
namespace spirula::msg {

/// Ceph: object_stat_sum_t. Counts over the objects of a PG or pool.
struct ObjectStats {
  static constexpr std::uint8_t version = 20, compat = 14;
  std::int64_t bytes = 0, objects = 0, clones = 0, copies = 0, missing_on_primary = 0, degraded = 0, unfound = 0;
  std::int64_t reads = 0, read_kib = 0, writes = 0, write_kib = 0, scrub_errors = 0;
  std::int64_t objects_recovered = 0, bytes_recovered = 0, keys_recovered = 0;
  std::int64_t shallow_scrub_errors = 0, deep_scrub_errors = 0, dirty = 0, whiteouts = 0, with_omap = 0;
  std::int64_t hit_set_objects = 0, misplaced = 0, hit_set_bytes = 0;
  std::int64_t flushes = 0, flush_kib = 0, evictions = 0, evict_kib = 0, promotions = 0;
  std::int32_t flush_mode_high = 0, flush_mode_low = 0, evict_mode_some = 0, evict_mode_full = 0;
  std::int64_t pinned = 0, missing = 0, legacy_snapsets = 0, large_omap = 0, manifests = 0;
  std::int64_t omap_bytes = 0, omap_keys = 0, repaired = 0;
  static void fields(auto& self, auto& wire) {
    for (auto* each : {&self.bytes,
                       &self.objects,
                       &self.clones,
                       &self.copies,
                       &self.missing_on_primary,
                       &self.degraded,
                       &self.unfound,
                       &self.reads,
                       &self.read_kib,
                       &self.writes,
                       &self.write_kib,
                       &self.scrub_errors,
                       &self.objects_recovered,
                       &self.bytes_recovered,
                       &self.keys_recovered,
                       &self.shallow_scrub_errors,
                       &self.deep_scrub_errors,
                       &self.dirty,
                       &self.whiteouts,
                       &self.with_omap,
                       &self.hit_set_objects,
                       &self.misplaced,
                       &self.hit_set_bytes,
                       &self.flushes,
                       &self.flush_kib,
                       &self.evictions,
                       &self.evict_kib,
                       &self.promotions})
      wire(*each);
    for (auto* each : {&self.flush_mode_high, &self.flush_mode_low, &self.evict_mode_some, &self.evict_mode_full})
      wire(*each);
    for (auto* each : {&self.pinned, &self.missing, &self.legacy_snapsets, &self.large_omap, &self.manifests,
                       &self.omap_bytes, &self.omap_keys, &self.repaired})
      wire(*each);
  }
  friend bool operator==(const ObjectStats&, const ObjectStats&) = default;
};

/// Ceph: object_stat_collection_t.
struct ObjectStatsCollection {
  static constexpr std::uint8_t version = 2, compat = 2;
  ObjectStats sum;
  std::uint32_t categories = 0;  ///< always none since Giant
  static void fields(auto& self, auto& wire) {
    wire(self.sum);
    wire(self.categories);
  }
  friend bool operator==(const ObjectStatsCollection&, const ObjectStatsCollection&) = default;
};

/// Ceph: store_statfs_t. Bytes of a store.
struct StoreStats {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::uint64_t total = 0, available = 0, internally_reserved = 0;
  std::int64_t allocated = 0, data_stored = 0;
  std::int64_t compressed = 0, compressed_allocated = 0, compressed_original = 0;
  std::int64_t omap_allocated = 0, internal_metadata = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.total);
    wire(self.available);
    wire(self.internally_reserved);
    for (auto* each : {&self.allocated, &self.data_stored, &self.compressed, &self.compressed_allocated,
                       &self.compressed_original, &self.omap_allocated, &self.internal_metadata})
      wire(*each);
  }
  friend bool operator==(const StoreStats&, const StoreStats&) = default;
};

/// Ceph: pool_stat_t.
struct PoolStats {
  static constexpr std::uint8_t version = 7, compat = 5;
  ObjectStatsCollection stats;
  std::int64_t log_size = 0, ondisk_log_size = 0;
  std::int32_t up = 0, acting = 0;  ///< sums of the sizes of these sets over the PGs
  StoreStats store;
  std::uint32_t stores = 0;  ///< OSDs that reported `store`
  static void fields(auto& self, auto& wire) {
    wire(self.stats);
    wire(self.log_size);
    wire(self.ondisk_log_size);
    wire(self.up);
    wire(self.acting);
    wire.since(7, self.store);
    wire.since(7, self.stores);
  }
  friend bool operator==(const PoolStats&, const PoolStats&) = default;
};

/// Ceph: MGetPoolStats.
struct GetPoolStats {
  static constexpr std::uint16_t message_type = 58, header_version = 1, header_compat = 1;
  PaxosHeader paxos;
  Uuid fsid;
  std::vector<std::string> pools;
  static void fields(auto& self, auto& wire) {
    wire(self.paxos);
    wire(self.fsid);
    wire(self.pools, limits::pool_names_max);
  }
};

/// Ceph: MGetPoolStatsReply.
struct GetPoolStatsReply {
  static constexpr std::uint16_t message_type = 59, header_version = 2, header_compat = 1;
  PaxosHeader paxos;
  Uuid fsid;
  std::map<std::string, PoolStats> pools;
  bool per_pool = false;  ///< every OSD reports usage by pool
  static void fields(auto& self, auto& wire) {
    wire(self.paxos);
    wire(self.fsid);
    wire(self.pools, limits::pool_names_max);
    wire.since(2, self.per_pool);
  }
};

}  // namespace spirula::msg
