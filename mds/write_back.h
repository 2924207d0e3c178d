#pragma once
#include <map>
#include <optional>
#include <unordered_map>

#include "base/shard.h"
#include "mds/batch.h"
#include "mds/entry_key.h"
#include "mds/metadata_store.h"

/// What the journal holds and the objects do not yet: the newest durable record of each name, and every session. The
/// directories in memory are never asked, so a replayed journal needs no tree. Lives on one shard.
namespace spirula::mds {

class WriteBack {
 public:
  WriteBack(Shard& shard, MetadataStore& store) : shard_(shard), store_(store) {}

  /// Sessions and tables from their objects; before replay.
  Task<Result<>> open();
  /// Removes what an earlier file system of these pools left in the objects known by name. Its directories and files
  /// may be there still: numbers go on where its own ended, or at `first` if that is higher.
  Task<Result<>> format(Ino first);
  /// A batch that is durable: replayed, or just appended.
  void apply(const Batch& batch);

  /// A directory that was removed with all its names: they need not reach its object, which goes. Not during a flush().
  void forget(Ino dir);

  /// Names of a directory, as of everything applied.
  struct Page {
    std::map<EntryKey, DentryRecord> records;
    std::optional<EntryKey> last;  ///< all up to here are among them; none: all to the end
  };
  /// Those after `after`, about `count_max` of them. Errc::malformed.
  Task<Result<Page>> read_names(Ino dir, EntryKey after, std::uint64_t count_max);
  /// One; nullopt: it is not there.
  Task<Result<std::optional<DentryRecord>>> read_name(Ino dir, EntryKey name);
  /// Where an inode's primary name is: by a record waiting here, which is right, or by backtraces in the pools, of
  /// which one may be out of date when its layout has changed. Errc::not_found.
  Task<Result<std::vector<Location>>> find(Ino ino, std::vector<std::int64_t> data_pools);

  const std::map<ClientId, SessionRecord>& sessions() const { return sessions_; }
  Ino next_ino() const { return next_ino_; }
  /// The oldest batch whose effects are only in the journal; `otherwise` if there is none.
  BatchId oldest(BatchId otherwise) const;
  /// There is nothing that is only in the journal.
  bool is_empty() const { return !waiting_ && truncating_.empty() && dirty_sessions_.empty(); }
  std::size_t waiting_names() const { return waiting_; }
  std::size_t waiting_bytes() const { return waiting_bytes_; }
  /// Inodes whose objects are still to be cut; the journal keeps what says so until a later record says it is done.
  const std::map<Ino, BatchId>& truncating() const { return truncating_; }

  /// Brings everything that is here now to its object.
  Task<Result<>> flush();

 private:
  struct Entry {
    std::optional<Buffer> record;
    bool placed = false;
    BatchId first, last;
  };
  using Names = std::map<EntryKey, Entry>;
  /// A directory being read: what leaves here for the object meanwhile may have come too late for the reader.
  struct Reading {
    std::size_t readers = 0;
    std::map<EntryKey, std::optional<Buffer>> left;
  };
  /// Some of a directory's names, in their order, as they were when it was taken.
  using Piece = std::vector<std::pair<EntryKey, Entry>>;
  Piece next_piece(Ino dir, const EntryKey* after) const;
  void piece_is_stored(Ino dir, const Piece& piece);
  void end_reading(Ino dir);
  static std::size_t bytes_of(const EntryKey& key, const Entry& entry);

  Task<Result<>> flush_directory(Ino dir);
  Task<Result<>> flush_backtrace(Backtrace trace, std::int64_t pool, bool is_dir);
  Task<Result<>> flush_sessions();
  Task<Result<Ino>> stored_next_ino();
  void index(const DentryUpdate& update, bool add, BatchId batch);

  Shard& shard_;
  MetadataStore& store_;
  std::map<Ino, Names> directories_;
  std::unordered_map<Ino, Location> places_;  ///< of inodes whose primary record waits here
  std::map<Ino, Reading> readings_;
  std::size_t waiting_ = 0, waiting_bytes_ = 0;
  std::map<Ino, BatchId> truncating_;
  std::map<ClientId, SessionRecord> sessions_;
  std::map<ClientId, BatchId> dirty_sessions_;  ///< first batch not written; closed ones too
  Ino next_ino_ = inos::first, next_ino_written_{0};
};

}  // namespace spirula::mds
