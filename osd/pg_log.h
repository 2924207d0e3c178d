#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "filestore/transaction.h"
#include "osd/object_info.h"

namespace spirula::osd {

/// What a PG holds, counted as its log goes: every entry carries the sums after it, so that they are as durable as the
/// write itself and cost no key of their own.
struct PgTotals {
  std::int64_t bytes = 0, objects = 0, clones = 0, omap_objects = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.bytes);
    wire(self.objects);
    wire(self.clones);
    wire(self.omap_objects);
  }
  PgTotals& operator+=(const PgTotals& delta) {
    bytes += delta.bytes;
    objects += delta.objects;
    clones += delta.clones;
    omap_objects += delta.omap_objects;
    return *this;
  }
  friend PgTotals operator-(const PgTotals& a, const PgTotals& b) {
    return {a.bytes - b.bytes, a.objects - b.objects, a.clones - b.clones, a.omap_objects - b.omap_objects};
  }
  friend bool operator==(const PgTotals&, const PgTotals&) = default;
};

/// One change of one object (Ceph: pg_log_entry_t). Written to the collection's metadata in the transaction that makes
/// the change, under a key that sorts by version.
struct PgLogEntry {
  static constexpr std::uint8_t version = 2, compat = 1;
  enum class Kind : std::uint8_t { modify = 1, remove = 2, trim = 3 };
  Kind kind = Kind::modify;
  ObjectId object;
  Version at, prior;
  std::uint64_t user_version = 0;
  RequestId request;
  std::int32_t result = 0;  ///< what the client was told
  Time modified;
  PgTotals totals;     ///< of the PG, after this entry
  bool stored = true;  ///< the store has the head after it, maybe as a whiteout
  static void fields(auto& self, auto& wire) {
    wire(self.kind);
    wire(self.object);
    wire(self.at);
    wire(self.prior);
    wire(self.user_version);
    wire(self.request);
    wire(self.result);
    wire(self.modified);
    wire(self.totals);
    wire.since(2, self.stored);
  }
  friend bool operator==(const PgLogEntry&, const PgLogEntry&) = default;
};

struct RequestIdHash {
  std::size_t operator()(const RequestId& id) const noexcept {
    std::uint64_t mix = static_cast<std::uint64_t>(id.client.number) * 0x9e3779b97f4a7c15ull;
    mix ^= (id.tid + 0x7f4a7c15ull + (mix << 6)) * 0xbf58476d1ce4e5b9ull;
    return mix ^ (mix >> 29) ^ static_cast<std::uint64_t>(static_cast<std::uint32_t>(id.incarnation));
  }
};

/// The log of one PG: an index in memory over the newest entries, for recognising requests that come twice; the
/// entries themselves are in the store. Plain data: the PG puts them into its transactions.
/// Invariants: versions ascend; after a restart the log holds exactly the entries whose transactions are durable.
class PgLog {
 public:
  /// What a repeated request is told.
  struct Answer {
    Version at;
    std::uint64_t user_version = 0;
    std::int32_t result = 0;
  };

  /// The newest version given out, durable or not.
  Version head() const { return head_; }
  /// Every entry after it is here.
  Version tail() const { return tail_; }
  bool contains(Version at) const;
  std::uint64_t last_user_version() const { return last_user_version_; }
  const PgTotals& totals() const { return totals_; }
  std::size_t size() const { return entries_.size(); }

  /// Takes the next place in the log and adds the key to `transaction`; the entry's totals become those of the PG plus
  /// `delta`. Trims to `entries_max` now and then; returns the first version kept if it did.
  Version append(PgLogEntry& entry, const PgTotals& delta, std::size_t entries_max,
                 filestore::Transaction& transaction);
  /// The same on a replica: the primary's transaction carries the keys already. `keep_from`: what append() returned.
  void follow(const PgLogEntry& entry, Version keep_from);
  /// An entry that append() prepared did not reach the store: nothing happened.
  void retract(const RequestId& request, Version at, const PgTotals& delta);
  /// The answer given to `request`, if it changed something not too long ago.
  std::optional<Answer> find(const RequestId& request) const;

  /// Rebuilds the index from entries as they stand in the store, in key order. Errc::malformed.
  Result<> load(const std::string& key, const Buffer& value);
  /// Of the value under tail_key, before the entries. Errc::malformed.
  Result<> load_tail(const Buffer& value);

  /// Keys of the collection's metadata. Entry keys sort by version.
  static std::string entry_key(Version at);
  static constexpr const char* tail_key = "logtail";
  static constexpr const char* entries_first = "log.";
  static constexpr const char* entries_end = "log/";

 private:
  struct Indexed {
    Version at;
    RequestId request;
  };
  void index(const PgLogEntry& entry);
  void forget_before(Version keep_from);

  Version head_, tail_;
  std::uint64_t last_user_version_ = 0;
  PgTotals totals_;
  std::deque<Indexed> entries_;  ///< ascending
  std::unordered_map<RequestId, Answer, RequestIdHash> answers_;
};

}  // namespace spirula::osd
