#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/codec.h"
#include "msg/mds_state.h"
#include "msg/types.h"

namespace spirula::maps {

/// Ceph: FeatureSet in CompatSet. The lowest bit is always set in memory and never on the wire.
struct FeatureSet {
  std::uint64_t mask = 1;
  std::map<std::uint64_t, std::string> names;
  static void fields(auto& self, auto& wire) {
    std::uint64_t bits = self.mask & ~std::uint64_t{1};
    wire(bits);
    if constexpr (decodes<decltype(wire)>) self.mask = bits | 1;
    wire(self.names, 64);
  }
  friend bool operator==(const FeatureSet&, const FeatureSet&) = default;
};

/// Ceph: CompatSet.
struct CompatSet {
  FeatureSet compat, read_only_compat, incompat;
  static void fields(auto& self, auto& wire) {
    wire(self.compat);
    wire(self.read_only_compat);
    wire(self.incompat);
  }
  friend bool operator==(const CompatSet&, const CompatSet&) = default;
};
/// What a Pacific file system demands of an MDS (Ceph: MDSMap::get_compat_set_default); `inline_data`: of an MDS itself
/// (get_compat_set_all).
CompatSet mds_compat_set(bool inline_data);

using msg::MdsState;

/// The number of one MDS process's life: its global id at the monitor.
struct MdsGidTag {};
using MdsGid = Strong<MdsGidTag, std::uint64_t>;
inline constexpr std::int32_t rank_none = -1;
inline constexpr std::int32_t fscid_none = -1;  ///< no file system

/// Ceph: MDSMap::mds_info_t, version 10. One MDS process.
struct MdsInfo {
  static constexpr std::uint8_t version = 10, compat = 4;
  MdsGid gid;
  std::string name;
  std::int32_t rank = rank_none;
  std::int32_t incarnation = 0;
  MdsState state = MdsState::standby;
  std::uint64_t state_sequence = 0;
  msg::AddressVector addresses;
  msg::Time laggy_since;
  std::int32_t standby_for_rank = rank_none;
  std::string standby_for_name;
  std::set<std::int32_t> export_targets;
  std::uint64_t features = msg::features::all;
  std::int32_t join_fscid = fscid_none;
  bool standby_replay = false;
  std::uint64_t flags = 0;
  CompatSet compat_set;
  static void fields(auto& self, auto& wire) {
    wire(self.gid);
    wire(self.name);
    wire(self.rank);
    wire(self.incarnation);
    wire(self.state);
    wire(self.state_sequence);
    wire(self.addresses);
    wire(self.laggy_since);
    wire(self.standby_for_rank);
    wire(self.standby_for_name);
    wire.since(2, self.export_targets);
    wire.since(5, self.features);
    wire.since(6, self.join_fscid);
    wire.since(7, self.standby_replay);
    wire.since(9, self.flags);
    wire.since(10, self.compat_set);
  }
  friend bool operator==(const MdsInfo&, const MdsInfo&) = default;
};

/// Ceph: feature_bitset_t. Bits as 64-bit words, counted in bytes.
struct FeatureBits {
  std::vector<std::uint64_t> words;
  bool has(unsigned bit) const { return bit / 64 < words.size() && (words[bit / 64] >> (bit % 64) & 1); }
  void set(unsigned bit);
  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
  friend bool operator==(const FeatureBits&, const FeatureBits&) = default;
};

/// Ceph: MDSMap (version 5, extended version 16). One file system and the MDSs that serve it.
struct MdsMap {
  static constexpr std::uint8_t version = 5, compat = 4;
  static constexpr std::uint16_t extended_version = 16;
  /// Ceph: CEPH_MDSMAP_*.
  enum Flag : std::uint32_t { not_joinable = 1 << 0, allow_snaps = 1 << 1, allow_standby_replay = 1 << 5 };

  msg::Epoch epoch;
  std::uint32_t flags = 0x12;  ///< allow_snaps, allow_multimds_snaps: a new Pacific file system
  msg::Epoch last_failure;
  std::int32_t root = 0;
  std::uint32_t session_timeout_s = 60, session_autoclose_s = 300;
  std::uint64_t max_file_size = std::uint64_t{1} << 40;
  std::int32_t max_mds = 1;
  std::map<MdsGid, MdsInfo> daemons;
  std::vector<std::int64_t> data_pools;
  std::int64_t cas_pool = -1;
  CompatSet compat_set;
  std::int64_t metadata_pool = -1;
  msg::Time created, modified;
  std::int32_t table_server = 0;
  std::set<std::int32_t> in;                          ///< ranks that exist
  std::map<std::int32_t, std::int32_t> incarnations;  ///< of each rank
  std::map<std::int32_t, MdsGid> up;                  ///< who holds a rank
  std::set<std::int32_t> failed, stopped, damaged;
  msg::Epoch last_failure_osd_epoch;  ///< an MDS goes on only with this OSD map: its predecessor is blocklisted there
  bool ever_allowed_snaps = false, explicitly_allowed_snaps = false;
  bool inline_data = false;
  bool enabled = true;
  std::string name;
  std::string balancer;
  std::int32_t standby_count_wanted = -1;
  std::int32_t old_max_mds = 0;
  std::uint8_t min_compat_client = 0;
  FeatureBits required_client_features;

  static void fields(auto& self, auto& wire) {
    std::uint16_t extended = extended_version;
    wire(self.epoch);
    wire(self.flags);
    wire(self.last_failure);
    wire(self.root);
    wire(self.session_timeout_s);
    wire(self.session_autoclose_s);
    wire(self.max_file_size);
    wire(self.max_mds);
    wire(self.daemons, 4096);
    wire(self.data_pools, 4096);
    wire(self.cas_pool);
    wire(extended);
    wire(self.compat_set);
    wire(self.metadata_pool);
    wire(self.created);
    wire(self.modified);
    wire(self.table_server);
    wire(self.in, 4096);
    wire(self.incarnations, 4096);
    wire(self.up, 4096);
    wire(self.failed, 4096);
    wire(self.stopped, 4096);
    wire(self.last_failure_osd_epoch);
    wire(self.ever_allowed_snaps);
    wire(self.explicitly_allowed_snaps);
    wire(self.inline_data);
    wire(self.enabled);
    wire(self.name);
    wire(self.damaged, 4096);
    wire(self.balancer);
    wire(self.standby_count_wanted);
    wire(self.old_max_mds);
    wire(self.min_compat_client);
    wire(self.required_client_features);
  }
  /// The daemon that holds a rank, or nullptr.
  const MdsInfo* holder(std::int32_t rank) const;
  friend bool operator==(const MdsMap&, const MdsMap&) = default;
};

}  // namespace spirula::maps
