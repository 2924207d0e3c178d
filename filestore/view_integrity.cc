#include <fmt/format.h>

#include <algorithm>

#include "filestore/digest.h"
#include "filestore/error.h"
#include "filestore/key.h"
#include "filestore/limits.h"
#include "filestore/view.h"

/// The part of View that knows whether data are good: reading where btrfs verifies, digests, and looking at the medium.
namespace spirula::filestore {
namespace {

using limits::block_bytes;

void add_bad(std::vector<Extent>& bad, std::uint64_t block) {
  if (!bad.empty() && bad.back().offset + bad.back().length == block * block_bytes) {
    bad.back().length += block_bytes;
  } else {
    bad.push_back({block * block_bytes, block_bytes});
  }
}

/// Reads blocks from `first` on and compares them with `known`, a checksum for each, or 0 for a hole; if btrfs compares
/// (`ours` is false) then anything but 0 marks a block as bad.
Result<> verify_blocks(const DataFile& file, std::uint64_t first, std::span<const std::uint32_t> known, bool ours,
                       std::vector<Extent>& bad) {
  constexpr std::size_t step = (1 << 20) / block_bytes;
  Buffer buffer = Buffer::allocate(std::min(step, known.size()) * block_bytes, block_bytes);
  auto at = [&](std::size_t i) { return std::span(buffer.mutable_data() + i * block_bytes, block_bytes); };
  auto wanted = [&](std::size_t i) { return ours ? known[i] != 0 : known[i] == 0; };
  for (std::size_t begin = 0; begin < known.size();) {
    if (!wanted(begin)) {
      if (!ours) add_bad(bad, first + begin);
      ++begin;
      continue;
    }
    std::size_t end = begin;
    while (end < known.size() && end - begin < step && wanted(end)) ++end;
    Result<> run = file.read((first + begin) * block_bytes, {buffer.mutable_data(), (end - begin) * block_bytes},
                             Access::blocking);
    if (!run && !is(run.error(), Errc::io)) return run;
    for (std::size_t i = begin; i < end; ++i) {
      Result<> got;
      if (!run) got = file.read((first + i) * block_bytes, at(i - begin), Access::blocking);
      if (!got && !is(got.error(), Errc::io)) return got;
      if (!got || (ours && block_checksum(at(i - begin)) != known[i])) add_bad(bad, first + i);
    }
    begin = end;
  }
  return {};
}

}  // namespace

/// btrfs verifies. The index does not say which state of the file is wanted: if it may have changed since the pending
/// operations were collected, the whole attempt is void.
Result<> View::fill_unchecked(const Onode& onode, std::uint64_t offset, std::span<std::byte> into) {
  std::uint64_t end = offset + into.size();
  if (onode.has_damage) {
    TRY(auto known, damage(onode, offset / block_bytes, (end + block_bytes - 1) / block_bytes));
    if (!known.empty()) {
      what_ = fmt::format("block {} of {} is marked as bad", known.front().offset / block_bytes,
                          DataFiles::describe(onode));
      return Errc::io;
    }
  }
  TRY(auto file, open(onode));
  Result<> got = file->read(offset, into, access_);
  if (!got && is(got.error(), Errc::io))
    what_ = fmt::format("bytes {} to {} of {} cannot be read", offset, end - 1, DataFiles::describe(onode));
  if (changed(onode)) retry_ = true;
  return got;
}

/// Blocks of [first, end) that are marked as bad, with Integrity::btrfs_checksums.
Result<std::vector<Extent>> View::damage(const Onode& onode, std::uint64_t first, std::uint64_t end) {
  std::vector<Extent> found;
  auto cursor = index_.cursor(key::checksums(onode.id, first, end), access_, moment());
  for (; cursor->valid(); cursor->next()) {
    ChecksumChunk marks = ChecksumChunk::from_row(cursor->value());
    std::uint64_t begin = key::parse_chunk(cursor->key()) * limits::blocks_per_chunk;
    for (std::uint64_t i = 0; i < limits::blocks_per_chunk; ++i)
      if (marks.crc[i] && begin + i >= first && begin + i < end)
        found.push_back({(begin + i) * block_bytes, block_bytes});
  }
  TRY(cursor->status());
  return found;
}

Result<std::uint32_t> View::digest(const PendingPlan& plan, std::uint64_t offset, std::uint64_t length) {
  (void)moment();
  TRY(Meta of, meta(plan, false));
  if (!of.exists) return Errc::not_found;
  if (offset % block_bytes) return Errc::invalid;
  length = offset < of.size ? std::min(length, of.size - offset) : 0;
  if (offset + length < of.size && length % block_bytes) return Errc::invalid;
  Digest digest(length);
  std::uint64_t first = offset / block_bytes, end = (offset + length + block_bytes - 1) / block_bytes;
  auto read = [&]() -> Result<> {
    constexpr std::uint64_t step = 1 << 20;
    Buffer bytes = Buffer::allocate(std::min(step, length), block_bytes);
    TRY(auto allocated, extents(plan, offset, length));
    std::uint64_t at = 0;  // whole blocks that have anything in them; the digest knows what a hole is
    for (const Extent& extent : allocated) {
      std::uint64_t last = extent.offset + extent.length - offset;
      at = std::max(at, (extent.offset - offset) / block_bytes * block_bytes);
      last = std::min(length, (last + block_bytes - 1) / block_bytes * block_bytes);
      while (at < last) {
        std::span<std::byte> here(bytes.mutable_data(), std::min(step, last - at));
        TRY(fill(plan, plan.steps.size(), offset + at, here));
        digest.add_data(at / block_bytes, here);
        at += here.size();
      }
    }
    return {};
  };
  const Onode* onode = nullptr;
  if (plan.steps.empty() && !plan.replaced) {
    TRY(onode, base(plan));
  }
  if (!onode || onode->has_inline) {
    TRY(read());  // from memory, all but a little
  } else if (onode->has_file) {
    if (onode->has_damage) {
      TRY(auto known, damage(*onode, first, end));
      if (!known.empty()) {
        what_ =
            fmt::format("block {} of {} is marked as bad", known[0].offset / block_bytes, DataFiles::describe(*onode));
        return Errc::io;
      }
    }
    Digest empty = digest;
    Result<> done = digest_file(digest, index_, moment(), files_, *onode, first, end);
    if (!done && is(done.error(), Errc::unsupported)) {
      digest = empty;
      done = read();
    }
    if (!files_.keeps_checksums() && changed(*onode)) retry_ = true;
    if (!done) return not_opened(done.error());
  }
  return digest.finish();
}

Result<> View::verify(const PendingPlan& plan, std::uint64_t offset, std::uint64_t length, std::vector<Extent>& bad) {
  bad.clear();
  (void)moment();
  TRY(Meta of, meta(plan, false));
  if (!of.exists) return Errc::not_found;
  if (plan.replaced) return {};
  TRY(const Onode* onode, base(plan));
  if (!onode || offset >= onode->size) return {};
  if (onode->has_inline) {
    TRY(auto row, index_.get(key::inline_data(onode->id), access_, moment()));
    if (!row) bad.push_back({0, onode->size});
  }
  if (onode->has_file) {
    std::uint64_t first = offset / block_bytes;
    std::uint64_t end = (std::min(offset + length, onode->size) + block_bytes - 1) / block_bytes;
    TRY(auto known, known_checksums(*onode, first, end));
    Result<std::shared_ptr<DataFile>> file = files_.open_direct(*onode);
    if (!file && is(file.error(), Errc::not_found)) {
      bool none = onode->in_slab && std::ranges::all_of(known, [](std::uint32_t each) { return each == 0; });
      if (!none) bad.push_back({offset, std::min(length, onode->size - offset)});
    } else {
      TRY(file);
      (*file)->drop_cached(first * block_bytes, known.size() * block_bytes);
      TRY(verify_blocks(**file, first, known, files_.keeps_checksums(), bad));
      (*file)->drop_cached(first * block_bytes, known.size() * block_bytes);  // where btrfs reads through the cache
    }
    if (!files_.keeps_checksums() && changed(*onode)) retry_ = true;
  }
  if (bad.empty()) return {};
  what_ =
      fmt::format("{}: {} bad ranges, the first at {}", DataFiles::describe(*onode), bad.size(), bad.front().offset);
  retry_ = true;
  return Errc::io;
}

}  // namespace spirula::filestore
