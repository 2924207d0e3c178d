#pragma once
#include <sys/uio.h>

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "filestore/file_descriptor.h"
#include "filestore/index.h"
#include "filestore/object_id.h"

namespace spirula::filestore {

/// One open file of objects/. Offsets and lengths of writes are whole blocks. Calls block unless they say otherwise.
class DataFile {
 public:
  explicit DataFile(FileDescriptor fd) : fd_(std::move(fd)) {}
  int fd() const { return fd_.get(); }
  /// All of `into`; zeros past the end. Access::cached: Errc::again if the disk would be needed.
  Result<> read(std::uint64_t offset, std::span<std::byte> into, Access access) const;
  Result<> write(std::uint64_t offset, std::span<iovec> pieces);
  Result<> punch(std::uint64_t offset, std::uint64_t length);
  Result<> truncate(std::uint64_t size);

 private:
  FileDescriptor fd_;
};

/// The files of current/objects, by object id, with the most recently used kept open. Thread-safe.
class DataFiles {
 public:
  /// `objects`: the directory.
  enum class Mode : std::uint8_t { read_write, read_only };
  explicit DataFiles(FileDescriptor objects, Mode mode = Mode::read_write)
      : objects_(std::move(objects)), mode_(mode) {}
  /// Makes the directories below an empty objects/ and sets how files in them keep their data.
  static Result<> format(int objects);

  /// A new empty file that says whose it is.
  Result<std::shared_ptr<DataFile>> create(std::uint64_t id, const ObjectId& owner);
  /// Access::cached: Errc::again if it is not open. Errc::not_found.
  Result<std::shared_ptr<DataFile>> open(std::uint64_t id, Access access);
  Result<> set_owner(std::uint64_t id, const ObjectId& owner);
  Result<> remove(std::uint64_t id);

 private:
  void remember(std::uint64_t id, std::shared_ptr<DataFile> file);

  struct Kept {
    std::shared_ptr<DataFile> file;
    std::list<std::uint64_t>::iterator place;
  };
  FileDescriptor objects_;
  Mode mode_;
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, Kept> open_;
  std::list<std::uint64_t> recent_;  ///< most recent first
};

/// The xattr of a data file that holds its object's name, as key::object() writes it.
inline constexpr char owner_attribute[] = "user.spirula.object";

}  // namespace spirula::filestore
