#include "filestore/slabs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>

#include "base/codec.h"
#include "base/crc32c.h"
#include "filestore/btrfs.h"
#include "filestore/directory.h"
#include "filestore/error.h"
#include "filestore/faults.h"

namespace spirula::filestore {
namespace {

/// Before each record: its length and its crc32c.
constexpr std::size_t header_bytes = 8;

void append_record(std::string& bytes, const SlotOwner& owner) {
  Buffer body = encode(owner);
  std::uint32_t header[] = {static_cast<std::uint32_t>(body.size()), crc32c(~0u, body.view())};
  static_assert(sizeof header == header_bytes);
  bytes.append(reinterpret_cast<const char*>(header), sizeof header).append(as_text(body.view()));
}

Result<> append(int fd, std::string_view bytes) {
  TRY(fault_at(FaultPoint::data_write));
  while (!bytes.empty()) {
    iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    ssize_t put = 0;
    TRY(btrfs::insist(fd, [&]() -> Result<> {
      do put = ::pwritev2(fd, &piece, 1, 0, RWF_APPEND);
      while (put < 0 && errno == EINTR);
      return put < 0 ? Result<>(last_errno()) : Result<>();
    }));
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

}  // namespace

Result<Slabs::File> Slabs::open_locked(std::uint64_t slab, Access access) {
  if (auto it = open_.find(slab); it != open_.end()) return it->second;
  TRY(FileDescriptor fd, open_file(objects_, path_of(slab), writable_ ? O_RDWR : O_RDONLY, access));
  if (open_.size() >= limits::open_slabs_max)
    std::erase_if(open_, [](const auto& each) { return each.second.use_count() == 1; });
  return open_[slab] = std::make_shared<const FileDescriptor>(std::move(fd));
}

std::string Slabs::path_of(std::uint64_t slab) {
  return fmt::format("{}/{:x}", slabs_name, slab);
}

Result<Slabs::File> Slabs::open(std::uint64_t id, Access access) {
  std::lock_guard lock(mutex_);
  return open_locked(slab_of(id), access);
}

Result<Slabs::File> Slabs::open_direct(std::uint64_t id) const {
  TRY(FileDescriptor fd, open_file(objects_, path_of(slab_of(id)), O_RDONLY | O_DIRECT, Access::blocking));
  return std::make_shared<const FileDescriptor>(std::move(fd));
}

Result<Slabs::File> Slabs::open_to_write(std::uint64_t id) {
  std::uint64_t slab = slab_of(id);
  std::lock_guard lock(mutex_);
  Result<File> file = open_locked(slab, Access::blocking);
  if (file || !is(file.error(), Errc::not_found)) return file;
  TRY(btrfs::insist(objects_, [&]() -> Result<> {
    if (::mkdirat(objects_, slabs_name, 0700) < 0 && errno != EEXIST) return last_errno();
    FileDescriptor fd(::openat(objects_, path_of(slab).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) return last_errno();
    if (::ftruncate(fd.get(), static_cast<off_t>(slots_bytes)) < 0) return last_errno();
    return {};
  }));
  return open_locked(slab, Access::blocking);
}

Result<> Slabs::record_owners(std::span<const SlotOwner> owners) {
  std::map<std::uint64_t, std::string> records;
  for (const SlotOwner& each : owners) append_record(records[slab_of(each.id)], each);
  for (const auto& [slab, bytes] : records) {
    TRY(File file, open_to_write(slab * slots));
    TRY(append(file->get(), bytes));
  }
  return {};
}

void Slabs::retire(std::span<const std::uint64_t> ids) {
  std::lock_guard lock(retired_mutex_);
  retired_.insert(retired_.end(), ids.begin(), ids.end());
}

Result<std::vector<std::uint64_t>> Slabs::free_slots() {
  std::vector<std::uint64_t> ids;
  {
    std::lock_guard lock(retired_mutex_);
    ids.swap(retired_);
  }
  std::ranges::sort(ids);
  for (std::size_t i = 0; i < ids.size();) {
    // Neighbours at once.
    std::size_t end = i + 1;
    while (end < ids.size() && ids[end] == ids[end - 1] + 1 && slab_of(ids[end]) == slab_of(ids[i])) ++end;
    Result<File> file = open(ids[i], Access::blocking);
    if (file) {
      TRY(btrfs::insist(objects_, [&]() -> Result<> {
        off_t length = static_cast<off_t>((end - i) * limits::slab_bytes_max);
        bool done = ::fallocate((*file)->get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                static_cast<off_t>(offset_of(ids[i])), length) == 0;
        return done ? Result<>() : Result<>(last_errno());
      }));
      emptied_.insert(slab_of(ids[i]));
    } else if (!is(file.error(), Errc::not_found)) {
      return file.error();
    }
    i = end;
  }
  for (auto it = emptied_.begin(); it != emptied_.end();) {
    TRY(bool known, remove_if_empty(*it));
    it = known ? emptied_.erase(it) : std::next(it);
  }
  return ids;
}

Result<bool> Slabs::remove_if_empty(std::uint64_t slab) {
  std::lock_guard lock(mutex_);  // nobody opens it meanwhile
  Result<File> file = open_locked(slab, Access::blocking);
  if (!file && is(file.error(), Errc::not_found)) return true;
  TRY(file);
  off_t data = ::lseek((*file)->get(), 0, SEEK_DATA);
  if (data < 0 && errno != ENXIO) return last_errno();
  if (data >= 0 && data < static_cast<off_t>(slots_bytes)) return true;
  if (file->use_count() > 2) return false;  // somebody is about to write there
  open_.erase(slab);
  TRY(btrfs::insist(objects_, [&]() -> Result<> {
    return ::unlinkat(objects_, path_of(slab).c_str(), 0) < 0 ? Result<>(last_errno()) : Result<>();
  }));
  return true;
}

Result<> for_each_slab(int objects, const std::function<Result<>(SlabEntry& entry)>& visit) {
  auto names = names_in(objects, slabs_name);
  if (!names && is(names.error(), Errc::not_found)) return {};
  TRY(names);
  for (const std::string& name : *names) {
    SlabEntry entry{.path = fmt::format("{}/{}", slabs_name, name)};
    std::uint64_t slab = 0;
    auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), slab, 16);
    if (error == std::errc{} && end == name.data() + name.size() && Slabs::path_of(slab) == entry.path) {
      entry.number = slab;
      TRY(entry.file, open_file(objects, entry.path, O_RDONLY, Access::blocking));
    }
    TRY(visit(entry));
  }
  return {};
}

Result<> parse_slot_owners(const Buffer& records, SlotOwners& owners) {
  for (std::size_t at = 0; at < records.size();) {
    std::uint32_t header[2];
    if (records.size() - at < sizeof header) return Errc::malformed;
    std::memcpy(header, records.data() + at, sizeof header);
    at += sizeof header;
    if (header[0] > records.size() - at) return Errc::malformed;
    Buffer body = records.slice(at, header[0]);
    if (crc32c(~0u, body.view()) != header[1]) return Errc::malformed;
    TRY(auto owner, decode<SlotOwner>(body));
    owners[owner.id] = std::move(owner.name);
    at += body.size();
  }
  return {};
}

Result<> read_slot_owners(int slab, SlotOwners& owners) {
  struct stat status{};
  if (::fstat(slab, &status) < 0) return last_errno();
  auto end = static_cast<std::uint64_t>(status.st_size);
  if (end < Slabs::slots_bytes) return Errc::malformed;
  Buffer records = Buffer::allocate(end - Slabs::slots_bytes);
  for (std::size_t at = 0; at < records.size();) {
    ssize_t got =
        ::pread(slab, records.mutable_data() + at, records.size() - at, static_cast<off_t>(Slabs::slots_bytes + at));
    if (got < 0) return last_errno();
    if (got == 0) return Errc::malformed;
    at += static_cast<std::size_t>(got);
  }
  return parse_slot_owners(records, owners);
}

}  // namespace spirula::filestore
