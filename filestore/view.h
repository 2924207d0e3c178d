#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "filestore/data_files.h"
#include "filestore/index.h"
#include "filestore/object_store.h"
#include "filestore/onode.h"
#include "filestore/pending.h"

namespace spirula::filestore {

/// One attempt to read: the applied state of a moment with the pending operations on top. Used by one thread.
/// Errors of all functions: Errc::again (Access::cached and the disk would be needed), Errc::io, and retry() turns true
/// when the applied state changed under the reader in a way that only another attempt can resolve.
class View {
 public:
  /// Made before the pending operations are collected.
  View(Index& index, DataFiles& files, Access access)
      : index_(index), files_(files), access_(access), began_(files.changes().now()) {}

  struct Meta {
    bool exists = false;
    std::uint64_t size = 0;
    std::map<std::string, Buffer> attributes;
  };
  Result<Meta> meta(const PendingPlan& plan, bool with_attributes);
  Result<bool> exists(const PendingPlan& plan);

  /// Errc::not_found.
  Result<BufferList> read(const PendingPlan& plan, std::uint64_t offset, std::uint64_t length);
  Result<std::vector<Extent>> extents(const PendingPlan& plan, std::uint64_t offset, std::uint64_t length);
  /// See ObjectStore; blocking only.
  Result<std::uint32_t> digest(const PendingPlan& plan, std::uint64_t offset, std::uint64_t length);
  /// Reads what is applied of [offset, +length), whole blocks, from the medium. Errc::io: `bad` has the ranges.
  Result<> verify(const PendingPlan& plan, std::uint64_t offset, std::uint64_t length, std::vector<Extent>& bad);

  Result<Buffer> omap_header(const PendingPlan& plan);
  Result<std::map<std::string, Buffer>> omap_get(const PendingPlan& plan, const std::set<std::string>& keys);
  Result<OmapPage> omap_list(const PendingPlan& plan, const std::string& after, const std::string& from,
                             std::size_t count_max, std::size_t bytes_max);

  Result<std::map<std::string, Buffer>> collection_get(const CollectionId& id, const CollectionPlan& plan,
                                                       const std::set<std::string>& keys);
  Result<OmapPage> collection_list(const CollectionId& id, const CollectionPlan& plan, const std::string& after,
                                   std::size_t count_max);
  Result<ObjectPage> list(const key::Range& range, const std::vector<std::unique_ptr<PendingPlan>>& pending,
                          std::size_t count_max);

  /// Errc::io that may be a race with an apply rather than damage; the name of what did not verify is in what().
  bool retry() const { return retry_; }
  const std::string& what() const { return what_; }

 private:
  /// Pending changes of an ordered map of keys over what is applied.
  struct Delta {
    bool replaced = false;              ///< nothing of what is applied counts
    const PendingPlan* base = nullptr;  ///< whose applied entries count
    std::vector<key::Range> erased;     ///< of them
    std::map<std::string, std::optional<Buffer>> changed;
    std::optional<Buffer> header;
  };
  Result<const Onode*> base(const PendingPlan& plan);
  const Index::Moment* moment();
  Delta omap_delta(const PendingPlan& plan);
  static Delta collection_delta(const CollectionPlan& plan);
  static void erase_range(Delta& delta, const std::string& first, const std::string& last);
  Result<OmapPage> merge(const Delta& delta, const std::optional<key::Range>& rows, std::size_t prefix_bytes,
                         const std::string& after, const std::string& from, std::size_t count_max,
                         std::size_t bytes_max);

  Result<> fill(const PendingPlan& plan, std::size_t steps, std::uint64_t offset, std::span<std::byte> into);
  /// `sums`, if there are any, get the checksum of each whole block of `into`; then `offset` is a block's.
  Result<> fill_base(const PendingPlan& plan, std::uint64_t offset, std::span<std::byte> into,
                     std::span<std::uint32_t> sums = {});
  Result<> read_blocks(DataFile& file, const Onode& onode, std::uint64_t offset, std::span<std::byte> into);
  Result<> fill_unchecked(const Onode& onode, std::uint64_t offset, std::span<std::byte> into);
  Result<std::shared_ptr<DataFile>> open(const Onode& onode);
  std::error_code not_opened(std::error_code error);
  Result<std::vector<Extent>> damage(const Onode& onode, std::uint64_t first, std::uint64_t end);
  bool changed(const Onode& onode) const { return files_.changes().since(began_, onode.id); }
  Result<> map_data(const PendingPlan& plan, std::size_t steps, std::uint64_t offset, std::uint64_t length,
                    std::uint64_t shown_at, std::vector<Extent>& found);
  /// Of the blocks [first, end) of a file, as ChecksumChunk has them.
  Result<std::vector<std::uint32_t>> known_checksums(const Onode& onode, std::uint64_t first, std::uint64_t end);

  Index& index_;
  DataFiles& files_;
  Access access_;
  std::uint64_t began_;
  std::unique_ptr<Index::Moment> moment_;
  std::map<std::string, std::optional<Onode>> bases_;
  bool retry_ = false;
  std::string what_;
};

}  // namespace spirula::filestore
