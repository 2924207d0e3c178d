#pragma once
#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "filestore/file_descriptor.h"
#include "filestore/index.h"
#include "filestore/object_id.h"
#include "filestore/object_store.h"
#include "filestore/onode.h"
#include "filestore/slabs.h"

namespace spirula::filestore {

/// Tells a reader whether a file has been changed while it was reading. Thread-safe; several files share a slot.
class FileChanges {
 public:
  /// A moment: taken before anything is read.
  std::uint64_t now() const { return count_.load(); }
  /// A change begins.
  void mark(std::uint64_t id) { last_[id % last_.size()].store(count_.fetch_add(1) + 1); }
  bool since(std::uint64_t moment, std::uint64_t id) const { return last_[id % last_.size()].load() > moment; }

 private:
  std::atomic<std::uint64_t> count_{0};
  std::array<std::atomic<std::uint64_t>, 4096> last_{};
};

/// The data of one object: an open file of objects/, or from `base` on a slot in one that it shares. Offsets and
/// lengths of writes are whole blocks. Calls block unless they say otherwise.
class DataFile {
 public:
  DataFile(std::shared_ptr<const FileDescriptor> fd, FileChanges& changes, std::uint64_t id, std::uint64_t base = 0)
      : fd_(std::move(fd)), changes_(changes), id_(id), base_(base) {}
  DataFile(FileDescriptor fd, FileChanges& changes, std::uint64_t id)
      : DataFile(std::make_shared<const FileDescriptor>(std::move(fd)), changes, id) {}
  int fd() const { return fd_->get(); }
  /// All of `into`; zeros past the end. Access::cached: Errc::again if the disk would be needed.
  Result<> read(std::uint64_t offset, std::span<std::byte> into, Access access) const;
  /// The next read of [offset, +length) has to ask the disk: O_DIRECT alone takes what the page cache has. What
  /// is dirty stays.
  void drop_cached(std::uint64_t offset, std::uint64_t length) const;
  /// Notes that this is read now; true if it lies behind all that was noted since the file was opened.
  bool first_pass(std::uint64_t offset, std::uint64_t length) {
    if (offset < passed_.load(std::memory_order_relaxed)) return false;
    passed_.store(offset + length, std::memory_order_relaxed);
    return true;
  }
  Result<> write(std::uint64_t offset, std::span<iovec> pieces);
  Result<> punch(std::uint64_t offset, std::uint64_t length);
  /// Of a file of its own.
  Result<> truncate(std::uint64_t size);
  /// Shares [from, +length) of another file at `offset`; length 0: to its end.
  Result<> share(int source, std::uint64_t from, std::uint64_t length, std::uint64_t offset);
  /// The parts of [offset, +length) that hold data, ascending: those outside read as zeros. While another thread
  /// changes the file, what it has already done counts or does not, part by part.
  Result<std::vector<Extent>> extents(std::uint64_t offset, std::uint64_t length) const;

 private:
  off_t at(std::uint64_t offset) const { return static_cast<off_t>(base_ + offset); }

  std::shared_ptr<const FileDescriptor> fd_;
  FileChanges& changes_;
  std::uint64_t id_;
  std::uint64_t base_;
  std::atomic<std::uint64_t> passed_{0};
};

/// Where objects have their data in current/objects, files of their own and slabs, with the most recently used kept
/// open. Thread-safe.
class DataFiles {
 public:
  /// `objects`: the directory.
  enum class Mode : std::uint8_t { read_write, read_only };
  DataFiles(FileDescriptor objects, Integrity integrity, Mode mode = Mode::read_write)
      : objects_(std::move(objects)),
        integrity_(integrity),
        mode_(mode),
        slabs_(objects_.get(), mode == Mode::read_write) {}
  /// Sets how files in an empty objects/ will keep their data.
  static Result<> format(int objects, Integrity integrity);
  /// Whether the store keeps the checksums of blocks itself.
  bool keeps_checksums() const { return integrity_ == Integrity::index_checksums; }
  const FileChanges& changes() const { return changes_; }

  /// A new empty file of its own that says whose it is.
  Result<std::shared_ptr<DataFile>> create(std::uint64_t id, const ObjectId& owner);
  /// Access::cached: Errc::again if opening it would take the disk. Errc::not_found; so too for a slot in a slab that
  /// has never had data.
  Result<std::shared_ptr<DataFile>> open(const Onode& onode, Access access);
  Result<std::shared_ptr<DataFile>> open_to_write(const Onode& onode);
  /// Past the page cache: reads must be of whole blocks into aligned memory. Not remembered.
  Result<std::shared_ptr<DataFile>> open_direct(const Onode& onode);
  /// Of a file of its own.
  Result<> set_owner(std::uint64_t id, const ObjectId& owner);
  Result<> remove(std::uint64_t id);
  /// Where to look in current/ when something is wrong with these data.
  static std::string describe(const Onode& onode);
  Slabs& slabs() { return slabs_; }

 private:
  Result<std::shared_ptr<DataFile>> open_own(std::uint64_t id, Access access);
  std::shared_ptr<DataFile> slot(std::uint64_t id, Slabs::File slab);
  void remember(std::uint64_t id, std::shared_ptr<DataFile> file);

  struct Kept {
    std::shared_ptr<DataFile> file;
    std::list<std::uint64_t>::iterator place;
  };
  FileDescriptor objects_;
  Integrity integrity_;
  Mode mode_;
  Slabs slabs_;
  FileChanges changes_;
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, Kept> open_;
  std::list<std::uint64_t> recent_;  ///< most recent first
};

/// Each entry below the directory objects/, but for slabs: its path there, and its number if it is a data file by name
/// and place.
Result<> for_each_data_file(
    int objects, const std::function<Result<>(std::string_view path, std::optional<std::uint64_t> id)>& visit);

/// The xattr of a data file that holds its object's name, as key::object() writes it.
inline constexpr char owner_attribute[] = "user.spirula.object";

}  // namespace spirula::filestore
