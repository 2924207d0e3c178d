#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

/// The btrfs calls the store is made of; every one of them may block.
namespace spirula::filestore::btrfs {

/// Errc::unsupported if `path` is not on btrfs, Errc::read_only if that is mounted so.
Result<> require(const std::string& path);
/// Runs mkfs.btrfs on a device, whatever is there. Errc::io: it failed, and has said why on stderr.
Result<> make(const std::string& device);
/// As a store wants it: noatime, and commits of btrfs's own seldom, for the store makes its own.
Result<> mount(const std::string& device, const std::string& directory);
/// Writes all data and commits the transaction (BTRFS_IOC_SYNC).
Result<> sync(int directory);
Result<> create_subvolume(int directory, const std::string& name);
/// Flushes the source's data, snapshots it and returns after the commit (BTRFS_IOC_SNAP_CREATE_V2 on kernels of today).
Result<> create_snapshot(int directory, const std::string& source, const std::string& name, bool read_only);
/// The name is gone at once; the cleaner gives the space back later.
Result<> destroy_subvolume(int directory, const std::string& name);
/// Subvolumes of the file system that are deleted but not yet cleaned.
Result<std::size_t> deleted_subvolumes(int directory);
/// Files made in this directory from now on are NODATACOW and so NODATASUM: extents shared with a snapshot are still
/// copied on write, fresh ones are written in place, which a rollback to the snapshot survives.
Result<> disable_checksums(int fd);
/// Shares [source_offset, +length) of `source` at `offset` of `target`; all multiples of 4096 except at the source's
/// end.
Result<> clone_range(int source, std::uint64_t source_offset, std::uint64_t length, int target, std::uint64_t offset);

/// Calls until it does not say Errc::no_space, with a sync in between, for a while: what btrfs has promised to changes
/// under way, many times what they take, is free again after a sync. Only for calls that changed nothing when they
/// fail.
Result<> insist(int directory, const std::function<Result<>()>& call);

/// Writes and flushes that devices of the file system have failed, ever (BTRFS_IOC_GET_DEV_STATS). Neither a sync nor a
/// snapshot reports data that write-back could not write; this count is how one hears of it.
Result<std::uint64_t> write_errors(int directory);

struct Space {
  std::uint64_t total = 0, used = 0;
  std::uint64_t available = 0;      ///< for data: in its chunks and in what is unallocated
  std::uint64_t data_free = 0;      ///< in the chunks that data have
  std::uint64_t metadata_free = 0;  ///< in the chunks that metadata have, without btrfs's own reserve
  std::uint64_t metadata_copies = 1;
  std::uint64_t unallocated = 0;
  std::uint64_t chunk_bytes = std::uint64_t{1} << 30;  ///< what data take of the unallocated at once, at most
};
Result<Space> space(int directory);

}  // namespace spirula::filestore::btrfs
