#include "filestore/btrfs_checksums.h"

#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#include "base/buffer.h"

namespace spirula::filestore::btrfs {
namespace {

constexpr std::uint64_t sector = 4096;
/// No file extent is longer (the kernel's BTRFS_MAX_EXTENT_SIZE), so one that covers an offset begins within this.
constexpr std::uint64_t extent_bytes_max = 128 << 20;
/// No checksum item is larger than a tree node, and nodes have at most 64 KiB.
constexpr std::uint64_t node_bytes_max = 64 << 10;

/// Items of one object and one type, by offset: a walk over a slice of a tree.
class TreeWalk {
 public:
  TreeWalk(int fd, std::uint64_t tree, std::uint64_t object, std::uint32_t type, std::size_t buffer_bytes)
      : fd_(fd), buffer_(sizeof(btrfs_ioctl_search_args_v2) + buffer_bytes) {
    key_.tree_id = tree;
    key_.min_objectid = key_.max_objectid = object;
    key_.min_type = key_.max_type = type;
    key_.max_transid = ~std::uint64_t{0};
  }
  /// `visit(offset, item)` for each item in [first, last]; it answers false to end the walk.
  template <class F>
  Result<> run(std::uint64_t first, std::uint64_t last, const F& visit) {
    auto* arguments = reinterpret_cast<btrfs_ioctl_search_args_v2*>(buffer_.data());
    for (;;) {
      arguments->key = key_;
      arguments->key.min_offset = first;
      arguments->key.max_offset = last;
      arguments->key.nr_items = ~std::uint32_t{0};
      arguments->buf_size = buffer_.size() - sizeof *arguments;
      if (::ioctl(fd_, BTRFS_IOC_TREE_SEARCH_V2, arguments) < 0) return last_errno();
      if (arguments->key.nr_items == 0) return {};
      const std::byte* at = buffer_.data() + sizeof *arguments;
      for (std::uint32_t i = 0; i < arguments->key.nr_items; ++i) {
        btrfs_ioctl_search_header header;
        std::memcpy(&header, at, sizeof header);
        at += sizeof header;
        if (!visit(std::uint64_t{header.offset}, ByteView(at, header.len))) return {};
        at += header.len;
        first = header.offset + 1;
      }
      if (first > last || first == 0) return {};
    }
  }

 private:
  int fd_;
  btrfs_ioctl_search_key key_{};
  std::vector<std::byte> buffer_;
};

/// Data on its way to the disk has no checksums in the tree yet; asking for the map with this flag waits for it.
Result<> flush(int fd) {
  alignas(fiemap) std::byte memory[sizeof(fiemap)]{};
  auto* map = reinterpret_cast<fiemap*>(memory);
  map->fm_length = 1;
  map->fm_flags = FIEMAP_FLAG_SYNC;
  if (::ioctl(fd, FS_IOC_FIEMAP, map) < 0) return last_errno();
  return {};
}

/// Where a part of the file lies in the address space of the file system.
struct Piece {
  std::uint64_t block, address, length;
};

Result<std::vector<Piece>> pieces_of(int fd, std::uint64_t offset, std::uint64_t length) {
  struct stat status{};
  if (::fstat(fd, &status) < 0) return last_errno();
  std::vector<Piece> pieces;
  bool supported = true;
  std::uint64_t end = offset + length;
  TreeWalk walk(fd, 0, status.st_ino, BTRFS_EXTENT_DATA_KEY, 16 << 10);  // tree 0: the file's own subvolume
  TRY(walk.run(
      offset > extent_bytes_max ? offset - extent_bytes_max : 0, end - 1, [&](std::uint64_t begin, ByteView bytes) {
        btrfs_file_extent_item item{};
        std::memcpy(&item, bytes.data(), std::min(bytes.size(), sizeof item));
        if (item.type == BTRFS_FILE_EXTENT_PREALLOC) return true;  // reads as zeros
        if (item.type != BTRFS_FILE_EXTENT_REG) return supported = false;
        std::uint64_t from = std::max(begin, offset), to = std::min(begin + std::uint64_t{item.num_bytes}, end);
        if (from >= to || item.disk_bytenr == 0) return true;
        if (item.compression || item.encryption || item.other_encoding) return supported = false;
        pieces.push_back({from / sector, item.disk_bytenr + item.offset + (from - begin), to - from});
        return true;
      }));
  if (!supported) return Errc::unsupported;
  return pieces;
}

}  // namespace

Result<> require_crc32c(int fd) {
  btrfs_ioctl_fs_info_args info{};
  info.flags = BTRFS_FS_INFO_FLAG_CSUM_INFO;
  if (::ioctl(fd, BTRFS_IOC_FS_INFO, &info) < 0) return last_errno();
  bool crc32c = (info.flags & BTRFS_FS_INFO_FLAG_CSUM_INFO) && info.csum_type == 0 && info.csum_size == 4;
  if (!crc32c || info.sectorsize != sector) return Errc::unsupported;
  return {};
}

Result<> data_checksums(int fd, std::uint64_t offset, std::uint64_t length, const ChecksumVisitor& visit) {
  if (length == 0) return {};
  TRY(flush(fd));
  TRY(std::vector<Piece> pieces, pieces_of(fd, offset, length));
  TreeWalk walk(fd, BTRFS_CSUM_TREE_OBJECTID, BTRFS_EXTENT_CSUM_OBJECTID, BTRFS_EXTENT_CSUM_KEY, 256 << 10);
  std::vector<std::uint32_t> sums;
  for (const Piece& piece : pieces) {
    std::uint64_t next = piece.address, end = piece.address + piece.length;
    constexpr std::uint64_t reach = node_bytes_max / sizeof(std::uint32_t) * sector;
    TRY(walk.run(next > reach ? next - reach : 0, end - 1, [&](std::uint64_t begin, ByteView bytes) {
      std::uint64_t count = bytes.size() / sizeof(std::uint32_t);
      if (begin + count * sector <= next) return true;
      if (begin > next) return false;  // some in between have none
      std::uint64_t skipped = (next - begin) / sector;
      std::uint64_t here = std::min(count - skipped, (end - next) / sector);
      sums.resize(here);
      std::memcpy(sums.data(), bytes.data() + skipped * sizeof(std::uint32_t), here * sizeof(std::uint32_t));
      for (std::uint32_t& each : sums) each = ~each;  // btrfs keeps crc32c with its final inversion
      visit(piece.block + (next - piece.address) / sector, sums);
      next += here * sector;
      return next < end;
    }));
    if (next < end) return Errc::unsupported;
  }
  return {};
}

}  // namespace spirula::filestore::btrfs
