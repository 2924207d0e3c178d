#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/codec.h"
#include "base/result.h"
#include "crush/bucket.h"

namespace spirula::crush {

/// The knobs of the mapping algorithm; they are part of the map, so every client turns them the same way.
/// The defaults are Ceph's "jewel" profile, the newest there is. Ceph: crush_map and CrushWrapper::set_tunables_*.
struct Tunables {
  std::uint32_t choose_local_tries = 0;
  std::uint32_t choose_local_fallback_tries = 0;
  std::uint32_t choose_total_tries = 50;
  std::uint32_t chooseleaf_descend_once = 1;
  std::uint8_t chooseleaf_vary_r = 1;
  std::uint8_t straw_calc_version = 1;
  std::uint32_t allowed_bucket_algs = 0x36;  ///< bit (1 << Algorithm): uniform, list, straw, straw2
  std::uint8_t chooseleaf_stable = 1;

  friend bool operator==(const Tunables&, const Tunables&) = default;
  /// A profile by its name (argonaut or legacy, bobtail, firefly, hammer, jewel, optimal, default).
  static std::optional<Tunables> profile(std::string_view name);
  /// The profile these are, "unknown" if none.
  std::string_view profile_name() const;
};

/// What a rule step does. Ceph: CRUSH_RULE_*.
enum class Op : std::uint32_t {
  noop = 0,
  take = 1,               ///< arg1: the item to start from
  choose_firstn = 2,      ///< arg1: how many (<= 0: that much less than wanted); arg2: type
  choose_indep = 3,       ///< the same, positions keep their meaning when one fails
  emit = 4,               ///< append the working set to the result
  chooseleaf_firstn = 6,  ///< as choose, then one device under each
  chooseleaf_indep = 7,
  set_choose_tries = 8,  ///< arg1 overrides a tunable for the rest of the rule
  set_chooseleaf_tries = 9,
  set_choose_local_tries = 10,
  set_choose_local_fallback_tries = 11,
  set_chooseleaf_vary_r = 12,
  set_chooseleaf_stable = 13,
};
/// "chooseleaf_firstn" and the like, as `ceph osd crush rule dump` prints them; empty for a number that is none.
std::string_view name_of(Op op);

struct RuleStep {
  Op op = Op::noop;
  std::int32_t arg1 = 0;
  std::int32_t arg2 = 0;

  friend bool operator==(const RuleStep&, const RuleStep&) = default;
  static void fields(auto& self, auto& wire) {
    wire(self.op);
    wire(self.arg1);
    wire(self.arg2);
  }
};

/// What a rule is for. Ceph: CEPH_PG_TYPE_*.
enum class RuleType : std::uint8_t { replicated = 1, erasure = 3 };

/// How one kind of pool finds its devices. Its id is its slot in CrushMap::rules. Ceph: crush_rule.
struct Rule {
  std::uint8_t ruleset = 0;  ///< equals the id in maps made since Luminous
  RuleType type = RuleType::replicated;
  std::uint8_t size_min = 1;
  std::uint8_t size_max = 10;
  std::vector<RuleStep> steps;

  friend bool operator==(const Rule&, const Rule&) = default;
  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
};

/// Weights and ids that replace a straw2 bucket's own while drawing. Ceph: crush_choose_arg.
struct ChooseArg {
  std::vector<std::vector<Weight>> weight_sets;  ///< by result position; the last serves all further positions
  std::vector<ItemId> ids;

  friend bool operator==(const ChooseArg&, const ChooseArg&) = default;
  bool empty() const { return weight_sets.empty() && ids.empty(); }
  static void fields(auto& self, auto& wire) {
    wire(self.weight_sets);
    wire(self.ids);
  }
};

/// By bucket slot. Ceph: crush_choose_arg_map.
using ChooseArgs = std::map<std::uint32_t, ChooseArg>;

/// The hierarchy of devices and the rules that pick from it. A value: copy it, change the copy (edit.h), encode it.
/// Every client and daemon of a cluster computes from the same map where an object lives (mapper.h).
/// Ceph: CrushWrapper; the encoding is the one of Luminous and later, which the kernel client reads too.
struct CrushMap {
  std::int32_t max_devices = 0;  ///< every device in a bucket is below this
  Tunables tunables;
  std::vector<std::optional<Bucket>> buckets;  ///< slot s holds bucket -1 - s
  std::vector<std::optional<Rule>> rules;
  std::map<std::int32_t, std::string> type_names;
  std::map<ItemId, std::string> item_names;
  std::map<std::int32_t, std::string> rule_names;
  /// Device classes. Each class has a shadow of every real bucket that holds only the class's devices; a rule that
  /// wants the class takes the shadow. Shadows are named "bucket~class". See device_classes.h.
  std::map<ItemId, std::int32_t> item_classes;
  std::map<std::int32_t, std::string> class_names;
  std::map<ItemId, std::map<std::int32_t, ItemId>> class_buckets;  ///< real bucket -> class -> shadow
  std::map<std::int64_t, ChooseArgs> choose_args;                  ///< by pool; default_choose_args for all others

