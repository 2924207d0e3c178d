#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "filestore/data_files.h"
#include "filestore/index.h"
#include "filestore/object_store.h"
#include "filestore/onode.h"
#include "filestore/superblock.h"

namespace spirula::filestore {

/// Looks at a closed store without changing it: at one of its snapshots, by default the newest. What the journal holds
/// beyond that is counted, not applied. For filestore-tool and tests. Blocks.
class Inspector {
 public:
  /// `sequence`: which snapshot; nothing: the newest.
  static Result<std::unique_ptr<Inspector>> open(const std::string& path, std::optional<std::uint64_t> sequence);

  struct Entry {
    ObjectId id;
    Onode onode;
  };
  const StoreSuperblock& superblock() const { return superblock_; }
  const CommitPoint& commit_point() const { return point_; }
  const std::vector<std::uint64_t>& snapshots() const { return snapshots_; }
  Result<std::vector<CollectionInfo>> collections();
  /// In store order, until `visit` answers false.
  Result<> objects(const std::function<bool(const Entry&)>& visit);
  /// Verified data in ascending pieces of at most 1 MiB; holes are left out. Errc::io.
  using OnData = std::function<Result<>(std::uint64_t offset, ByteView bytes)>;
  Result<> data(const Entry& entry, const OnData& visit);
  using OnOmap = std::function<Result<>(std::string_view name, std::string_view value)>;
  Result<> omap(const Entry& entry, const OnOmap& visit);
  Result<Buffer> omap_header(const Entry& entry);
  /// A digest of the object's data that needs none of them to be read: of its blocks' checksums, holes as zero blocks,
  /// so that it is the same whatever the layout, and the same for equal data in two stores.
  Result<std::uint32_t> digest(const Entry& entry);

  /// Holds the index against the files: rows that do not decode, objects outside every collection, missing or foreign
  /// files, files whose name, length or extents are not what the index says, blocks that do not verify (if
  /// `read_data`), rows and files that nobody owns, the object count.
  Result<std::vector<std::string>> check(bool read_data);
  /// Records in the journal behind the commit point.
  Result<std::uint64_t> journal_records(const std::string& journal);

 private:
  Inspector() = default;
  using ById = std::map<std::uint64_t, Entry>;
  Result<std::string> check_file(const Entry& entry);
  Result<> check_slabs(const ById& by_id, std::vector<std::string>& problems);
  std::string path_;
  StoreSuperblock superblock_;
  CommitPoint point_;
  std::vector<std::uint64_t> snapshots_;
  FileDescriptor objects_;
  std::unique_ptr<Index> index_;
  std::unique_ptr<DataFiles> files_;
};

}  // namespace spirula::filestore
