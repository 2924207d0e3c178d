#include "filestore/inspector.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>

#include "base/codec.h"
#include "base/crc32c.h"
#include "filestore/admission.h"
#include "filestore/checksum_rows.h"
#include "filestore/digest.h"
#include "filestore/directory.h"
#include "filestore/error.h"
#include "filestore/key.h"
#include "filestore/limits.h"

namespace spirula::filestore {
namespace {

using limits::block_bytes;

}  // namespace

Result<std::unique_ptr<Inspector>> Inspector::open(const std::string& path, std::optional<std::uint64_t> sequence) {
  std::unique_ptr<Inspector> self(new Inspector);
  self->path_ = path;
  TRY(self->superblock_, read_superblock(path));
  TRY(self->snapshots_, list_snapshots(path));
  if (self->snapshots_.empty()) return Errc::not_found;
  std::string name = snapshot_name(sequence.value_or(self->snapshots_.front()));
  TRY(FileDescriptor root, open_directory(AT_FDCWD, path + "/" + name));
  TRY(self->point_, read_commit_point(root.get()));
  TRY(self->objects_, open_directory(root.get(), objects_name));
  TRY(FileDescriptor objects, open_directory(root.get(), objects_name));
  self->files_ =
      std::make_unique<DataFiles>(std::move(objects), self->superblock_.integrity, DataFiles::Mode::read_only);
  TRY(self->index_, Index::open_read_only(path + "/" + name + "/" + index_name));
  return self;
}

Result<std::vector<CollectionInfo>> Inspector::collections() {
  std::vector<CollectionInfo> all;
  auto cursor = index_->cursor(key::collections(), Access::blocking);
  for (; cursor->valid(); cursor->next()) {
    TRY(CollectionId id, key::parse_collection(cursor->key()));
    TRY(auto bits, decode<std::uint32_t>(Buffer::copy_of(cursor->value())));
    all.push_back({id, bits});
  }
  TRY(cursor->status());
  return all;
}

Result<> Inspector::objects(const std::function<bool(const Entry&)>& visit) {
  auto cursor = index_->cursor(key::all_objects(), Access::blocking);
  for (; cursor->valid(); cursor->next()) {
    Entry entry;
    TRY(entry.id, key::parse_object(cursor->key()));
    TRY(entry.onode, decode<Onode>(Buffer::copy_of(cursor->value())));
    if (!visit(entry)) return {};
  }
  return cursor->status();
}

Result<> Inspector::data(const Entry& entry, const OnData& visit) {
  constexpr std::uint64_t step = 1 << 20;
  const Onode& onode = entry.onode;
  if (onode.has_inline) {
    TRY(auto row, index_->get(key::inline_data(onode.id), Access::blocking));
    if (!row) return Errc::io;
    return visit(0, as_bytes(*row).first(std::min<std::uint64_t>(row->size(), onode.size)));
  }
  if (!onode.has_file) return {};
  auto file = files_->open(onode, Access::blocking);
  if (!file && !(onode.in_slab && is(file.error(), Errc::not_found))) return file.error();
  if (file) (*file)->drop_cached(0, onode.size);
  ChecksumRows rows(*index_, onode, Access::blocking);
  Buffer buffer = Buffer::allocate(step, block_bytes);
  auto room = [&](std::uint64_t length) { return std::span(buffer.mutable_data(), length); };
  if (!files_->keeps_checksums()) {
    if (onode.has_damage && rows.valid()) return Errc::io;
    TRY(rows.status());
    TRY(auto extents, (*file)->extents(0, onode.size));
    for (const Extent& extent : extents) {
      for (std::uint64_t at = extent.offset; at < extent.offset + extent.length; at += step) {
        auto piece = room(std::min(step, extent.offset + extent.length - at));
        TRY((*file)->read(at, piece, Access::blocking));
        TRY(visit(at, piece));
      }
    }
    return {};
  }
  for (; rows.valid(); rows.next()) {
    ChecksumChunk sums = rows.chunk();
    std::uint64_t first = rows.first_block();
    for (std::uint64_t i = 0; i < limits::blocks_per_chunk; ++i) {
      std::uint64_t begin = i, at = (first + i) * block_bytes;
      while (i < limits::blocks_per_chunk && sums.crc[i]) ++i;
      if (i == begin || at >= onode.size) continue;
      auto piece = room((i - begin) * block_bytes);
      TRY(file);
      TRY((*file)->read(at, piece, Access::blocking));
      for (std::uint64_t b = begin; b < i; ++b)
        if (block_checksum(piece.subspan((b - begin) * block_bytes, block_bytes)) != sums.crc[b]) return Errc::io;
      TRY(visit(at, piece.first(std::min<std::uint64_t>(piece.size(), onode.size - at))));
    }
  }
  return rows.status();
}

Result<> Inspector::omap(const Entry& entry, const OnOmap& visit) {
  auto cursor = index_->cursor(key::omap_entries(entry.onode.id), Access::blocking);
  for (; cursor->valid(); cursor->next()) TRY(visit(cursor->key().substr(key::omap_prefix_bytes), cursor->value()));
  return cursor->status();
}

Result<Buffer> Inspector::omap_header(const Entry& entry) {
  TRY(auto row, index_->get(key::omap_header(entry.onode.id), Access::blocking));
  return row ? Buffer::copy_of(*row) : Buffer{};
}

Result<std::uint32_t> Inspector::digest(const Entry& entry) {
  const Onode& onode = entry.onode;
  Digest digest(onode.size);
  Result<> done;
  if (onode.has_file) {
    if (onode.has_damage) {
      auto cursor = index_->cursor(key::checksums(onode.id), Access::blocking);
      if (cursor->valid()) return Errc::io;
      TRY(cursor->status());
    }
    std::uint64_t blocks = (onode.size + block_bytes - 1) / block_bytes;
    done = digest_file(digest, *index_, nullptr, *files_, onode, 0, blocks);
    if (done || !is(done.error(), Errc::unsupported)) {
      TRY(done);
      return digest.finish();
    }
    digest = Digest(onode.size);
  }
  TRY(data(entry, [&](std::uint64_t offset, ByteView bytes) -> Result<> {
    digest.add_data(offset / block_bytes, bytes);
    return {};
  }));
  return digest.finish();
}

Result<std::uint64_t> Inspector::journal_records(const std::string& journal) {
  TRY(auto device, open_journal_device(journal, FilestoreOptions::JournalEngine::automatic));
  TRY(auto log, Journal::open(std::move(device), superblock_.store));
  std::uint64_t count = 0;
  auto visit = [&](JournalPosition, const Buffer&) -> Result<> {
    ++count;
    return {};
  };
  TRY(log->replay(point_.position, visit));
  return count;
}

/// What is wrong with the file of an object, without reading its data; nothing if it is as the index says.
Result<std::string> Inspector::check_file(const Entry& entry) {
  const Onode& onode = entry.onode;
  auto file = files_->open(onode, Access::blocking);
  if (!file) return "its data file is missing";
  std::string owner(16 << 10, '\0');
  ssize_t length = ::fgetxattr((*file)->fd(), owner_attribute, owner.data(), owner.size());
  owner.resize(static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
  if (owner != key::object(entry.id)) return "its data file names another object";
  struct stat status{};
  if (::fstat((*file)->fd(), &status) < 0) return last_errno();
  auto bytes = static_cast<std::uint64_t>(status.st_size);
  std::uint64_t blocks = (onode.size + block_bytes - 1) / block_bytes;
  if (bytes > blocks * block_bytes) return fmt::format("its data file has {} bytes, the object {}", bytes, onode.size);
  TRY(auto extents, (*file)->extents(0, bytes));
  auto holds = [&](std::uint64_t block) {
    auto after = std::ranges::upper_bound(extents, block * block_bytes, {}, &Extent::offset);
    return after != extents.begin() && block * block_bytes < std::prev(after)->offset + std::prev(after)->length;
  };
  std::uint64_t known = 0, held = 0;
  for (const Extent& each : extents) held += (each.length + block_bytes - 1) / block_bytes;
  ChecksumRows rows(*index_, onode, Access::blocking);
  for (; rows.valid(); rows.next()) {
    ChecksumChunk sums = rows.chunk();
    std::uint64_t first = rows.first_block();
    for (std::uint64_t i = 0; i < limits::blocks_per_chunk; ++i) {
      if (sums.crc[i] == 0) continue;
      if (first + i >= blocks) return fmt::format("its block {} lies beyond its end", first + i);
      if (!files_->keeps_checksums()) return fmt::format("its block {} is marked as bad", first + i);
      if (!holds(first + i)) return fmt::format("its block {} is a hole in the data file", first + i);
      ++known;
    }
  }
  TRY(rows.status());
  if (files_->keeps_checksums() && known != held)
    return fmt::format("its data file has {} blocks, the index knows {}", held, known);
  return std::string{};
}

Result<std::vector<std::string>> Inspector::check(bool read_data) {
  std::vector<std::string> problems;
  auto say = [&](const ObjectId& id, std::string_view text) {
    problems.push_back(fmt::format("{}: {}", id.describe(), text));
  };
  TRY(auto all, collections());
  ById by_id;
  std::set<std::uint64_t> checksums;              // ids under which somebody's own rows of them stand
  std::map<std::uint64_t, std::uint32_t> shares;  // and those that several share
  std::uint64_t count = 0;
  auto rows = index_->cursor(key::all_objects(), Access::blocking);
  for (; rows->valid(); rows->next()) {
    ++count;
    auto id = key::parse_object(rows->key());
    auto onode = decode<Onode>(Buffer::copy_of(rows->value()));
    if (!id || !onode) {
      problems.push_back(fmt::format("an object's row does not decode: {}", to_hex(as_bytes(rows->key()))));
      continue;
    }
    if (std::ranges::none_of(all, [&](const auto& c) { return collection_holds(c.id, c.bits, *id); }))
      say(*id, "lies in no collection");
    if (onode->has_file && onode->has_inline) say(*id, "has a file and inline data");
    if (onode->in_slab && (!onode->has_file || !onode->block_checksums || onode->size > limits::slab_bytes_max))
      say(*id, "does not belong in a slab");
    if (!onode->has_file && onode->size > limits::slab_bytes_max) say(*id, "is too large to have no file");
    if (onode->id >= point_.next_id) say(*id, "has an id that was not given out yet");
    if (!by_id.emplace(onode->id, Entry{*id, *onode}).second) say(*id, "shares its id with another object");
    if (onode->block_checksums) {
      if (!onode->has_file || onode->shared_checksums || onode->block_checksums->size() > limits::onode_blocks_max)
        say(*id, "has checksums in its row that do not belong there");
    } else if (onode->has_file) {
      if (!checksums.insert(onode->own_checksums()).second) say(*id, "has its own checksums where another's are");
      if (onode->shared_checksums) ++shares[onode->shared_checksums];
      if (std::max(onode->own_checksums(), onode->shared_checksums) >= point_.next_id)
        say(*id, "has checksums under an id that was not given out yet");
    }
  }
  TRY(rows->status());
  if (count != point_.object_count)
    problems.push_back(fmt::format("{} objects, the commit point says {}", count, point_.object_count));

  for (const auto& [number, entry] : by_id) {
    if (entry.onode.has_file && !entry.onode.in_slab) {
      TRY(std::string wrong, check_file(entry));
      if (!wrong.empty()) say(entry.id, wrong);
    }
    if (read_data || entry.onode.has_inline) {
      Result<> good = data(entry, [](std::uint64_t, ByteView) -> Result<> { return {}; });
      if (!good) say(entry.id, "its data do not verify: " + good.error().message());
    }
  }

  // Rows and files that belong to no object.
  for (const auto& [id, count] : shares) {
    TRY(auto row, index_->get(key::checksum_shares(id), Access::blocking));
    auto counted = row ? decode<std::uint32_t>(Buffer::copy_of(*row)) : Result<std::uint32_t>(0);
    if (!counted || *counted != count)
      problems.push_back(
          fmt::format("{} objects share the checksums of id {:x}, not as many as are counted", count, id));
    if (checksums.contains(id)) problems.push_back(fmt::format("the checksums of id {:x} are shared, and owned", id));
  }
  struct Kind {
    char letter;
    const char* name;
    bool (*owned)(const Onode&);
  };
  for (const Kind& kind : {Kind{'I', "inline data", [](const Onode& o) { return o.has_inline; }},
                           Kind{'M', "an omap entry", [](const Onode& o) { return o.has_omap; }},
                           Kind{'H', "an omap header", [](const Onode& o) { return o.has_header; }}}) {
    std::string first(1, kind.letter);
    auto cursor = index_->cursor({first, key::after_prefix(first)}, Access::blocking);
    for (; cursor->valid(); cursor->next()) {
      auto owner = by_id.find(key::parse_id(cursor->key()));
      if (owner == by_id.end() || !kind.owned(owner->second.onode))
        problems.push_back(fmt::format("{} of id {:x} belongs to nobody", kind.name, key::parse_id(cursor->key())));
    }
    TRY(cursor->status());
  }
  for (char letter : {'K', 'S'}) {
    std::string first(1, letter);
    auto cursor = index_->cursor({first, key::after_prefix(first)}, Access::blocking);
    for (; cursor->valid(); cursor->next()) {
      std::uint64_t id = key::parse_id(cursor->key());
      if (!shares.contains(id) && (letter == 'S' || !checksums.contains(id)))
        problems.push_back(
            fmt::format("{} of id {:x} belongs to nobody", letter == 'S' ? "a count of shares" : "checksums", id));
    }
    TRY(cursor->status());
  }
  auto metadata = index_->cursor({"P", key::after_prefix("P")}, Access::blocking);
  while (metadata->valid()) {
    std::string prefix(metadata->key().substr(0, key::collection_prefix_bytes));
    auto id = key::parse_collection("C" + prefix.substr(1));
    if (!id || std::ranges::find(all, *id, &CollectionInfo::id) == all.end())
      problems.push_back(
          fmt::format("metadata of collection {} belong to nobody", id ? id->describe() : to_hex(as_bytes(prefix))));
    metadata->seek(key::after_prefix(prefix));
  }
  TRY(metadata->status());
  std::string unknown;  // from behind one kind of row to the next
  for (std::string first : {"C", "F", "H", "I", "K", "M", "O", "P", "S", ""}) {
    auto cursor = index_->cursor({unknown, first}, Access::blocking);
    if (cursor->valid())
      problems.push_back(fmt::format("the index has rows of no kind, from {} on", to_hex(as_bytes(cursor->key()))));
    TRY(cursor->status());
    unknown = key::after_prefix(first);
  }
  TRY(for_each_data_file(objects_.get(), [&](std::string_view path, std::optional<std::uint64_t> id) -> Result<> {
    auto owner = by_id.find(id.value_or(0));
    if (!id || owner == by_id.end() || !owner->second.onode.has_file || owner->second.onode.in_slab)
      problems.push_back(fmt::format("file objects/{} belongs to nobody", path));
    return {};
  }));
  TRY(check_slabs(by_id, problems));
  return problems;
}

}  // namespace spirula::filestore
