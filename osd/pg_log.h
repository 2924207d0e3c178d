#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
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
  static constexpr std::uint8_t version = 3, compat = 3;
  enum class Kind : std::uint8_t { modify = 1, remove = 2, trim = 3 };
  Kind kind = Kind::modify;
  ObjectId object;
  Version at, prior;
  std::uint64_t user_version = 0;
  RequestId request;
  Time modified;
  PgTotals totals;     ///< of the PG, after this entry
  bool stored = true;  ///< the store has the head after it, maybe as a whiteout
  static void fields(auto& self, auto& wire) {
    if constexpr (decodes<decltype(wire)>)
      if (wire.version() < version) return wire.fail();  // nobody has a store with older ones
    wire(self.kind);
    wire(self.object);
    wire(self.at);
    wire(self.prior);
    wire(self.user_version);
    wire(self.request);
    wire(self.modified);
    wire(self.totals);
    wire(self.stored);
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

/// The log of one PG: in memory what recognises requests that come twice and says whether it has a version; the
/// entries themselves are in the store. Plain data: the PG puts them into its transactions. It takes about 52 bytes an
/// entry: 41 in blocks of twelve, and a place in a table of positions by request id.
/// Invariants: versions ascend; after a restart the log holds exactly the entries whose transactions are durable.
class PgLog {
 public:
  /// What a repeated request is told: that it succeeded, since nothing else gets into the log.
  struct Answer {
    Version at;
    std::uint64_t user_version = 0;
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
  /// An entry without its padding.
  struct [[gnu::packed]] Place {
    std::uint64_t version, user_version, tid;
    std::int64_t client;  ///< negative: nobody's request, or one that failed
    std::uint32_t epoch;
    std::int32_t incarnation;
    msg::EntityType client_type;
    Version at() const { return {msg::Epoch(epoch), version}; }
    RequestId request() const { return {{client_type, client}, tid, incarnation}; }
  };
  void index(const PgLogEntry& entry);
  void forget_before(Version keep_from);
  void enter(std::uint32_t position);
  /// Of the newest entry with it in entries_.
  std::optional<std::size_t> look_up(const RequestId& request) const;

  Version head_, tail_;
  std::uint64_t last_user_version_ = 0;
  PgTotals totals_;
  std::deque<Place> entries_;  ///< ascending
  /// A hash table with open addressing: positions of entries, 0 where it is empty. Positions count on from `first_`,
  /// that of entries_.front(), and what lies before it is forgotten. When three quarters are taken the table is made
  /// again, twice as large as the log is then, and positions start at 1: so it never runs full, and nothing is removed.
  std::vector<std::uint32_t> table_;
  std::uint32_t first_ = 1;
};

}  // namespace spirula::osd
