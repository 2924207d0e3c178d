#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "filestore/object_store.h"

namespace spirula::filestore {

struct RebuildOptions {
  unsigned collection_bits = 0;  ///< of the collections that are made for the objects found
  bool force = false;            ///< even if the index can be read
};
struct RebuildReport {
  std::uint64_t from = 0, sequence = 0;  ///< the snapshot whose files were taken, and the new one
  std::uint64_t objects = 0, collections = 0;
  std::vector<std::string> notes;  ///< files that were left out, blocks that could not be read
};

/// For a closed store whose index is lost: makes a new one from the data files of the newest snapshot and the names
/// they carry, and an empty journal. What lived only in the index is gone and has to come from the replicas:
/// attributes, omap, objects too small for a file, the metadata of collections, checksums (with
/// Integrity::index_checksums the data are taken as they are), and sizes, which become multiples of a block. What the
/// old journal held is given up. The snapshots of before stay as before-rebuild_<sequence>, which nothing uses; the
/// store cannot be opened until the work is done, and interrupted work is taken up by doing it again. Errc::exists: the
/// index can be read; Errc::busy: the store is open; Errc::not_found: no snapshot with files.
Result<RebuildReport> rebuild_index(const FilestoreOptions& options, const RebuildOptions& how);

}  // namespace spirula::filestore
