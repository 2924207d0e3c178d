#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "base/task.h"
#include "filestore/limits.h"
#include "filestore/object_id.h"
#include "filestore/transaction.h"

namespace spirula::filestore {

struct ObjectStat {
  std::uint64_t size = 0;
};
struct Extent {
  std::uint64_t offset = 0, length = 0;
  friend bool operator==(const Extent&, const Extent&) = default;
};
struct StoreStatistics {
  std::uint64_t bytes_total = 0, bytes_used = 0, bytes_available = 0;
  std::uint64_t object_count = 0;
};
struct CollectionInfo {
  CollectionId id;
  unsigned bits = 0;
};
struct OmapPage {
  std::vector<std::pair<std::string, Buffer>> entries;
  bool more = false;
};
struct ObjectPage {
  std::vector<ObjectId> objects;
  /// Where the next page starts; nothing when this was the last.
  std::optional<ObjectId> next;
};

/// The object store under one OSD. Owned by it; may be called from any shard, and each call's coroutine goes on on the
/// shard that made it. stop() must complete before destruction.
/// Invariants: submit() returns success only once the transaction is durable; from then on every read sees it, and
/// after a crash it is there, whole. Transactions of one collection apply in the order of their submit() calls; a read
/// issued after submit() returned sees its effect even if the apply has not reached the disk.
/// A read of an object that a submitted but not yet durable transaction touches may see it or not.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  /// Takes its place in the collection's order when it is called, not when the task is awaited (dropping the task
  /// does not take the transaction back); completes when it is durable.
  /// Errc::no_space (nothing happened), Errc::not_found (no such collection or clone source), Errc::exists,
  /// Errc::not_empty, Errc::invalid (an object outside the collection, a size past limits::object_size_max),
  /// Errc::too_large, Errc::name_too_long are decided before anything is written. Errc::io: it may have happened, and
  /// the store takes no more writes. Errc::read_only: the store had failed before; it did not happen.
  virtual Task<Result<>> submit(CollectionId collection, Transaction transaction) = 0;

  /// At most `length` bytes from `offset`; short at the object's end; holes read as zeros. Errc::not_found; Errc::io
  /// when a block does not verify: never as data.
  virtual Task<Result<BufferList>> read(ObjectId object, std::uint64_t offset, std::uint64_t length) = 0;
  /// The same, of at most limits::inline_read_bytes_max, if nothing has to be waited for: the task of each request is
  /// dearer than what memory answers. Nothing: ask again with read().
  virtual std::optional<Result<BufferList>> read_now(const ObjectId& /*object*/, std::uint64_t /*offset*/,
                                                     std::uint64_t /*length*/) {
    return std::nullopt;
  }
  virtual Task<Result<ObjectStat>> stat(ObjectId object) = 0;
  /// Allocated ranges within the asked one, ascending.
  virtual Task<Result<std::vector<Extent>>> extents(ObjectId object, std::uint64_t offset, std::uint64_t length) = 0;
  /// Errc::not_found: no object; Errc::no_data: no such attribute.
  virtual Task<Result<Buffer>> get_attribute(ObjectId object, std::string name) = 0;
  virtual Task<Result<std::map<std::string, Buffer>>> get_attributes(ObjectId object) = 0;
  /// As read_now().
  virtual std::optional<Result<std::map<std::string, Buffer>>> get_attributes_now(const ObjectId& /*object*/) {
    return std::nullopt;
  }

  virtual Task<Result<Buffer>> omap_header(ObjectId object) = 0;
  /// Those of `keys` that exist.
  virtual Task<Result<std::map<std::string, Buffer>>> omap_get(ObjectId object, std::set<std::string> keys) = 0;
  /// Ascending from the first key > `after` (>= `from` when given and greater), at most `count_max` entries and about
  /// `bytes_max` bytes.
  virtual Task<Result<OmapPage>> omap_list(ObjectId object, std::string after, std::string from, std::size_t count_max,
                                           std::size_t bytes_max) = 0;

  /// A digest of [offset, +length) of the object's data, as far as the object reaches, made of the checksums of its
  /// blocks without reading them: the same for equal data in any store, whatever its layout and integrity mode.
  /// Errc::invalid: it does not begin and end with whole blocks (limits::block_bytes) or the object's end;
  /// Errc::not_found; Errc::io: a part is known to be bad.
  virtual Task<Result<std::uint32_t>> digest(ObjectId object, std::uint64_t offset, std::uint64_t length) = 0;
  /// Reads the whole blocks of [offset, +length) from the medium, past every cache, and verifies them: the ranges that
  /// are bad. What has not been applied yet is not looked at. Errc::invalid as for digest(); Errc::not_found.
  virtual Task<Result<std::vector<Extent>>> verify(ObjectId object, std::uint64_t offset, std::uint64_t length) = 0;

