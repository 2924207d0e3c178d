#include "filestore/checksum_rows.h"

#include "filestore/key.h"

namespace spirula::filestore {

namespace {

std::optional<ChecksumChunk> inside(const Onode& onode) {
  if (!onode.block_checksums || onode.block_checksums->empty()) return std::nullopt;
  return ChecksumChunk::from_front(*onode.block_checksums);
}

}  // namespace

ChecksumRows::ChecksumRows(Index& index, const Onode& onode, std::uint64_t first_block, std::uint64_t end_block,
                           Access access, const Index::Moment* moment) {
  if (onode.block_checksums) {
    if (first_block < limits::blocks_per_chunk && first_block < end_block) inside_ = inside(onode);
    return;
  }
  own_ = index.cursor(key::checksums(onode.own_checksums(), first_block, end_block), access, moment);
  if (onode.shared_checksums)
    shared_ = index.cursor(key::checksums(onode.shared_checksums, first_block, end_block), access, moment);
}
ChecksumRows::ChecksumRows(Index& index, const Onode& onode, Access access, const Index::Moment* moment)
    : inside_(inside(onode)) {
  if (onode.block_checksums) return;
  own_ = index.cursor(key::checksums(onode.own_checksums()), access, moment);
  if (onode.shared_checksums) shared_ = index.cursor(key::checksums(onode.shared_checksums), access, moment);
}

bool ChecksumRows::valid() const {
  if (inside_) return true;
  if (!own_) return false;
  if (own_->valid()) return true;
  // Shared rows count only where the object is known to have none of its own.
  return shared_ && shared_->valid() && own_->status().has_value();
}
bool ChecksumRows::own() const {
  if (!shared_ || !shared_->valid()) return true;
  return own_->valid() && key::parse_chunk(own_->key()) <= key::parse_chunk(shared_->key());
}
std::uint64_t ChecksumRows::number() const {
  return inside_ ? 0 : key::parse_chunk((own() ? own_ : shared_)->key());
}
ChecksumChunk ChecksumRows::chunk() const {
  return inside_ ? *inside_ : ChecksumChunk::from_row((own() ? own_ : shared_)->value());
}
void ChecksumRows::next() {
  if (inside_) return inside_.reset();
  if (!own()) return shared_->next();
  std::uint64_t number = key::parse_chunk(own_->key());
  if (shared_ && shared_->valid() && key::parse_chunk(shared_->key()) == number) shared_->next();
  own_->next();
}
Result<> ChecksumRows::status() const {
  if (!own_) return {};
  TRY(own_->status());
  return shared_ ? shared_->status() : Result<>{};
}

Result<std::optional<ChecksumChunk>> ChecksumRows::find(Index& index, const Onode& onode, std::uint32_t number,
                                                        Access access, const Index::Moment* moment) {
  if (onode.block_checksums)
    return number == 0 ? std::optional(ChecksumChunk::from_front(*onode.block_checksums)) : std::nullopt;
  TRY(auto row, index.get(key::checksums(onode.own_checksums(), number), access, moment));
  if (!row && onode.shared_checksums) {
    TRY(row, index.get(key::checksums(onode.shared_checksums, number), access, moment));
  }
  return row ? std::optional(ChecksumChunk::from_row(*row)) : std::nullopt;
}

}  // namespace spirula::filestore
