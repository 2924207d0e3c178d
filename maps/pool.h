#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "msg/types.h"

namespace spirula::maps {

using msg::Epoch;
using msg::PgId;
using msg::SnapId;

/// Ceph: interval_set. Runs [start, start + length) by start.
using Intervals = std::map<std::uint64_t, std::uint64_t>;

/// Ceph: pool_snap_info_t.
struct PoolSnapshot {
  static constexpr std::uint8_t version = 2, compat = 2;
  SnapId id;
  msg::Time stamp;
  std::string name;
  static void fields(auto& self, auto& wire) {
    wire(self.id);
    wire(self.stamp);
    wire(self.name);
  }
  friend bool operator==(const PoolSnapshot&, const PoolSnapshot&) = default;
};

/// Ceph: pool_opts_t. Per-pool options by number (Ceph: pool_opts_t::key_t).
struct PoolOptions {
  static constexpr std::uint8_t version = 2, compat = 1;
  using Value = std::variant<std::string, std::int64_t, double>;
  std::map<std::int32_t, Value> values;
  static void fields(auto& self, auto& wire) {
    if constexpr (decodes<decltype(wire)>) {
      for (auto n = wire.template read<std::uint32_t>(); n-- > 0 && !wire.failed();) {
        auto key = wire.template read<std::int32_t>();
        switch (wire.template read<std::int32_t>()) {
          case 0:
            self.values[key] = wire.template read<std::string>();
            break;
          case 1:
            self.values[key] = wire.version() >= 2 ? wire.template read<std::int64_t>()
                                                   : std::int64_t{wire.template read<std::int32_t>()};
            break;
          case 2:
            self.values[key] = wire.template read<double>();
            break;
          default:
            wire.fail();
        }
      }
    } else {
      wire(static_cast<std::uint32_t>(self.values.size()));
      for (const auto& [key, value] : self.values) {
        wire(key);
        wire(static_cast<std::int32_t>(value.index()));
        std::visit([&](const auto& v) { wire(v); }, value);
      }
    }
  }
  friend bool operator==(const PoolOptions&, const PoolOptions&) = default;
};

/// Ceph: HitSet::Params, always of type none: we have no cache tiers.
struct HitSetParameters {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::uint8_t type = 0;
  static void fields(auto& self, auto& wire) { wire(self.type); }
  friend bool operator==(const HitSetParameters&, const HitSetParameters&) = default;
};

/// Ceph: pg_merge_meta_t.
struct PgMergeRecord {
  static constexpr std::uint8_t version = 1, compat = 1;
  PgId source;
  Epoch ready, last_started, last_clean;
  msg::Version source_version, target_version;
  static void fields(auto& self, auto& wire) {
    wire(self.source);
    wire(self.ready);
    wire(self.last_started);
    wire(self.last_clean);
    wire(self.source_version);
    wire(self.target_version);
  }
  friend bool operator==(const PgMergeRecord&, const PgMergeRecord&) = default;
};

/// Ceph: pg_pool_t, as Pacific encodes it (version 29). One pool.
struct Pool {
  enum class Type : std::uint8_t { replicated = 1, erasure = 3 };
  /// Ceph: pg_pool_t::FLAG_*.
  enum Flag : std::uint64_t {
    hash_ps_pool = 1 << 0,
    full = 1 << 1,
    ec_overwrites = 1 << 2,
    incomplete_clones = 1 << 3,
    no_delete = 1 << 4,
    no_pg_change = 1 << 5,
    no_size_change = 1 << 6,
    full_quota = 1 << 10,
    near_full = 1 << 11,
    back_fill_full = 1 << 12,
    self_managed_snaps = 1 << 13,
    pool_snaps = 1 << 14,
    creating = 1 << 15,
    eio = 1 << 16,
    bulk = 1 << 17,
  };
  static constexpr std::uint8_t version = 29, compat = 5;

