#pragma once
#include <string>

namespace spirula::crash {

/// A disk that acknowledges metadata and fails the data of one write when btrfs writes them back, long after the store
/// has acknowledged the transaction. The commit must fail, and after a restart the data come from the journal. In a
/// Worker. What is wrong, empty if nothing.
std::string run_write_back_failure(const std::string& directory);

}  // namespace spirula::crash
