#pragma once
#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "filestore/data_files.h"
#include "filestore/index.h"
#include "filestore/object_store.h"
#include "filestore/onode.h"
#include "filestore/stager.h"
#include "filestore/transaction.h"

namespace spirula::filestore {

class ChecksumRows;

/// Numbers of the store that applying changes, kept in each commit point.
struct ApplyCounters {
  std::atomic<std::uint64_t> next_id{1};
  std::atomic<std::int64_t> object_count{0};
  std::atomic<std::uint64_t> bytes_written{0};  ///< into data files since the last commit
};

/// Carries transactions out on current/: data files at once, the index in batches. Belongs to one apply lane (or to
/// recovery), and so do the objects of the collections it is given: between batches it remembers what it last wrote of
/// them. It never looks back: transactions were checked when they were submitted, and what still fails (Errc::io,
/// Errc::no_space) ends the store.
/// A block that does not verify while a write covers part of it stays marked as bad, so that the rest of it is never
/// taken for data.
class Applier {
 public:
  Applier(Index& index, DataFiles& files, StagingFiles& staging, ApplyCounters& counters,
          const FilestoreOptions& options);
  ~Applier();

  Result<> apply(const CollectionId& collection, const Transaction& transaction);
  /// Writes what apply() collected to the index; only then may the pending copy of the transactions be dropped.
  Result<> flush();
  /// Forgets what it remembers of objects; after flush().
  void forget();

 private:
  struct Object {
    std::string key;
    std::optional<Onode> onode;
    bool dirty = false;
    std::map<std::uint32_t, ChecksumChunk> chunks;  ///< what is loaded
    std::map<std::uint32_t, bool> chunks_dirty;
    std::optional<std::string> inline_data;  ///< between load and flush
    bool inline_dirty = false;
  };
  struct Extract {
    Buffer data;
    bool verified = true;
  };

  Result<Object*> load(const ObjectId& id);
  void forget_chunks(Object& object);
  void create(Object& object);
  void mark(Object& object);
  Result<> apply_to_object(const ObjectId& id, const Transaction::ObjectOperation& operation);
  Result<> apply_to_collection(const CollectionId& id, const Transaction::CollectionOperation& operation);

  Result<> write(const ObjectId& id, Object& object, std::uint64_t offset, const BufferList& data, bool verified);
  Result<> write_file(Object& object, std::uint64_t offset, const BufferList& data, bool verified);
  Result<> write_staged(const ObjectId& id, Object& object, std::uint64_t offset, const StagedExtent& extent);
  Result<> zero(const ObjectId& id, Object& object, std::uint64_t offset, std::uint64_t length);
  Result<> truncate(const ObjectId& id, Object& object, std::uint64_t size);
  Result<> remove(Object& object);
  Result<> clone(const ObjectId& source_id, const ObjectId& target_id, Object& target);
  Result<> clone_range(const ObjectId& target_id, Object& target, const Transaction::CloneRange& operation);
  Result<> rename(const ObjectId& source_id, const ObjectId& target_id, Object& target);

  Result<std::string*> inline_data(Object& object);
  /// An object without a file of its own may have up to so many bytes.
  std::uint64_t small_bytes_max() const { return std::max(inline_bytes_max_, slab_bytes_max_); }
  /// Data up to `end` will not go into the index: the object gets a slot, where it writes at once, or, beyond those, a
  /// file of its own. (A slab without data is removed, with what it says of owners.)
  Result<> place(const ObjectId& id, Object& object, std::uint64_t end);
  Result<> move_out_of_slab(const ObjectId& id, Object& object);
  /// Blocks as they are; what does not verify stays so under the checksums they have.
  Result<> copy_blocks(Object& from, DataFile& to);
  void retire_slot(const Onode& onode);
  Result<ChecksumChunk*> chunk(Object& object, std::uint64_t block);
  /// What the index has of a block; without checksums of our own 0, unless the block is damaged.
  Result<std::uint32_t> checksum(Object& object, std::uint64_t block);
  Result<> set_checksum(Object& object, std::uint64_t block, std::uint32_t crc);
  /// After a write of a whole block; `crc` counts only if the store keeps checksums.
  Result<> set_written(Object& object, std::uint64_t block, std::uint32_t crc, bool good);
  Result<bool> is_hole(Object& object, std::uint64_t block);
  Result<> clear_checksums(Object& object, std::uint64_t first_block, std::uint64_t end_block);
  /// One block as it is, zeros for a hole; false if it does not verify.
  Result<bool> read_block(Object& object, DataFile& file, std::uint64_t block, std::byte* into);
  /// `length` bytes with zeros for what lies past the end.
  Result<Extract> extract(Object& object, std::uint64_t offset, std::uint64_t length);
  /// The target gets the checksums of the source, which it shares the extents of.
  Result<> clone_checksums(Object& source, Object& target);
  Result<> copy_checksums(const ChecksumRows& row, std::uint64_t to);
  Result<> own_all_checksums(const Onode& onode);
  /// So many more objects (or fewer) share those rows; the last takes them along.
  Result<> count_shares(std::uint64_t id, int more);
  /// Every row its own.
  Result<> stop_sharing(Object& object);
  Result<> remove_rows(const key::Range& range);
  Result<> copy_rows(const key::Range& from, const std::string& to_prefix);
  std::size_t remembered() const { return objects_.size() + chunks_; }
  Result<> flush_if_large();
  Result<> write_if_large();
  Result<> write_out();
  Result<> write_batch();
  Result<> write_out_checksums(Object& object);

  Index& index_;
  DataFiles& files_;
  StagingFiles& staging_;
  ApplyCounters& counters_;
  std::uint64_t inline_bytes_max_, slab_bytes_max_, shared_checksums_min_;
  std::unordered_map<std::string, Object> objects_;
  std::size_t chunks_ = 0;  ///< loaded, of all of them
  Object* last_ = nullptr;  ///< the one that was asked for last
  std::optional<ObjectId> last_id_;
  std::vector<Object*> dirty_;
  IndexBatch batch_;
  std::vector<SlotOwner> slot_owners_;        ///< to be recorded before the batch is written
  std::vector<std::uint64_t> retired_slots_;  ///< to be told when it is
};

}  // namespace spirula::filestore