  friend bool operator==(const CrushMap&, const CrushMap&) = default;

  /// The map of a new cluster: Ceph's twelve types, an empty root "default", and rule 0 "replicated_rule" over hosts
  /// (`failure_domain` names another type).
  static CrushMap make_default(std::string_view failure_domain = "host");

  // --- looking things up -------------------------------------------------------------------------------------------
  const Bucket* bucket(ItemId id) const;
  Bucket* bucket(ItemId id);
  const Rule* rule(std::int32_t id) const;
  std::optional<ItemId> item_by_name(std::string_view name) const;
  std::optional<std::int32_t> type_by_name(std::string_view name) const;
  std::optional<std::int32_t> rule_by_name(std::string_view name) const;
  std::optional<std::int32_t> class_by_name(std::string_view name) const;
  /// Empty if it has none.
  std::string_view item_name(ItemId id) const;
  std::string_view type_name(std::int32_t type) const;
  std::string_view rule_name(std::int32_t id) const;
  std::string_view class_name(std::int32_t id) const;
  /// The device class of an item, empty if none.
  std::string_view item_class(ItemId id) const;
  /// 0 for a device, the bucket's type for a bucket that exists.
  std::optional<std::int32_t> type_of(ItemId id) const;
  /// A bucket that only exists for a device class.
  bool is_shadow(ItemId id) const;

  /// The first bucket (by slot) that holds the item; shadows come into question for shadows only.
  std::optional<ItemId> parent_of(ItemId id) const;
  /// (type name, bucket name) of every ancestor, nearest first. `ceph osd find` shows it.
  std::vector<std::pair<std::string, std::string>> location_of(ItemId id) const;
  /// Buckets that nothing holds, in ascending order; shadows only if asked for.
  std::set<ItemId> roots(bool with_shadows = false) const;
  /// The bucket and every bucket below it, each once, nearest first; nothing for a device.
  std::vector<const Bucket*> buckets_under(ItemId id) const;
  bool subtree_contains(ItemId root, ItemId item) const;
  /// Devices at or below an item, each once.
  std::set<ItemId> devices_under(ItemId id) const;
  /// The item's weight in the first bucket that holds it, a root's own weight; nothing if it is nowhere.
  std::optional<Weight> weight_of(ItemId id) const;
  /// The items a rule takes.
  std::vector<ItemId> takes_of(std::int32_t rule) const;
  /// The share (summing to 1 for each take) of each device below a rule's takes, by weight: how full a pool's devices
  /// get per byte it stores. Errc::not_found: no such rule. Ceph: get_rule_weight_osd_map.
  Result<std::map<ItemId, double>> device_shares(std::int32_t rule) const;

  /// The set for a pool, else the default one, else null.
  const ChooseArgs* choose_args_for(std::int64_t pool) const;

  // --- checking ----------------------------------------------------------------------------------------------------
  /// What makes the map unusable, in words; nothing if it is sound. decode() has already refused what would lead the
  /// mapper astray; this adds what an operator's map must satisfy: names and types of everything, weights that add up,
  /// rules that take existing items, shadows that mirror their buckets.
  std::optional<std::string> verify() const;
  /// One line for logs: counts of devices, buckets, rules and classes.
  std::string describe() const;

  /// Errc::malformed for bytes that are no map, or whose buckets contain themselves, missing buckets or misfit arrays.
  static Result<CrushMap> decode_map(Buffer bytes);
  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);

 private:
  /// What the mapper relies on: every bucket is in its slot and what it refers to exists, without cycles.
  bool navigable() const;
};

inline constexpr std::int64_t default_choose_args = -1;  ///< Ceph: CrushWrapper::DEFAULT_CHOOSE_ARGS

/// [-_.0-9a-zA-Z]+, the names Ceph accepts for items, types and rules.
bool is_valid_name(std::string_view name);

namespace limits {
/// Slots for buckets and rules; far above what a cluster of ten thousand OSDs needs. A rule's id is a byte (Ceph:
/// CRUSH_MAX_RULES).
inline constexpr std::size_t bucket_slots_max = std::size_t{1} << 20;
inline constexpr std::size_t rules_max = 256;
inline constexpr std::size_t rule_steps_max = 1024;
/// Nesting; Ceph names 10 (CRUSH_MAX_DEPTH) but never checks.
inline constexpr std::size_t depth_max = 32;
}  // namespace limits

}  // namespace spirula::crush
