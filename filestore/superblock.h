#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "filestore/journal.h"
#include "filestore/object_store.h"

/// The small files beside the data: who this store is, and what each commit point contains.
namespace spirula::filestore {

inline constexpr char current_name[] = "current", staging_name[] = "staging", superblock_name[] = "superblock";
inline constexpr char objects_name[] = "objects", index_name[] = "index", commit_point_name[] = "commit-point";

/// `superblock` in the store's directory; written last by mkfs, so its presence means a whole store.
struct StoreSuperblock {
  static constexpr std::uint8_t version = 2, compat = 2;  ///< 1: data files in 256 directories
  StoreUuid store{};
  std::string owner, cluster_fsid;
  Integrity integrity = Integrity::index_checksums;
  static void fields(auto& self, auto& wire) {
    wire(self.store);
    wire(self.owner);
    wire(self.cluster_fsid);
    wire(self.integrity);
  }
};

/// `commit-point` in current/ and so in each snapshot: written while nothing is applied, just before the snapshot.
struct CommitPoint {
  static constexpr std::uint8_t version = 1, compat = 1;
  StoreUuid store{};
  JournalPosition position;  ///< everything up to position.sequence is in this subvolume; replay goes on from here
  std::uint64_t next_id = 1;
  std::uint64_t object_count = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.store);
    wire(self.position);
    wire(self.next_id);
    wire(self.object_count);
  }
};

/// The file is replaced atomically and synced, with its directory.
Result<> write_superblock(int directory, const StoreSuperblock& superblock);
/// Errc::not_found: no store here; Errc::unsupported: a newer format, or an integrity mode unknown here;
/// Errc::malformed.
Result<StoreSuperblock> read_superblock(const std::string& path, const char* name = superblock_name);
Result<> write_commit_point(int current, const CommitPoint& point);
Result<CommitPoint> read_commit_point(int current);

std::string snapshot_name(std::uint64_t sequence);
/// Sequences of the snapshots in the store's directory, newest first.
Result<std::vector<std::uint64_t>> list_snapshots(const std::string& path);
std::string describe(const StoreUuid& uuid);

}  // namespace spirula::filestore
