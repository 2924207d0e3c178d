#include "filestore/rebuild.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <map>
#include <set>

#include "base/codec.h"
#include "filestore/btrfs.h"
#include "filestore/directory.h"
#include "filestore/error.h"
#include "filestore/inspector.h"
#include "filestore/key.h"
#include "filestore/limits.h"
#include "filestore/stager.h"

namespace spirula::filestore {
namespace {

using limits::block_bytes;

constexpr char rebuilding_name[] = "superblock.rebuilding";
/// So far behind what was that no record the old journal left behind can be taken for one of the new.
constexpr std::uint64_t sequence_step = std::uint64_t{1} << 32;

/// The superblock is out of the way while the store is not whole.
Result<> rename_durably(int root, const char* from, const char* to) {
  if (::renameat(root, from, root, to) < 0) return last_errno();
  if (::fsync(root) < 0) return last_errno();
  return {};
}

/// Whether every row of a snapshot's index can be read.
bool readable(const std::string& index_path) {
  auto index = Index::open_read_only(index_path);
  if (!index) return false;
  auto cursor = (*index)->cursor({std::string(), std::string("\xff")}, Access::blocking);
  while (cursor->valid()) cursor->next();
  return cursor->status().has_value();
}

class Rebuild {
 public:
  Rebuild(DataFiles& files, Index& index, RebuildReport& report) : files_(files), index_(index), report_(report) {}

