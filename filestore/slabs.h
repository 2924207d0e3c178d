#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "filestore/file_descriptor.h"
#include "filestore/index.h"
#include "filestore/limits.h"

namespace spirula::filestore {

/// Whose a slot of a slab is: the object's name as key::object() writes it.
struct SlotOwner {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::uint64_t id = 0;
  std::string name;
  static void fields(auto& self, auto& wire) {
    wire(self.id);
    wire(self.name);
  }
};

/// Files that small objects share, objects/slabs/<n>: a slot of limits::slab_bytes_max for each of 4,096 ids, so that
/// an object's id says where its data are, and behind the slots records of whose they are, of which the last one
/// counts. A file of its own costs an object more than its data do: an inode, two names and an xattr in btrfs's trees,
/// and four system calls. What a slot holds beyond what the index has checksums of is left from before, and nobody's. A
/// slot is used by one object once. Thread-safe.
class Slabs {
 public:
  static constexpr std::uint64_t slots = 4096;
  static constexpr std::uint64_t slots_bytes = slots * limits::slab_bytes_max;
  static std::uint64_t slab_of(std::uint64_t id) { return id / slots; }
  static std::uint64_t offset_of(std::uint64_t id) { return id % slots * limits::slab_bytes_max; }
  /// In objects/.
  static std::string path_of(std::uint64_t slab);

  /// `objects`: the directory, which stays open as long as this is used.
  Slabs(int objects, bool writable) : objects_(objects), writable_(writable) {}

  using File = std::shared_ptr<const FileDescriptor>;
  /// The slab of this id. Access::cached: Errc::again if opening it would take the disk. Errc::not_found: none of its
  /// objects has ever had data.
  Result<File> open(std::uint64_t id, Access access);
  /// Past the page cache, for reading. Not remembered.
  Result<File> open_direct(std::uint64_t id) const;
  /// Makes it if need be.
  Result<File> open_to_write(std::uint64_t id);
  Result<> record_owners(std::span<const SlotOwner> owners);

  /// Their objects are gone: to be punched out by free_slots().
  void retire(std::span<const std::uint64_t> ids);
  /// Gives the space of retired slots back, and removes slabs without data. Waits for what is still to be written of
  /// them, so a sync goes before. Answers which slots they were.
  Result<std::vector<std::uint64_t>> free_slots();

 private:
  Result<File> open_locked(std::uint64_t slab, Access access);
  /// False if it is in use, and may be empty or not.
  Result<bool> remove_if_empty(std::uint64_t slab);

  int objects_;
  bool writable_;
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, File> open_;
  std::mutex retired_mutex_;
  std::vector<std::uint64_t> retired_;
  std::set<std::uint64_t> emptied_;  ///< slabs that may have no data any more
};

/// Each entry below objects/slabs: its path in objects/, and its number and an open file if it is a slab by name.
struct SlabEntry {
  std::string path;
  std::optional<std::uint64_t> number;
  FileDescriptor file;
};
Result<> for_each_slab(int objects, const std::function<Result<>(SlabEntry& entry)>& visit);
inline constexpr char slabs_name[] = "slabs";
using SlotOwners = std::unordered_map<std::uint64_t, std::string>;
/// Whose the slots of a slab are, by id. Errc::malformed where a record does not verify, with `owners` up to there.
Result<> read_slot_owners(int slab, SlotOwners& owners);
Result<> parse_slot_owners(const Buffer& records, SlotOwners& owners);

}  // namespace spirula::filestore
