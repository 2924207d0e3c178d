#pragma once
#include <string>

#include "tests/crash/ledger.h"

namespace spirula::crash {

/// The proof of the recorder itself, without a store: blocks of plain files on btrfs, overwritten and fdatasync()ed,
/// with read-only snapshots of the subvolume in between. A lane is a block; a step is the version written into it.
struct FileWorkload {
  std::uint64_t seed = 0;
  unsigned files = 4, blocks_per_file = 16, steps = 0;
  /// Promise without fdatasync(), which a check of the crash points has to find.
  bool lie = false;
};
void run_file_workload(const FileWorkload& workload, const std::string& mount_point, Ledger& ledger);
/// What is wrong; empty if nothing.
std::string check_file_workload(const FileWorkload& workload, const std::string& mount_point,
                                const std::map<std::uint32_t, Bounds>& bounds);

}  // namespace spirula::crash
