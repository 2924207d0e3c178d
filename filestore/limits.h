#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>

/// Every bound of the store, with its reason.
namespace spirula::filestore::limits {

/// Of an object's data: 4 KiB blocks in 64-block chunks, numbered in 32 bits, reach far beyond. Ceph's own default is
/// 128 MiB (osd_max_object_size); a file system on top uses 4 MiB.
inline constexpr std::uint64_t object_size_max = std::uint64_t{1} << 40;
/// Of name space + key + name once escaped: they must fit an xattr of a 16 KiB btrfs leaf and an index key.
inline constexpr std::size_t object_name_bytes_max = 12 * 1024;
/// Of an attribute's name.
inline constexpr std::size_t attribute_name_bytes_max = 4096;
/// Of the attributes that one operation sets. All of one object's live in one index value, rewritten when one changes,
/// so callers bound them together (osd/limits.h, attributes_size_max); a store takes what they bring.
inline constexpr std::size_t attributes_bytes_max = 1 << 20;
/// Of what one client operation may bring, data and omap together (Ceph: osd_max_write_size is 90 MB). The OSD's limit
/// is this one.
inline constexpr std::size_t operation_bytes_max = 90 << 20;
/// Of one transaction's encoding: such an operation and what the OSD adds to it (attributes, a log entry, names). A
/// quarter of the journal bounds it too, without what is staged.
inline constexpr std::size_t transaction_bytes_max = operation_bytes_max + (6 << 20);

/// The unit of checksums and of what is shared between clones: btrfs's sector, the page of the machines we run on.
inline constexpr std::uint64_t block_bytes = 4096;
/// Checksums are kept in rows of this many blocks (256 KiB of data, 256 bytes of row): a 4 KiB overwrite rewrites one.
inline constexpr std::uint64_t blocks_per_chunk = 64;
inline constexpr std::uint64_t chunk_bytes = block_bytes * blocks_per_chunk;
/// A file of so many blocks at most has its checksums in its object's own row, which is read and written anyway.
inline constexpr std::uint64_t onode_blocks_max = 4;
/// Objects up to this size that the index does not hold share files (slabs.h), where the index has the checksums.
inline constexpr std::uint64_t slab_bytes_max = onode_blocks_max * block_bytes;
/// Open slabs: of so many times 4,096 objects.
inline constexpr std::size_t open_slabs_max = 4096;
/// Clones of objects of at least this size share their rows of checksums, which costs two other rows; those of smaller
/// ones have copies.
inline constexpr std::uint64_t shared_checksums_min = 1 << 20;
/// Objects up to this size live in the index. Measured (filestore_bench small_objects): from there on RocksDB's log,
/// flushes and compactions cost more than a slot does, and grow with the index.
inline constexpr std::uint64_t inline_bytes_max = 2 << 10;

/// Open data files kept for the next call: opening and closing one costs a seventh of a small read. Some hundred bytes
/// each, beside the inode that the kernel keeps anyway.
inline constexpr std::size_t open_files_max = 8192;
/// Open tables of the index, about: 16 GiB of it. One more costs opening one again, on the read pool.
inline constexpr int open_tables_max = 1024;
/// Objects whose onode an apply lane keeps between batches, with a row of checksums for each on average.
inline constexpr std::size_t lane_objects_max = 2048;
/// Apply lanes, where the processors decide.
inline constexpr unsigned lanes_max = 4;
/// Transactions an apply lane takes at once.
inline constexpr std::size_t lane_batch_transactions_max = 256;
/// So many, or so many bytes, are worth a batch at once; fewer wait this long for company. Nobody waits for them: reads
/// see what is pending.
inline constexpr std::size_t lane_batch_transactions_wanted = 128;
inline constexpr std::size_t lane_batch_bytes_wanted = 1 << 20;
inline constexpr std::chrono::milliseconds lane_linger{15};
/// Bytes of the transactions that a lane takes at once, and that it collects before it writes them to the index.
inline constexpr std::size_t index_batch_bytes_max = 4 << 20;
/// Removing more omap entries than this at once uses a range tombstone instead of one per entry.
inline constexpr std::size_t point_deletes_max = 10'000;

/// One journal write carries at most this many bytes of small records; a larger record travels alone.
inline constexpr std::size_t journal_batch_bytes_max = 1 << 20;
/// Below this a journal cannot hold the records of two commit intervals of any use.
inline constexpr std::uint64_t journal_bytes_min = 64 << 20;

/// A write's whole blocks go through staging from this size on; below it the journal's one write is cheaper than a sync
/// of btrfs and a reflink.
inline constexpr std::uint64_t staged_bytes_min = 256 << 10;
inline constexpr std::uint32_t staging_rings = 2;
/// Payload that shares one sync.
inline constexpr std::uint64_t staging_batch_bytes_max = 16 << 20;

/// A run of blocks that is read past the page cache, if it is the first pass over them: below it, what the kernel reads
/// ahead is worth more than the copy costs.
inline constexpr std::uint64_t direct_read_bytes_min = 1 << 20;
/// A read whose bytes keep the checksums of their blocks, see Buffer::checksums().
inline constexpr std::uint64_t checksums_kept_from = 64 << 10;

/// A read served on the calling shard at most; more is copied and verified on the read pool.
inline constexpr std::uint64_t inline_read_bytes_max = 64 << 10;

}  // namespace spirula::filestore::limits
