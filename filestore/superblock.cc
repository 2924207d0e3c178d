#include "filestore/superblock.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/codec.h"
#include "base/crc32c.h"
#include "filestore/faults.h"
#include "filestore/file_descriptor.h"

namespace spirula::filestore {
namespace {

/// Both files: magic, crc of the rest, an encoded struct.
constexpr std::uint64_t superblock_magic = 0x5245505553495053;    // "SPISUPER"
constexpr std::uint64_t commit_point_magic = 0x544e504f43495053;  // "SPICOPNT"

template <class T>
Buffer seal(std::uint64_t magic, const T& value) {
  Encoder wire;
  wire(magic);
  std::size_t crc_at = wire.reserve_u32();
  wire(value);
  wire.patch_u32(crc_at, crc32c(~0u, wire.written(crc_at + 4)));
  return wire.take();
}
template <class T>
Result<T> unseal(std::uint64_t magic, const Buffer& bytes) {
  Decoder wire(bytes);
  if (wire.read<std::uint64_t>() != magic) return Errc::malformed;
  auto crc = wire.read<std::uint32_t>();
  if (wire.failed() || crc != crc32c(~0u, bytes.slice(12).view())) return Errc::malformed;
  unsigned version = bytes.size() >= 14 ? std::to_integer<unsigned>(bytes.data()[12]) : 0;
  unsigned compat = bytes.size() >= 14 ? std::to_integer<unsigned>(bytes.data()[13]) : 0;
  if (compat > T::version || version < T::compat) return Errc::unsupported;
  T value;
  wire(value);
  TRY(wire.finish());
  return value;
}

Result<> write_file(int directory, const char* name, const Buffer& bytes, bool durable) {
  std::string temporary = std::string(name) + ".new";
  FileDescriptor fd(::openat(directory, temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return last_errno();
  ssize_t written = ::write(fd.get(), bytes.data(), bytes.size());
  if (written < 0) return last_errno();
  if (static_cast<std::size_t>(written) != bytes.size()) return Errc::io;
  if (durable && ::fsync(fd.get()) < 0) return last_errno();
  if (::renameat(directory, temporary.c_str(), directory, name) < 0) return last_errno();
  if (durable && ::fsync(directory) < 0) return last_errno();
  return {};
}

Result<Buffer> read_file(int directory, const char* name) {
  FileDescriptor fd(::openat(directory, name, O_RDONLY | O_CLOEXEC));
  if (!fd) return last_errno();
  constexpr std::size_t bytes_max = 64 << 10;
  Buffer bytes = Buffer::allocate(bytes_max);
  ssize_t got = ::read(fd.get(), bytes.mutable_data(), bytes_max);
  if (got < 0) return last_errno();
  return bytes.slice(0, static_cast<std::size_t>(got));
}

constexpr std::string_view snapshot_prefix = "snap_";

}  // namespace

const char* to_text(Integrity integrity) {
  return integrity == Integrity::btrfs_checksums ? "btrfs checksums" : "index checksums";
}

Result<Integrity> integrity_from_text(std::string_view text) {
  if (text == "index") return Integrity::index_checksums;
  if (text == "btrfs") return Integrity::btrfs_checksums;
  return Errc::invalid;
}

Result<> write_superblock(int directory, const StoreSuperblock& superblock) {
  return write_file(directory, superblock_name, seal(superblock_magic, superblock), true);
}
Result<StoreSuperblock> read_superblock(const std::string& path, const char* name) {
  FileDescriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return last_errno();
  TRY(Buffer bytes, read_file(directory.get(), name));
  TRY(auto superblock, unseal<StoreSuperblock>(superblock_magic, bytes));
  if (superblock.integrity != Integrity::index_checksums && superblock.integrity != Integrity::btrfs_checksums)
    return Errc::unsupported;
  return superblock;
}
Result<> write_commit_point(int current, const CommitPoint& point) {
  TRY(fault_at(FaultPoint::commit_point));
  return write_file(current, commit_point_name, seal(commit_point_magic, point), false);
}
Result<CommitPoint> read_commit_point(int current) {
  TRY(Buffer bytes, read_file(current, commit_point_name));
  return unseal<CommitPoint>(commit_point_magic, bytes);
}

std::string snapshot_name(std::uint64_t sequence) {
  return fmt::format("{}{}", snapshot_prefix, sequence);
}

Result<std::vector<std::uint64_t>> list_snapshots(const std::string& path) {
  DIR* directory = ::opendir(path.c_str());
  if (!directory) return last_errno();
  std::vector<std::uint64_t> found;
  while (const dirent* entry = ::readdir(directory)) {
    std::string_view name = entry->d_name;
    if (!name.starts_with(snapshot_prefix)) continue;
    struct stat status{};
    constexpr ino_t subvolume_root = 256;  // what a file or directory of that name is not
    if (::fstatat(::dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0) continue;
    if (!S_ISDIR(status.st_mode) || status.st_ino != subvolume_root) continue;
    name.remove_prefix(snapshot_prefix.size());
    std::uint64_t sequence = 0;
    auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), sequence);
    if (error == std::errc{} && end == name.data() + name.size()) found.push_back(sequence);
  }
  ::closedir(directory);
  std::ranges::sort(found, std::greater{});
  return found;
}

std::string describe(const StoreUuid& uuid) {
  std::string text;
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", uuid[i]);
  }
  return text;
}

}  // namespace spirula::filestore