  /// A file of its own.
  Result<> take_file(std::uint64_t id) {
    Onode onode{.id = id, .has_file = true};
    TRY(auto file, files_.open(onode, Access::blocking));
    std::string owner(16 << 10, '\0');
    ssize_t length = ::fgetxattr(file->fd(), owner_attribute, owner.data(), owner.size());
    owner.resize(static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
    struct stat status{};
    if (::fstat(file->fd(), &status) < 0) return last_errno();
    onode.size = static_cast<std::uint64_t>(status.st_size);
    return take("file", owner, onode, *file);
  }

  /// Those of its slots that have data. An object that is gone may have some still: the newer one of that name counts.
  Result<> take_slab(SlabEntry& slab) {
    if (!slab.number) {
      report_.notes.push_back(fmt::format("file {} is none of ours", slab.path));
      return {};
    }
    SlotOwners owners;
    if (!read_slot_owners(slab.file.get(), owners))
      report_.notes.push_back(fmt::format("file {}: its records of owners are damaged", slab.path));
    for (std::uint64_t id = (*slab.number + 1) * Slabs::slots; id-- > *slab.number * Slabs::slots;) {
      Onode onode{.id = id, .has_file = true, .in_slab = true};
      TRY(auto file, files_.open(onode, Access::blocking));
      TRY(auto extents, file->extents(0, limits::slab_bytes_max));
      if (extents.empty()) continue;
      onode.size = extents.back().offset + extents.back().length;
      TRY(take("slot", owners[id], onode, *file));
    }
    return {};
  }

  Result<> finish(unsigned bits) {
    std::uint32_t mask = bits >= 32 ? ~0u : (1u << bits) - 1;
    std::set<CollectionId> made;
    for (const auto& [pool, hash] : collections_) made.insert({pool, hash & mask});
    for (const CollectionId& each : made) batch_.put(key::collection(each), encode(std::uint32_t{bits}).view());
    report_.collections = made.size();
    return flush();
  }
  std::uint64_t next_id() const { return next_id_; }

 private:
  Result<> take(std::string_view kind, const std::string& owner, Onode& onode, DataFile& file) {
    Result<ObjectId> name = key::parse_object(owner);
    if (!name) {
      report_.notes.push_back(fmt::format("{} {:x} does not say whose it is", kind, onode.id));
      return {};
    }
    if (auto [it, fresh] = names_.emplace(owner, onode.id); !fresh) {
      report_.notes.push_back(
          fmt::format("{} {:x} says it is {}, as {:x} does", kind, onode.id, name->describe(), it->second));
      return {};
    }
    TRY(take_blocks(*name, onode, file));
    batch_.put(owner, encode(onode).view());
    collections_.insert({name->pool, name->hash});
    next_id_ = std::max(next_id_, onode.id + 1);
    ++report_.objects;
    if (batch_.bytes() > limits::index_batch_bytes_max) return flush();
    return {};
  }

  Result<> flush() {
    TRY(index_.write(batch_));
    batch_.clear();
    return {};
  }

  /// Rows of checksums where the store keeps them; elsewhere btrfs knows, and only what cannot be read is marked.
  Result<> take_blocks(const ObjectId& name, Onode& onode, DataFile& file) {
    std::map<std::uint64_t, ChecksumChunk> rows;
    std::array<std::byte, block_bytes> block;
    auto put = [&](std::uint64_t number, std::uint32_t crc) {
      rows[number / limits::blocks_per_chunk].crc[number % limits::blocks_per_chunk] = crc;
    };
    TRY(auto extents, file.extents(0, onode.size));
    for (const Extent& extent : extents) {
      for (std::uint64_t at = extent.offset / block_bytes * block_bytes; at < extent.offset + extent.length;
           at += block_bytes) {
        Result<> got = file.read(at, block, Access::blocking);
        if (!got && !is(got.error(), Errc::io)) return got;
        if (got && files_.keeps_checksums()) put(at / block_bytes, block_checksum(block));
        if (got) continue;
        report_.notes.push_back(fmt::format("{}: the block at {} cannot be read", name.describe(), at));
        put(at / block_bytes, damaged_block);
        onode.has_damage = !files_.keeps_checksums();
      }
      while (rows.size() > 1) put_row(onode.id, rows);
    }
    if (onode.in_slab) {
      onode.block_checksums = rows[0].front();
      return {};
    }
    while (!rows.empty()) put_row(onode.id, rows);
    return {};
  }
  void put_row(std::uint64_t id, std::map<std::uint64_t, ChecksumChunk>& rows) {
    batch_.put(key::checksums(id, static_cast<std::uint32_t>(rows.begin()->first)), rows.begin()->second.row());
    rows.erase(rows.begin());
  }

  DataFiles& files_;
  Index& index_;
  RebuildReport& report_;
  IndexBatch batch_;
  std::map<std::string, std::uint64_t> names_;
  std::set<std::pair<std::int64_t, std::uint32_t>> collections_;
  std::uint64_t next_id_ = 1;
};

}  // namespace

Result<RebuildReport> rebuild_index(const FilestoreOptions& options, const RebuildOptions& how) {
  if (how.collection_bits > 32) return Errc::invalid;
  TRY(btrfs::require(options.path));
  TRY(FileDescriptor root, open_directory(AT_FDCWD, options.path));
  if (::flock(root.get(), LOCK_EX | LOCK_NB) < 0) return Errc::busy;
  Result<StoreSuperblock> superblock = read_superblock(options.path);
  bool interrupted = !superblock && is(superblock.error(), Errc::not_found);
  if (interrupted) superblock = read_superblock(options.path, rebuilding_name);
  TRY(superblock);
  TRY(auto snapshots, list_snapshots(options.path));
  RebuildReport report;
  auto usable = std::ranges::find_if(snapshots, [&](std::uint64_t each) {
    return open_directory(root.get(), snapshot_name(each) + "/" + objects_name).has_value();
  });
  if (usable == snapshots.end()) return Errc::not_found;
  report.from = *usable;
  if (!how.force && !interrupted && readable(options.path + "/" + snapshot_name(report.from) + "/" + index_name))
    return Errc::exists;
  TRY(auto device, open_journal_device(options.journal, options.journal_engine));
  {
    Result<std::unique_ptr<Journal>> its = Journal::open(std::move(device), superblock->store);
    if (!its && !is(its.error(), Errc::not_found)) return its.error();  // another store's is left alone
  }
  TRY(device, open_journal_device(options.journal, options.journal_engine));

  if (!interrupted) TRY(rename_durably(root.get(), superblock_name, rebuilding_name));
  struct stat status{};
  for (const char* name : {current_name, staging_name})
    if (::fstatat(root.get(), name, &status, AT_SYMLINK_NOFOLLOW) == 0) TRY(btrfs::destroy_subvolume(root.get(), name));
  TRY(btrfs::create_snapshot(root.get(), snapshot_name(report.from), current_name, false));
  TRY(StagingFiles::format(root.get(), superblock->integrity));
  TRY(FileDescriptor current, open_directory(root.get(), current_name));
  std::string index_path = options.path + "/" + current_name + "/" + index_name;
  std::error_code error;
  std::filesystem::remove_all(index_path, error);
  if (error) return error;
  if (::mkdirat(current.get(), index_name, 0700) < 0) return last_errno();
  TRY(FileDescriptor objects, open_directory(current.get(), objects_name));
  TRY(FileDescriptor listed, open_directory(current.get(), objects_name));
  CommitPoint point;
  {
    TRY(auto index, Index::open(index_path, options.memory_bytes_max / 2, true));
    DataFiles files(std::move(objects), superblock->integrity);
    Rebuild rebuild(files, *index, report);
    TRY(for_each_data_file(listed.get(), [&](std::string_view path, std::optional<std::uint64_t> id) -> Result<> {
      if (id) return rebuild.take_file(*id);
      report.notes.push_back(fmt::format("file {} is none of ours", path));
      return {};
    }));
    std::vector<SlabEntry> slabs;
    TRY(for_each_slab(listed.get(), [&](SlabEntry& slab) -> Result<> {
      slabs.push_back(std::move(slab));
      return {};
    }));
    std::ranges::sort(slabs, std::greater(), &SlabEntry::number);
    for (SlabEntry& slab : slabs) TRY(rebuild.take_slab(slab));
    TRY(rebuild.finish(how.collection_bits));
    point.next_id = rebuild.next_id();
  }
  if (Result<CommitPoint> old = read_commit_point(current.get()); old && old->store == superblock->store)
    point.next_id = std::max(point.next_id, old->next_id);
  report.sequence = snapshots.front() + sequence_step;
  point.store = superblock->store;
  point.position.sequence = report.sequence;
  point.object_count = report.objects;
  TRY(write_commit_point(current.get(), point));
  TRY(btrfs::create_snapshot(root.get(), current_name, snapshot_name(report.sequence), true));
  for (std::uint64_t each : snapshots) {
    std::string old = snapshot_name(each), aside = fmt::format("before-rebuild_{}", each);
    if (::renameat(root.get(), old.c_str(), root.get(), aside.c_str()) < 0) return last_errno();
  }
  TRY(Journal::format(*device, superblock->store));
  TRY(btrfs::sync(root.get()));
  TRY(rename_durably(root.get(), rebuilding_name, superblock_name));
  return report;
}

}  // namespace spirula::filestore
