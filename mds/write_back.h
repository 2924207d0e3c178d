#pragma once
#include <map>
#include <optional>
#include <unordered_map>

#include "base/shard.h"
#include "mds/batch.h"
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

  /// Reads a directory's names as of everything applied. Errc::malformed.
  Task<Result<std::map<std::string, DentryRecord>>> read_directory(Ino dir);
  /// Where an inode's primary name is, by a record waiting here or by its backtrace in one of the pools.
  /// Errc::not_found.
  Task<Result<Location>> find(Ino ino, std::vector<std::int64_t> data_pools);

  const std::map<ClientId, SessionRecord>& sessions() const { return sessions_; }
  Ino next_ino() const { return next_ino_; }
  /// The oldest batch whose effects are only in the journal; `otherwise` if there is none.
  BatchId oldest(BatchId otherwise) const;
  std::size_t waiting_names() const { return waiting_; }
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
  using Names = std::map<std::string, Entry>;

  Task<> flush_directory(Ino dir, Result<>& outcome);
  Task<> flush_backtrace(Backtrace trace, std::int64_t pool, bool is_dir, Result<>& outcome);
  Task<Result<>> flush_sessions();
  Task<Result<Ino>> stored_next_ino();
  void index(const DentryUpdate& update, bool add, BatchId batch);

  Shard& shard_;
  MetadataStore& store_;
  std::map<Ino, Names> directories_;
  std::unordered_map<Ino, Location> places_;  ///< of inodes whose primary record waits here
  std::size_t waiting_ = 0;
  std::map<Ino, BatchId> truncating_;
  std::map<ClientId, SessionRecord> sessions_;
  std::map<ClientId, BatchId> dirty_sessions_;  ///< first batch not written; closed ones too
  Ino next_ino_ = inos::first, next_ino_written_{0};
};

}  // namespace spirula::mds
