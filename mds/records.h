#pragma once
#include <map>
#include <string>
#include <vector>

#include "mds/types.h"

/// What the MDS keeps in RADOS, all of our own format: a directory is an object whose omap maps names to DentryRecords,
/// the journal a sequence of Batches (mds/batch.h).
namespace spirula::mds {

using msg::FileLayout;
using msg::Time;

/// Where a name is: the directory and the name in it.
struct Location {
  Ino dir;
  std::string name;
  static void fields(auto& self, auto& wire) {
    wire(self.dir);
    wire(self.name, limits::name_bytes_max);
  }
  friend auto operator<=>(const Location&, const Location&) = default;
};

/// Sums over a subtree; a directory's own include itself as one subdirectory (as Ceph's nest_info_t).
struct RecursiveStats {
  std::int64_t bytes = 0, files = 0, subdirs = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.bytes);
    wire(self.files);
    wire(self.subdirs);
  }
  RecursiveStats operator-(const RecursiveStats& other) const {
    return {bytes - other.bytes, files - other.files, subdirs - other.subdirs};
  }
  RecursiveStats& operator+=(const RecursiveStats& other) {
    bytes += other.bytes, files += other.files, subdirs += other.subdirs;
    return *this;
  }
  friend bool operator==(const RecursiveStats&, const RecursiveStats&) = default;
};

/// An inode as it is stored: in the record of its primary name.
struct InodeRecord {
  static constexpr std::uint8_t version = 2, compat = 1;
  Ino ino;
  std::uint32_t mode = 0, uid = 0, gid = 0, links = 1, rdev = 0;
  std::uint64_t size = 0;
  std::uint64_t size_seen = 0;  ///< the largest it ever had: objects up to there may exist
  /// Clients may have written up to here without telling (max_size); 0 when nobody may write.
  std::uint64_t writable_size = 0;
  std::uint32_t truncate_sequence = 1;
  std::uint64_t truncate_size = ~std::uint64_t{0};
  std::uint64_t truncate_from = 0;  ///< objects up to here are still to be cut to truncate_size; 0: none
  std::uint32_t time_warp_sequence = 0;
  Time atime, mtime, ctime, btime;
  std::uint64_t change_attribute = 0;
  std::uint64_t inode_version = 2;  ///< even, grows with every change; the clients' reply version
  std::uint64_t xattr_version = 1;
  FileLayout layout;  ///< of a file; of a directory: what new files in it get, if has_layout
  bool has_layout = false;
  std::string symlink;
  std::map<std::string, Buffer> xattrs;
  std::uint64_t files = 0, subdirs = 0;  ///< entries of a directory
  RecursiveStats below;                  ///< of a directory
  Time rctime;
  std::vector<Location> other_names;    ///< hard links besides the primary name
  std::vector<std::int64_t> old_pools;  ///< of a file's earlier layouts: a backtrace may be there still

  bool is_dir() const { return (mode & 0170000) == 0040000; }
  bool is_file() const { return (mode & 0170000) == 0100000; }
  bool is_symlink() const { return (mode & 0170000) == 0120000; }
  /// About how many bytes it takes stored.
  std::size_t bytes() const {
    std::size_t sum = 400 + symlink.size() + layout.name_space.size();
    for (const auto& [name, value] : xattrs) sum += 16 + name.size() + value.size();
    for (const Location& at : other_names) sum += 16 + at.name.size();
    return sum;
  }
  /// What it adds to the statistics of the directories above it.
  RecursiveStats contribution() const {
    if (is_dir()) return below;
    return {static_cast<std::int64_t>(size), 1, 0};
  }

  static void fields(auto& self, auto& wire) {
    wire(self.ino);
    wire(self.mode);
    wire(self.uid);
    wire(self.gid);
    wire(self.links);
    wire(self.rdev);
    wire(self.size);
    wire(self.size_seen);
    wire(self.writable_size);
    wire(self.truncate_sequence);
    wire(self.truncate_size);
    wire(self.truncate_from);
    wire(self.time_warp_sequence);
    wire(self.atime);
    wire(self.mtime);
    wire(self.ctime);
    wire(self.btime);
    wire(self.change_attribute);
    wire(self.inode_version);
    wire(self.xattr_version);
    wire(self.layout);
    wire(self.has_layout);
    wire(self.symlink, limits::symlink_bytes_max);
    wire(self.xattrs, limits::xattrs_bytes_max);
    wire(self.files);
    wire(self.subdirs);
    wire(self.below);
    wire(self.rctime);
    wire(self.other_names, limits::links_max);
    wire.since(2, self.old_pools, limits::old_pools_max);
  }
};

/// What a name stands for.
struct DentryRecord {
  static constexpr std::uint8_t version = 1, compat = 1;
  enum class Kind : std::uint8_t { primary = 1, remote = 2 };
  Kind kind = Kind::primary;
  InodeRecord inode;       ///< of a primary name
  Ino remote;              ///< of a further name: the inode, stored elsewhere
  std::uint32_t type = 0;  ///< its file type bits (S_IFMT)
  static void fields(auto& self, auto& wire) {
    wire(self.kind);
    if (self.kind == Kind::primary) {
      wire(self.inode);
    } else {
      wire(self.remote);
      wire(self.type);
    }
  }
};

/// Where an inode's primary name is, kept with the inode's own first object: what lookup by number follows, and what
/// would rebuild the tree if directory objects were lost.
struct Backtrace {
  static constexpr std::uint8_t version = 1, compat = 1;
  Ino ino;
  Location at;
  static void fields(auto& self, auto& wire) {
    wire(self.ino);
    wire(self.at);
  }
};

}  // namespace spirula::mds