  Type type = Type::replicated;
  std::uint8_t size = 1;      ///< replicas
  std::uint8_t min_size = 1;  ///< fewer than this and the PG serves nothing
  std::uint8_t crush_rule = 0;
  std::uint8_t object_hash = 2;  ///< rjenkins
  std::uint32_t pg_num = 1, pgp_num = 1;
  Epoch last_change;
  SnapId snap_sequence;
  Epoch snap_epoch;
  std::map<SnapId, PoolSnapshot> snaps;
  Intervals removed_snaps;
  std::uint64_t flags = hash_ps_pool;
  std::uint64_t quota_bytes = 0, quota_objects = 0;
  std::map<std::string, std::string> properties;
  std::uint32_t stripe_width = 0;
  std::string erasure_code_profile;
  PoolOptions options;
  std::map<std::string, std::map<std::string, std::string>> applications;
  msg::Time create_time;
  std::uint32_t pg_num_target = 1, pgp_num_target = 1, pg_num_pending = 1;
  Epoch last_force_resend, last_force_resend_prenautilus, last_force_resend_preluminous;
  std::uint8_t autoscale_mode = 0;  ///< off
  PgMergeRecord last_merge;
  std::uint64_t expected_objects = 0;

  // Cache tiers and hit sets: carried so that a stock map keeps its bytes; we never set them.
  std::set<std::uint64_t> tiers;
  std::int64_t tier_of = -1, read_tier = -1, write_tier = -1;
  std::uint8_t cache_mode = 0;
  HitSetParameters hit_set;
  std::uint32_t hit_set_period = 0, hit_set_count = 0;
  std::uint64_t cache_bytes_max = 0, cache_objects_max = 0;
  std::uint32_t cache_dirty_ratio = 400000, cache_full_ratio = 800000, cache_dirty_high_ratio = 600000;
  std::uint32_t cache_flush_age_min = 0, cache_evict_age_min = 0;
  std::uint32_t read_recency_min = 0, write_recency_min = 0;
  bool use_gmt_hit_set = true;
  bool fast_read = false;
  std::uint32_t hit_set_grade_decay = 0, hit_set_search_last = 0;

  bool has(Flag flag) const { return flags & flag; }
  /// The PG of a hash (Ceph: raw_pg_to_pg).
  std::uint32_t pg_seed(std::uint32_t hash) const;
  /// CRUSH's input for a PG (Ceph: raw_pg_to_pps).
  std::uint32_t placement_seed(PgId pg) const;
  /// What clients write under: the pool's own snapshots, newest first.
  msg::SnapContext snap_context() const;

  static void fields(auto& self, auto& wire) {
    std::uint32_t unused = 0;
    std::uint64_t unused_wide = 0;
    wire(self.type);
    wire(self.size);
    wire(self.crush_rule);
    wire(self.object_hash);
    wire(self.pg_num);
    wire(self.pgp_num);
    wire(unused);  // localised PGs, gone since Bobtail
    wire(unused);
    wire(self.last_change);
    wire(self.snap_sequence);
    wire(self.snap_epoch);
    wire(self.snaps);
    wire(self.removed_snaps);
    wire(unused_wide);  // auid
    wire(self.flags);
    wire(unused);  // crash_replay_interval
    wire(self.min_size);
    wire(self.quota_bytes);
    wire(self.quota_objects);
    wire(self.tiers);
    wire(self.tier_of);
    wire(self.cache_mode);
    wire(self.read_tier);
    wire(self.write_tier);
    wire(self.properties);
    wire(self.hit_set);
    wire(self.hit_set_period);
    wire(self.hit_set_count);
    wire(self.stripe_width);
    wire(self.cache_bytes_max);
    wire(self.cache_objects_max);
    wire(self.cache_dirty_ratio);
    wire(self.cache_full_ratio);
    wire(self.cache_flush_age_min);
    wire(self.cache_evict_age_min);
    wire(self.erasure_code_profile);
    wire(self.last_force_resend_preluminous);
    wire(self.read_recency_min);
    wire(self.expected_objects);
    wire.since(19, self.cache_dirty_high_ratio);
    wire.since(20, self.write_recency_min);
    wire.since(21, self.use_gmt_hit_set);
    wire.since(22, self.fast_read);
    wire.since(23, self.hit_set_grade_decay);
    wire.since(23, self.hit_set_search_last);
    wire.since(24, self.options);
    wire.since(25, self.last_force_resend_prenautilus);
    wire.since(26, self.applications);
    wire.since(27, self.create_time);
    wire.since(28, self.pg_num_target);
    wire.since(28, self.pgp_num_target);
    wire.since(28, self.pg_num_pending);
    wire.since(28, unused);  // pg_num_dec_last_epoch_started, _clean: replaced by last_merge
    wire.since(28, unused);
    wire.since(28, self.last_force_resend);
    wire.since(28, self.autoscale_mode);
    wire.since(29, self.last_merge);
  }
  friend bool operator==(const Pool&, const Pool&) = default;
};

}  // namespace spirula::maps
