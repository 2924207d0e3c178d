#include "filestore/data_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/crc32c.h"
#include "filestore/btrfs.h"
#include "filestore/directory.h"
#include "filestore/faults.h"
#include "filestore/key.h"
#include "filestore/limits.h"
#include "filestore/onode.h"

namespace spirula::filestore {
namespace {

/// Neighbours in time stand in one directory: making them changes few nodes of btrfs's trees, and a commit writes
/// those.
constexpr unsigned files_per_directory = 4096;

std::string directory_of(std::uint64_t id) {
  return fmt::format("{:x}", id / files_per_directory);
}
std::string path_of(std::uint64_t id) {
  return fmt::format("{:x}/{:x}", id / files_per_directory, id);
}

}  // namespace

std::uint32_t block_checksum(ByteView block) {
  return nonzero(crc32c(~0u, block));
}

Result<> DataFile::read(std::uint64_t offset, std::span<std::byte> into, Access access) const {
  while (!into.empty()) {
    iovec piece{into.data(), into.size()};
    ssize_t got = ::preadv2(fd(), &piece, 1, at(offset), access == Access::cached ? RWF_NOWAIT : 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return last_errno();
    if (got == 0) {
      std::memset(into.data(), 0, into.size());
      return {};
    }
    offset += static_cast<std::uint64_t>(got);
    into = into.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

void DataFile::drop_cached(std::uint64_t offset, std::uint64_t length) const {
  (void)::posix_fadvise(fd(), at(offset), static_cast<off_t>(length), POSIX_FADV_DONTNEED);
}

Result<> DataFile::write(std::uint64_t offset, std::span<iovec> pieces) {
  changes_.mark(id_);
  while (!pieces.empty()) {
    int count = static_cast<int>(std::min<std::size_t>(pieces.size(), 512));
    TRY(fault_at(FaultPoint::data_write));
    ssize_t put = 0;
    TRY(btrfs::insist(fd(), [&]() -> Result<> {
      do put = ::pwritev(fd(), pieces.data(), count, at(offset));
      while (put < 0 && errno == EINTR);
      return put < 0 ? Result<>(last_errno()) : Result<>();
    }));
    offset += static_cast<std::uint64_t>(put);
    auto left = static_cast<std::size_t>(put);
    while (!pieces.empty() && left >= pieces[0].iov_len) {
      left -= pieces[0].iov_len;
      pieces = pieces.subspan(1);
    }
    if (left) {
      pieces[0].iov_base = static_cast<std::byte*>(pieces[0].iov_base) + left;
      pieces[0].iov_len -= left;
    }
  }
  return {};
}

Result<> DataFile::punch(std::uint64_t offset, std::uint64_t length) {
  changes_.mark(id_);
  if (::fallocate(fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at(offset), static_cast<off_t>(length)) < 0)
    return last_errno();
  return {};
}

Result<> DataFile::truncate(std::uint64_t size) {
  changes_.mark(id_);
  if (::ftruncate(fd(), static_cast<off_t>(size)) < 0) return last_errno();
  return {};
}

Result<> DataFile::share(int source, std::uint64_t from, std::uint64_t length, std::uint64_t offset) {
  changes_.mark(id_);
  return btrfs::insist(fd(), [&] { return btrfs::clone_range(source, from, length, fd(), base_ + offset); });
}

Result<std::vector<Extent>> DataFile::extents(std::uint64_t offset, std::uint64_t length) const {
  std::vector<Extent> found;
  off_t place = at(offset), end = at(offset + length);
  while (place < end) {
    off_t data = ::lseek(fd(), place, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // nothing but a hole from here on
    if (data < 0) return last_errno();
    if (data >= end) break;
    off_t hole = ::lseek(fd(), data, SEEK_HOLE);
    if (hole < 0 && errno == ENXIO) break;  // it was cut off in between
    if (hole < 0) return last_errno();
    off_t first = std::max(place, data), last = std::min(end, hole);
    if (first < last)
      found.push_back({static_cast<std::uint64_t>(first) - base_, static_cast<std::uint64_t>(last - first)});
    place = hole;
  }
  return found;
}

Result<> DataFiles::format(int objects, Integrity integrity) {
  return integrity == Integrity::index_checksums ? btrfs::disable_checksums(objects) : Result<>{};
}

void DataFiles::remember(std::uint64_t id, std::shared_ptr<DataFile> file) {
  std::shared_ptr<DataFile> closed;  // outside the lock
  std::lock_guard lock(mutex_);
  auto [it, fresh] = open_.try_emplace(id);
  if (!fresh) return;
  recent_.push_front(id);
  it->second = {std::move(file), recent_.begin()};
  if (open_.size() > limits::open_files_max) {
    auto last = open_.find(recent_.back());
    closed = std::move(last->second.file);
    open_.erase(last);
    recent_.pop_back();
  }
}

std::string DataFiles::describe(const Onode& onode) {
  if (!onode.in_slab) return fmt::format("objects/{}", path_of(onode.id));
  return fmt::format("slot {} of objects/{}", onode.id % Slabs::slots, Slabs::path_of(Slabs::slab_of(onode.id)));
}

Result<std::shared_ptr<DataFile>> DataFiles::create(std::uint64_t id, const ObjectId& owner) {
  FileDescriptor fd;
  TRY(btrfs::insist(objects_.get(), [&]() -> Result<> {
    for (;;) {
      fd = FileDescriptor(::openat(objects_.get(), path_of(id).c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
      if (fd) return {};
      if (errno != ENOENT) return last_errno();
      // There is no such directory yet, or its last file was removed a moment ago.
      if (::mkdirat(objects_.get(), directory_of(id).c_str(), 0700) < 0 && errno != EEXIST) return last_errno();
    }
  }));
  std::string name = key::object(owner);
  TRY(btrfs::insist(objects_.get(), [&]() -> Result<> {
    return ::fsetxattr(fd.get(), owner_attribute, name.data(), name.size(), 0) < 0 ? Result<>(last_errno())
                                                                                   : Result<>();
  }));
  auto file = std::make_shared<DataFile>(std::move(fd), changes_, id);
  remember(id, file);
  return file;
}

Result<std::shared_ptr<DataFile>> DataFiles::open_own(std::uint64_t id, Access access) {
  {
    std::lock_guard lock(mutex_);
    if (auto it = open_.find(id); it != open_.end()) {
      recent_.splice(recent_.begin(), recent_, it->second.place);
      return it->second.file;
    }
  }
  // What the kernel remembers is opened in less time than another thread takes to wake up.
  TRY(auto fd, open_file(objects_.get(), path_of(id), mode_ == Mode::read_write ? O_RDWR : O_RDONLY, access));
  auto file = std::make_shared<DataFile>(std::move(fd), changes_, id);
  remember(id, file);
  return file;
}

std::shared_ptr<DataFile> DataFiles::slot(std::uint64_t id, Slabs::File slab) {
  return std::make_shared<DataFile>(std::move(slab), changes_, id, Slabs::offset_of(id));
}

Result<std::shared_ptr<DataFile>> DataFiles::open(const Onode& onode, Access access) {
  if (!onode.in_slab) return open_own(onode.id, access);
  TRY(auto slab, slabs_.open(onode.id, access));
  return slot(onode.id, std::move(slab));
}

Result<std::shared_ptr<DataFile>> DataFiles::open_to_write(const Onode& onode) {
  if (!onode.in_slab) return open_own(onode.id, Access::blocking);
  TRY(auto slab, slabs_.open_to_write(onode.id));
  return slot(onode.id, std::move(slab));
}

Result<std::shared_ptr<DataFile>> DataFiles::open_direct(const Onode& onode) {
  if (onode.in_slab) {
    TRY(auto slab, slabs_.open_direct(onode.id));
    return slot(onode.id, std::move(slab));
  }
  TRY(auto fd, open_file(objects_.get(), path_of(onode.id), O_RDONLY | O_DIRECT, Access::blocking));
  return std::make_shared<DataFile>(std::move(fd), changes_, onode.id);
}

Result<> DataFiles::set_owner(std::uint64_t id, const ObjectId& owner) {
  TRY(auto file, open_own(id, Access::blocking));
  std::string name = key::object(owner);
  if (::fsetxattr(file->fd(), owner_attribute, name.data(), name.size(), 0) < 0) return last_errno();
  return {};
}

Result<> for_each_data_file(
    int objects, const std::function<Result<>(std::string_view path, std::optional<std::uint64_t> id)>& visit) {
  // Collected first: `visit` may change what is there.
  std::vector<std::pair<std::string, std::optional<std::uint64_t>>> entries;
  TRY(std::vector<std::string> directories, names_in(objects, "."));
  for (const std::string& directory : directories) {
    if (directory == slabs_name) continue;
    auto files = names_in(objects, directory);
    if (!files && files.error() == std::errc::not_a_directory) {
      entries.emplace_back(directory, std::nullopt);
      continue;
    }
    TRY(files);
    for (const std::string& file : *files) {
      std::string path = directory + "/" + file;
      std::uint64_t id = 0;
      auto [end, error] = std::from_chars(file.data(), file.data() + file.size(), id, 16);
      bool ours = error == std::errc{} && end == file.data() + file.size() && path_of(id) == path;
      entries.emplace_back(std::move(path), ours ? std::optional(id) : std::nullopt);
    }
  }
  for (const auto& [path, id] : entries) TRY(visit(path, id));
  return {};
}

Result<> DataFiles::remove(std::uint64_t id) {
  std::shared_ptr<DataFile> closed;
  {
    std::lock_guard lock(mutex_);
    if (auto it = open_.find(id); it != open_.end()) {
      closed = std::move(it->second.file);
      recent_.erase(it->second.place);
      open_.erase(it);
    }
  }
  return btrfs::insist(objects_.get(), [&]() -> Result<> {
    if (::unlinkat(objects_.get(), path_of(id).c_str(), 0) < 0) return last_errno();
    (void)::unlinkat(objects_.get(), directory_of(id).c_str(), AT_REMOVEDIR);  // it was the last, or it was not
    return {};
  });
}

}  // namespace spirula::filestore
