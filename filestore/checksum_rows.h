#pragma once
#include <cstdint>
#include <memory>
#include <optional>

#include "filestore/index.h"
#include "filestore/onode.h"

namespace spirula::filestore {

/// A walk over the rows of checksums of an object's data file, in order: those it has of its own, and where it has none
/// those that it shares (see Onode); what stands in the onode counts as one. Only rows that exist are walked, so a
/// large hole costs nothing.
class ChecksumRows {
 public:
  /// Rows that hold blocks [first, end). `onode` is not kept.
  ChecksumRows(Index& index, const Onode& onode, std::uint64_t first_block, std::uint64_t end_block, Access access,
               const Index::Moment* moment = nullptr);
  /// All of them.
  ChecksumRows(Index& index, const Onode& onode, Access access, const Index::Moment* moment = nullptr);

  bool valid() const;
  std::uint64_t number() const;
  std::uint64_t first_block() const { return number() * limits::blocks_per_chunk; }
  ChecksumChunk chunk() const;
  bool own() const;
  void next();
  /// Errc::again (see Access), Errc::io; ask when valid() turns false.
  Result<> status() const;

  /// One row.
  static Result<std::optional<ChecksumChunk>> find(Index& index, const Onode& onode, std::uint32_t number,
                                                   Access access, const Index::Moment* moment = nullptr);

 private:
  std::optional<ChecksumChunk> inside_;        ///< the onode's, before the walk has passed it
  std::unique_ptr<IndexCursor> own_, shared_;  ///< none: there are no such rows
};

}  // namespace spirula::filestore