  /// Objects of the collection (its range, as split so far) from `start` (included; nothing: from the first), in store
  /// order.
  virtual Task<Result<ObjectPage>> list(CollectionId collection, std::optional<ObjectId> start,
                                        std::size_t count_max) = 0;
  virtual Task<Result<std::vector<CollectionInfo>>> collections() = 0;
  virtual Task<Result<std::map<std::string, Buffer>>> collection_get(CollectionId collection,
                                                                     std::set<std::string> keys) = 0;
  virtual Task<Result<OmapPage>> collection_list(CollectionId collection, std::string after, std::size_t count_max) = 0;

  virtual StoreStatistics statistics() = 0;
  /// Promises space for transactions that write so many bytes of data, attributes and omap, in pieces of 256 KiB or
  /// more or in few: who must not be refused half-way takes it before beginning. Errc::no_space.
  virtual Result<std::shared_ptr<SpaceReservation>> reserve(std::uint64_t bytes, Space kind) = 0;
  /// Of a transaction's encoding, payload and all: submit() refuses more with Errc::too_large.
  virtual std::uint64_t transaction_bytes_max() const = 0;
  /// Makes a commit point now: what is durable becomes part of a snapshot, and the journal is let go.
  virtual Task<Result<>> commit() = 0;
  /// Commits, so that the next mount replays nothing, and lets go of the disk.
  virtual Task<> stop() = 0;
};

/// How a store knows good data from bad when it reads a data file; fixed by mkfs.
enum class Integrity : std::uint8_t {
  index_checksums = 1,  ///< files that btrfs does not checksum; a crc32c for each block in the index
  btrfs_checksums = 2,  ///< files as btrfs makes them; the index knows nothing about their blocks
};
const char* to_text(Integrity integrity);
/// As options spell it: "index" or "btrfs". Errc::invalid.
Result<Integrity> integrity_from_text(std::string_view text);

/// The store on btrfs.
struct FilestoreOptions {
  std::string path;                           ///< mount point of the btrfs (or a directory on one)
  std::string journal;                        ///< raw partition, or the path of a preallocated file
  std::string cluster_fsid;                   ///< the store must be of this cluster; empty: of any
  std::uint64_t memory_bytes_max = 64 << 20;  ///< index caches and pending data
  enum class JournalEngine : std::uint8_t { automatic, io_uring, libaio };
  JournalEngine journal_engine = JournalEngine::automatic;  ///< devices: libaio, files: io_uring; or the other
  std::uint64_t staging_ring_bytes = 0;                     ///< of each staging ring; 0: by the size of the disk
  /// Where objects become files, from where payloads are staged and clones share checksums: other than these only to
  /// measure and to test.
  std::uint64_t inline_bytes_max = limits::inline_bytes_max;
  std::uint64_t slab_bytes_max = limits::slab_bytes_max;  ///< at most that; 0: every object beyond has its own file
  std::uint64_t staged_bytes_min = limits::staged_bytes_min;
  std::uint64_t shared_checksums_min = limits::shared_checksums_min;
  unsigned apply_threads = 0;  ///< lanes, a power of two; 0: half as many as there are processors, at most 4
  unsigned read_threads = 4;
  std::chrono::milliseconds commit_interval_min{2'000}, commit_interval_max{30'000};
};
struct FilestoreFormat {
  std::string owner;  ///< whose store this is: "osd.3"
  std::string cluster_fsid;
  Integrity integrity = Integrity::index_checksums;
  bool force = false;  ///< overwrite a journal device that carries a foreign signature
  /// If the journal does not exist, a file of this size is made, fully written; 0: it must exist.
  std::uint64_t journal_file_bytes = 0;
};

/// Formats path and journal. Errc::exists if a store is there; Errc::busy for a foreign signature without force;
/// Errc::unsupported if path is not on btrfs (or, for btrfs_checksums, on one without crc32c of 4096-byte sectors).
Result<> make_filestore(const FilestoreOptions& options, const FilestoreFormat& format);
struct FilestoreIdentity {
  std::string owner, cluster_fsid, store_uuid;
  Integrity integrity = Integrity::index_checksums;
};
Result<FilestoreIdentity> read_filestore_identity(const std::string& path);
/// Rolls back to the newest good snapshot, replays the journal. Errc::not_found: no store or no journal there;
/// Errc::unsupported: not on btrfs, or of a newer format; Errc::read_only: mounted so; Errc::stale: the store is of
/// another cluster, or the journal of another store; Errc::busy: open elsewhere; Errc::malformed, Errc::io. Blocks:
/// call before the shards run, or on a pool.
Result<std::unique_ptr<ObjectStore>> open_filestore(const FilestoreOptions& options);

}  // namespace spirula::filestore
