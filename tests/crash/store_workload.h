#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "filestore/object_store.h"
#include "tests/crash/lane.h"

namespace spirula::crash {

struct StoreWorkload {
  unsigned depth = 4;             ///< transactions of one lane under way at once
  unsigned steps = 0;             ///< per lane
  unsigned steps_per_commit = 0;  ///< lane 0 asks for a commit every so many steps; 0: never
};
/// Runs the lanes side by side against the store until each has done its steps. What went wrong; empty if nothing.
/// Does not stop the store.
std::string run_store_workload(const StoreWorkload& workload, filestore::ObjectStore& store, std::vector<Lane>& lanes,
                               Ledger& ledger);

/// How far an opened store says each lane came.
Result<std::vector<Lane::Progress>> read_progress(filestore::ObjectStore& store, const std::vector<Lane>& lanes);

/// Compares a store with what it must contain after a crash: settles each lane by what the store says, then reads
/// everything there is. What is wrong; empty if nothing.
std::string check_store(filestore::ObjectStore& store, std::vector<Lane>& lanes,
                        const std::map<std::uint32_t, Bounds>& bounds);

}  // namespace spirula::crash
