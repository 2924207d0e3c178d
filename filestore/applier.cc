#include "filestore/applier.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "base/check.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "filestore/checksum_rows.h"
#include "filestore/error.h"
#include "filestore/key.h"
#include "filestore/limits.h"

namespace spirula::filestore {
namespace {

using limits::block_bytes;
using T = Transaction;

constexpr std::size_t remembered_max = 2 * limits::lane_objects_max;

std::uint64_t blocks_in(std::uint64_t bytes) {
  return (bytes + block_bytes - 1) / block_bytes;
}
Buffer zero_bytes(std::uint64_t length) {
  static const Buffer block = Buffer::zeros(block_bytes);
  return length <= block_bytes ? block.slice(0, length) : Buffer::zeros(length);
}

}  // namespace

Applier::Applier(Index& index, DataFiles& files, StagingFiles& staging, ApplyCounters& counters,
                 const FilestoreOptions& options)
    : index_(index),
      files_(files),
      staging_(staging),
      counters_(counters),
      inline_bytes_max_(options.inline_bytes_max),
      slab_bytes_max_(files.keeps_checksums() ? std::min(options.slab_bytes_max, limits::slab_bytes_max) : 0),
      shared_checksums_min_(options.shared_checksums_min) {}
Applier::~Applier() = default;

Result<> Applier::apply(const CollectionId& collection, const Transaction& transaction) {
  for (const T::Operation& each : transaction.operations()) {
    if (const auto* on = std::get_if<T::OnObject>(&each)) {
      TRY(apply_to_object(on->object, on->operation));
    } else {
      TRY(apply_to_collection(collection, std::get<T::CollectionOperation>(each)));
    }
    TRY(flush_if_large());  // a transaction may have any number of operations, and readers have it whole meanwhile
  }
  return {};
}

Result<> Applier::flush_if_large() {
  if (batch_.bytes() <= limits::index_batch_bytes_max && remembered() <= remembered_max) return {};
  return flush();
}

/// Of rows that are copied.
Result<> Applier::write_if_large() {
  return batch_.bytes() > limits::index_batch_bytes_max ? write_batch() : Result<>();
}

Result<> Applier::write_batch() {
  TRY(files_.slabs().record_owners(slot_owners_));
  slot_owners_.clear();
  TRY(index_.write(batch_));
  batch_.clear();
  files_.slabs().retire(retired_slots_);
  retired_slots_.clear();
  return {};
}

Result<> Applier::write_out() {
  for (Object* object : dirty_) {
    if (object->onode) {
      TRY(write_out_checksums(*object));
      batch_.put(object->key, encode(*object->onode).view());
      if (object->inline_dirty) batch_.put(key::inline_data(object->onode->id), *object->inline_data);
    } else {
      batch_.remove(object->key);
    }
    object->dirty = object->inline_dirty = false;
    object->chunks_dirty.clear();
    object->inline_data.reset();
    if (object->chunks.size() > 16) forget_chunks(*object);
  }
  dirty_.clear();
  return batch_.empty() ? Result<>() : write_batch();
}

Result<> Applier::write_out_checksums(Object& object) {
  Onode& onode = *object.onode;
  if (onode.block_checksums) {
    if (blocks_in(onode.size) <= limits::onode_blocks_max) {
      if (object.chunks_dirty.contains(0)) onode.block_checksums = object.chunks[0].front();
      return {};
    }
    TRY(chunk(object, 0));  // it has outgrown its onode
    object.chunks_dirty[0] = true;
    onode.block_checksums.reset();
  }
  for (auto& [number, dirty] : object.chunks_dirty) {
    if (!dirty) continue;
    const ChecksumChunk& chunk = object.chunks[number];
    std::string key = key::checksums(onode.own_checksums(), number);
    if (chunk.empty() && !onode.shared_checksums) {
      batch_.remove(key);
    } else {
      batch_.put(key, chunk.row());
    }
  }
  return {};
}

Result<> Applier::flush() {
  TRY(write_out());
  if (remembered() > remembered_max) forget();
  return {};
}

void Applier::forget() {
  CHECK(dirty_.empty());
  objects_.clear();
  chunks_ = 0;
  last_ = nullptr;
}

void Applier::forget_chunks(Object& object) {
  chunks_ -= object.chunks.size();
  object.chunks.clear();
}

Result<Applier::Object*> Applier::load(const ObjectId& id) {
  if (last_ && last_id_ == id) return last_;  // most transactions say several things of one object
  std::string key = key::object(id);
  last_ = nullptr;
  last_id_ = id;
  if (auto it = objects_.find(key); it != objects_.end()) return last_ = &it->second;
  TRY(auto row, index_.get(key, Access::blocking));
  Object object;
  object.key = key;
  if (row) {
    TRY(object.onode, decode<Onode>(Buffer::copy_of(*row)));
  }
  return last_ = &objects_.emplace(std::move(key), std::move(object)).first->second;
}

void Applier::mark(Object& object) {
  if (object.dirty) return;
  object.dirty = true;
  dirty_.push_back(&object);
}

/// Makes the object if it is not there; it is about to change.
void Applier::create(Object& object) {
  if (!object.onode) {
    object.onode.emplace();
    object.onode->id = counters_.next_id.fetch_add(1);
    counters_.object_count.fetch_add(1);
  }
  mark(object);
}

Result<> Applier::apply_to_object(const ObjectId& id, const T::ObjectOperation& operation) {
  TRY(Object * found, load(id));
  Object& object = *found;
  return std::visit(
      [&]<class Operation>(const Operation& o) -> Result<> {
        if constexpr (std::is_same_v<Operation, T::Touch>) {
          create(object);
        } else if constexpr (std::is_same_v<Operation, T::Write>) {
          create(object);
          if (o.staged) return write_staged(id, object, o.offset, *o.staged);
          return write(id, object, o.offset, o.data, true);
        } else if constexpr (std::is_same_v<Operation, T::Zero>) {
          create(object);
          return zero(id, object, o.offset, o.length);
        } else if constexpr (std::is_same_v<Operation, T::Truncate>) {
          create(object);
          return truncate(id, object, o.size);
        } else if constexpr (std::is_same_v<Operation, T::Remove>) {
          if (object.onode) return remove(object);
        } else if constexpr (std::is_same_v<Operation, T::SetAttributes>) {
          create(object);
          for (const auto& [name, value] : o.values) object.onode->attributes[name] = value;
        } else if constexpr (std::is_same_v<Operation, T::RemoveAttribute>) {
          if (object.onode && object.onode->attributes.erase(o.name)) create(object);
        } else if constexpr (std::is_same_v<Operation, T::RemoveAllAttributes>) {
          if (!object.onode) return {};
          create(object);
          object.onode->attributes.clear();
        } else if constexpr (std::is_same_v<Operation, T::Clone>) {
          return clone(o.source, id, object);
        } else if constexpr (std::is_same_v<Operation, T::CloneRange>) {
          return clone_range(id, object, o);
        } else if constexpr (std::is_same_v<Operation, T::OmapSet>) {
          create(object);
          object.onode->has_omap = object.onode->has_omap || !o.values.empty();
          for (const auto& [name, value] : o.values) batch_.put(key::omap_entry(object.onode->id, name), value.view());
        } else if constexpr (std::is_same_v<Operation, T::OmapRemove>) {
          if (!object.onode || !object.onode->has_omap) return {};
          for (const std::string& name : o.keys) batch_.remove(key::omap_entry(object.onode->id, name));
        } else if constexpr (std::is_same_v<Operation, T::OmapRemoveRange>) {
          if (!object.onode || !object.onode->has_omap || o.first >= o.last) return {};
          return remove_rows({key::omap_entry(object.onode->id, o.first), key::omap_entry(object.onode->id, o.last)});
        } else if constexpr (std::is_same_v<Operation, T::OmapClear>) {
          if (!object.onode) return {};
          if (object.onode->has_omap) TRY(remove_rows(key::omap_entries(object.onode->id)));
          if (object.onode->has_header) batch_.remove(key::omap_header(object.onode->id));
          create(object);
          object.onode->has_omap = object.onode->has_header = false;
        } else if constexpr (std::is_same_v<Operation, T::OmapSetHeader>) {
          create(object);
          object.onode->has_header = true;
          batch_.put(key::omap_header(object.onode->id), o.value.view());
        } else {
          static_assert(std::is_same_v<Operation, T::Rename>);
          return rename(o.source, id, object);
        }
        return {};
      },
      operation);
}

Result<> Applier::apply_to_collection(const CollectionId& id, const T::CollectionOperation& operation) {
  auto put_bits = [this](const CollectionId& collection, std::uint32_t bits) {
    batch_.put(key::collection(collection), encode(bits).view());
  };
  return std::visit(
      [&]<class Operation>(const Operation& o) -> Result<> {
        if constexpr (std::is_same_v<Operation, T::CreateCollection>) {
          put_bits(id, o.bits);
        } else if constexpr (std::is_same_v<Operation, T::RemoveCollection>) {
          batch_.remove(key::collection(id));
          return remove_rows(key::collection_entries(id));
        } else if constexpr (std::is_same_v<Operation, T::SplitCollection>) {
          put_bits(id, o.bits);
          put_bits(o.child, o.bits);
        } else if constexpr (std::is_same_v<Operation, T::MergeCollection>) {
          put_bits(id, o.bits);
          batch_.remove(key::collection(o.from));
          return remove_rows(key::collection_entries(o.from));
        } else if constexpr (std::is_same_v<Operation, T::CollectionSet>) {
          for (const auto& [name, value] : o.values) batch_.put(key::collection_entry(id, name), value.view());
        } else if constexpr (std::is_same_v<Operation, T::CollectionRemove>) {
          for (const std::string& name : o.keys) batch_.remove(key::collection_entry(id, name));
        } else {
          static_assert(std::is_same_v<Operation, T::CollectionRemoveRange>);
          if (o.first >= o.last) return {};
          return remove_rows({key::collection_entry(id, o.first), key::collection_entry(id, o.last)});
        }
        return {};
      },
      operation);
}

// --- data
// -------------------------------------------------------------------------------------------------------------

Result<std::string*> Applier::inline_data(Object& object) {
  if (!object.inline_data) {
    object.inline_data.emplace();
    if (object.onode->has_inline) {
      TRY(auto row, index_.get(key::inline_data(object.onode->id), Access::blocking));
      if (!row) return Errc::io;
      object.inline_data = std::move(*row);
    }
  }
  return &*object.inline_data;
}

Result<> Applier::place(const ObjectId& id, Object& object, std::uint64_t end) {
  Onode& onode = *object.onode;
  end = std::max(end, onode.size);
  if (onode.in_slab && end > slab_bytes_max_) return move_out_of_slab(id, object);
  if (onode.has_file) return {};
  TRY(std::string * data, inline_data(object));
  onode.in_slab = end <= slab_bytes_max_;
  if (onode.in_slab) {
    slot_owners_.push_back({onode.id, object.key});
  } else {
    TRY(files_.create(onode.id, id));
  }
  onode.has_file = true;
  if (files_.keeps_checksums()) onode.block_checksums.emplace();
  if (onode.has_inline) {
    onode.has_inline = false;
    batch_.remove(key::inline_data(onode.id));
    if (!data->empty()) TRY(write_file(object, 0, Buffer::copy_of(*data), true));
  }
  object.inline_data.reset();
  object.inline_dirty = false;
  return {};
}

Result<> Applier::move_out_of_slab(const ObjectId& id, Object& object) {
  Onode& onode = *object.onode;
  mark(object);
  TRY(auto file, files_.create(onode.id, id));
  TRY(copy_blocks(object, *file));
  retire_slot(onode);
  onode.in_slab = false;
  return {};
}

Result<> Applier::copy_blocks(Object& from, DataFile& to) {
  TRY(auto file, files_.open_to_write(*from.onode));
  std::array<std::byte, block_bytes> bytes;
  for (std::uint64_t block = 0; block < blocks_in(from.onode->size); ++block) {
    TRY(std::uint32_t crc, checksum(from, block));
    if (!crc) continue;
    Result<> got = file->read(block * block_bytes, bytes, Access::blocking);
    if (!got && !is(got.error(), Errc::io)) return got;
    if (!got) bytes.fill({});
    iovec piece{bytes.data(), bytes.size()};
    TRY(to.write(block * block_bytes, {&piece, 1}));
    counters_.bytes_written.fetch_add(block_bytes, std::memory_order_relaxed);
  }
  return {};
}

void Applier::retire_slot(const Onode& onode) {
  batch_.put(key::retired_slot(onode.id), std::string_view());
  retired_slots_.push_back(onode.id);
}

Result<> Applier::write(const ObjectId& id, Object& object, std::uint64_t offset, const BufferList& data,
                        bool verified) {
  Onode& onode = *object.onode;
  std::uint64_t end = offset + data.size();
  if (data.empty()) return {};
  if (!onode.has_file && end <= inline_bytes_max_ && verified) {
    TRY(std::string * text, inline_data(object));
    if (text->size() < end) text->resize(end);
    std::size_t at = offset;
    for (const Buffer& piece : data.buffers()) {
      std::memcpy(text->data() + at, piece.data(), piece.size());
      at += piece.size();
    }
    onode.has_inline = object.inline_dirty = true;
  } else {
    TRY(place(id, object, end));
    TRY(write_file(object, offset, data, verified));
  }
  onode.size = std::max(onode.size, end);
  return {};
}

Result<ChecksumChunk*> Applier::chunk(Object& object, std::uint64_t block) {
  auto number = static_cast<std::uint32_t>(block / limits::blocks_per_chunk);
  auto it = object.chunks.find(number);
  if (it == object.chunks.end()) {
    TRY(auto row, ChecksumRows::find(index_, *object.onode, number, Access::blocking));
    it = object.chunks.emplace(number, row.value_or(ChecksumChunk{})).first;
    ++chunks_;
  }
  return &it->second;
}
Result<std::uint32_t> Applier::checksum(Object& object, std::uint64_t block) {
  if (!files_.keeps_checksums() && !object.onode->has_damage) return 0u;
  TRY(ChecksumChunk * of, chunk(object, block));
  return of->crc[block % limits::blocks_per_chunk];
}
Result<> Applier::set_checksum(Object& object, std::uint64_t block, std::uint32_t crc) {
  TRY(ChecksumChunk * of, chunk(object, block));
  std::uint32_t& slot = of->crc[block % limits::blocks_per_chunk];
  if (slot != crc) {
    slot = crc;
    object.chunks_dirty[static_cast<std::uint32_t>(block / limits::blocks_per_chunk)] = true;
  }
  return {};
}
Result<> Applier::set_written(Object& object, std::uint64_t block, std::uint32_t crc, bool good) {
  if (files_.keeps_checksums()) {
    crc = nonzero(crc);
    return set_checksum(object, block, good ? crc : nonzero(~crc));
  }
  if (good && !object.onode->has_damage) return {};
  object.onode->has_damage = true;
  return set_checksum(object, block, good ? 0 : damaged_block);
}
Result<bool> Applier::is_hole(Object& object, std::uint64_t block) {
  TRY(std::uint32_t crc, checksum(object, block));
  if (crc || files_.keeps_checksums()) return crc == 0;
  TRY(auto file, files_.open_to_write(*object.onode));
  TRY(auto found, file->extents(block * block_bytes, block_bytes));
  return found.empty();
}
Result<> Applier::clear_checksums(Object& object, std::uint64_t first, std::uint64_t end) {
  // Only rows that exist are walked: an object may be a terabyte of hole.
  if (first >= end || (!files_.keeps_checksums() && !object.onode->has_damage)) return {};
  if (end - first <= 64 * limits::blocks_per_chunk) {
    for (std::uint64_t block = first; block < end; ++block) TRY(set_checksum(object, block, 0));
    return {};
  }
  TRY(write_out());
  mark(object);
  ChecksumRows rows(index_, *object.onode, first, end, Access::blocking);
  std::vector<std::uint64_t> present;
  for (; rows.valid(); rows.next()) present.push_back(rows.number());
  TRY(rows.status());
  for (std::uint64_t number : present) {
    std::uint64_t begin = number * limits::blocks_per_chunk;
    for (std::uint64_t block = std::max(begin, first); block < std::min(begin + limits::blocks_per_chunk, end); ++block)
      TRY(set_checksum(object, block, 0));
  }
  return {};
}

Result<bool> Applier::read_block(Object& object, DataFile& file, std::uint64_t block, std::byte* into) {
  TRY(std::uint32_t crc, checksum(object, block));
  bool ours = files_.keeps_checksums();
  Result<> got;
  if (crc || !ours) got = file.read(block * block_bytes, {into, block_bytes}, Access::blocking);
  if (!got && !is(got.error(), Errc::io)) return got.error();
  bool unknown = !got || (crc == 0 && ours) || (crc && !ours);
  if (unknown) std::memset(into, 0, block_bytes);
  if (!got || (crc && !ours)) return false;
  return crc == 0 || block_checksum({into, block_bytes}) == crc;
}

/// Writes whole blocks: what the data covers of the first and last is merged with what is there.
Result<> Applier::write_file(Object& object, std::uint64_t offset, const BufferList& data, bool verified) {
  mark(object);
  TRY(auto file, files_.open_to_write(*object.onode));
  std::uint64_t end = offset + data.size();
  std::uint64_t first = offset / block_bytes, last = (end - 1) / block_bytes;
  std::uint64_t before = offset - first * block_bytes, after = (last + 1) * block_bytes - end;
  Buffer head, tail;
  bool head_verified = true, tail_verified = true;
  if (before || (first == last && after)) {
    Buffer old = Buffer::allocate(block_bytes);
    TRY(head_verified, read_block(object, *file, first, old.mutable_data()));
    head = old.slice(0, before);
    if (first == last) {
      tail = old.slice(block_bytes - after);
      tail_verified = head_verified;
    }
  }
  if (after && first != last) {
    Buffer old = Buffer::allocate(block_bytes);
    TRY(tail_verified, read_block(object, *file, last, old.mutable_data()));
    tail = old.slice(block_bytes - after);
  }
  std::vector<iovec> pieces;
  pieces.reserve(data.buffers().size() + 2);
  std::uint64_t block = first, filled = 0;
  std::uint32_t crc = ~0u;
  const bool ours = files_.keeps_checksums();
  auto add = [&](ByteView piece) -> Result<> {
    if (piece.empty()) return {};
    pieces.push_back({const_cast<std::byte*>(piece.data()), piece.size()});
    while (!piece.empty()) {
      std::uint64_t here = std::min<std::uint64_t>(piece.size(), block_bytes - filled);
      if (ours) crc = crc32c(crc, piece.first(here));
      piece = piece.subspan(here);
      filled += here;
      if (filled < block_bytes) break;
      bool good = verified && (block != first || head_verified) && (block != last || tail_verified);
      TRY(set_written(object, block, crc, good));
      ++block;
      filled = 0;
      crc = ~0u;
    }
    return {};
  };
  TRY(add(head.view()));
  for (const Buffer& piece : data.buffers()) TRY(add(piece.view()));
  TRY(add(tail.view()));
  CHECK(filled == 0 && block == last + 1);
  counters_.bytes_written.fetch_add((last + 1 - first) * block_bytes, std::memory_order_relaxed);
  return file->write(first * block_bytes, pieces);
}

/// The payload is on disk: the object shares it.
Result<> Applier::write_staged(const ObjectId& id, Object& object, std::uint64_t offset, const StagedExtent& extent) {
  Onode& onode = *object.onode;
  TRY(place(id, object, offset + extent.length));
  TRY(auto file, files_.open_to_write(onode));
  TRY(int source, staging_.open(extent.generation, extent.ring));
  TRY(file->share(source, extent.offset, extent.length, offset));
  std::uint64_t first = offset / block_bytes;
  if (files_.keeps_checksums()) {
    if (extent.checksums.size() != extent.length / block_bytes) return Errc::malformed;
    for (std::size_t i = 0; i < extent.checksums.size(); ++i) TRY(set_checksum(object, first + i, extent.checksums[i]));
  } else {
    TRY(clear_checksums(object, first, first + extent.length / block_bytes));
  }
  onode.size = std::max(onode.size, offset + extent.length);
  return {};
}

Result<> Applier::zero(const ObjectId& id, Object& object, std::uint64_t offset, std::uint64_t length) {
  Onode& onode = *object.onode;
  if (length == 0) return {};
  std::uint64_t end = offset + length;
  if (!onode.has_file && end <= small_bytes_max()) {
    TRY(std::string * text, inline_data(object));
    if (offset < text->size()) {
      std::memset(text->data() + offset, 0, std::min<std::uint64_t>(text->size(), end) - offset);
      object.inline_dirty = true;
    }
  } else {
    TRY(place(id, object, end));
    std::uint64_t first = blocks_in(offset), last = end / block_bytes;  // blocks [first, last) are covered whole
    auto part = [&](std::uint64_t from, std::uint64_t to) -> Result<> {
      if (from >= to) return {};
      TRY(bool hole, is_hole(object, from / block_bytes));
      if (hole) return {};
      return write_file(object, from, zero_bytes(to - from), true);
    };
    if (first > last) {  // within one block
      TRY(part(offset, end));
    } else {
      TRY(part(offset, first * block_bytes));
      TRY(part(last * block_bytes, end));
      if (first < last) {
        TRY(clear_checksums(object, first, last));
        if (!onode.in_slab) {
          TRY(auto file, files_.open_to_write(onode));
          TRY(file->punch(first * block_bytes, (last - first) * block_bytes));
        }
      }
    }
  }
  onode.size = std::max(onode.size, end);
  return {};
}

Result<> Applier::truncate(const ObjectId& id, Object& object, std::uint64_t size) {
  Onode& onode = *object.onode;
  if (size > onode.size && (onode.has_file || size > small_bytes_max())) {
    TRY(place(id, object, size));
  } else if (size < onode.size && onode.has_inline) {
    TRY(std::string * text, inline_data(object));
    if (text->size() > size) {
      text->resize(size);
      object.inline_dirty = true;
    }
  } else if (size < onode.size && onode.has_file) {
    if (std::uint64_t inside = size % block_bytes) {
      TRY(bool hole, is_hole(object, size / block_bytes));
      if (!hole) TRY(write_file(object, size, zero_bytes(block_bytes - inside), true));
    }
    TRY(clear_checksums(object, blocks_in(size), blocks_in(onode.size)));
    if (!onode.in_slab) {
      TRY(auto file, files_.open_to_write(onode));
      TRY(file->truncate(blocks_in(size) * block_bytes));
    }
  }
  onode.size = size;
  return {};
}

Result<> Applier::remove(Object& object) {
  if (object.onode->has_omap) TRY(remove_rows(key::omap_entries(object.onode->id)));
  Onode onode = *object.onode;  // writing out may have changed where its checksums are
  if (onode.has_header) batch_.remove(key::omap_header(onode.id));
  if (onode.has_inline) batch_.remove(key::inline_data(onode.id));
  if (onode.has_file) {
    std::uint64_t chunks = (onode.size + limits::chunk_bytes - 1) / limits::chunk_bytes;
    if ((!files_.keeps_checksums() && !onode.has_damage) || onode.block_checksums) chunks = 0;
    if (chunks <= 64 && !onode.shared_checksums) {
      for (std::uint32_t number = 0; number < chunks; ++number)
        batch_.remove(key::checksums(onode.own_checksums(), number));
    } else {  // rows that are all hole may lie beyond the size, if others are shared
      TRY(remove_rows(key::checksums(onode.own_checksums())));
    }
    // Rows that a truncation in this batch has emptied lie beyond the size, and are in the index still.
    for (const auto& [number, dirty] : object.chunks_dirty)
      if (number >= chunks && !onode.block_checksums) batch_.remove(key::checksums(onode.own_checksums(), number));
    if (onode.shared_checksums) TRY(count_shares(onode.shared_checksums, -1));
    if (onode.in_slab) {
      retire_slot(onode);
    } else {
      TRY(files_.remove(onode.id));
    }
  }
  mark(object);
  object.onode.reset();
  forget_chunks(object);
  object.chunks_dirty.clear();
  object.inline_data.reset();
  object.inline_dirty = false;
  counters_.object_count.fetch_sub(1);
  return {};
}

Result<Applier::Extract> Applier::extract(Object& object, std::uint64_t offset, std::uint64_t length) {
  Extract extract{Buffer::zeros(length), true};
  if (!object.onode || length == 0) return extract;
  const Onode& onode = *object.onode;
  std::uint64_t end = std::min(offset + length, onode.size);
  std::byte* to = extract.data.mutable_data();
  if (onode.has_inline) {
    TRY(std::string * text, inline_data(object));
    std::uint64_t stop = std::min<std::uint64_t>(end, text->size());
    if (offset < stop) std::memcpy(to, text->data() + offset, stop - offset);
    if (!object.dirty) object.inline_data.reset();  // kept between load and write_out() only
  } else if (onode.has_file) {
    TRY(auto file, files_.open_to_write(onode));
    std::array<std::byte, block_bytes> block;
    for (std::uint64_t at = offset; at < end;) {
      std::uint64_t number = at / block_bytes, inside = at % block_bytes;
      std::uint64_t here = std::min(block_bytes - inside, end - at);
      TRY(bool verified, read_block(object, *file, number, block.data()));
      extract.verified &= verified;
      std::memcpy(to + (at - offset), block.data() + inside, here);
      at += here;
    }
  }
  return extract;
}

// --- copies
// -----------------------------------------------------------------------------------------------------------

Result<> Applier::clone(const ObjectId& source_id, const ObjectId& target_id, Object& target) {
  TRY(Object * source, load(source_id));
  if (!source->onode) return Errc::not_found;
  if (source == &target) return {};
  if (target.onode) TRY(remove(target));
  TRY(write_out());  // rows are copied from the index
  create(target);
  Onode& onode = *target.onode;
  const Onode& from = *source->onode;
  std::uint64_t id = onode.id;
  onode = from;
  onode.id = id;
  onode.checksums = onode.shared_checksums = 0;
  if (from.has_inline) {
    TRY(std::string * text, inline_data(*source));
    target.inline_data = *text;
    target.inline_dirty = true;
    source->inline_data.reset();
  }
  if (from.has_omap) TRY(copy_rows(key::omap_entries(from.id), key::omap_entry(id, "")));
  if (from.has_header) {
    TRY(auto header, index_.get(key::omap_header(from.id), Access::blocking));
    if (header) batch_.put(key::omap_header(id), *header);
  }
  if (from.in_slab && from.block_checksums->empty()) {
    onode.has_file = onode.in_slab = false;
    onode.block_checksums.reset();
  } else if (from.in_slab) {
    slot_owners_.push_back({id, target.key});
    TRY(auto slot, files_.open_to_write(onode));
    TRY(copy_blocks(*source, *slot));
  } else if (from.has_file) {
    TRY(auto source_file, files_.open_to_write(from));
    TRY(auto target_file, files_.create(id, target_id));
    TRY(target_file->share(source_file->fd(), 0, 0, 0));
    bool stay_together = source_id.pool == target_id.pool && source_id.hash == target_id.hash;
    if (from.block_checksums) return write_out();
    if (files_.keeps_checksums() && stay_together && from.size >= shared_checksums_min_) {
      TRY(clone_checksums(*source, target));
    } else if (files_.keeps_checksums() || from.has_damage) {
      ChecksumRows rows(index_, from, Access::blocking);
      for (; rows.valid(); rows.next()) TRY(copy_checksums(rows, id));
      TRY(rows.status());
    }
  }
  return write_out();  // what comes next may look the copied rows up
}

Result<> Applier::clone_range(const ObjectId& target_id, Object& target, const T::CloneRange& o) {
  TRY(Object * source, load(o.source));
  if (!source->onode) return Errc::not_found;
  create(target);
  if (o.length == 0) return {};
  std::uint64_t end = o.offset + o.length;
  auto copy = [&](std::uint64_t from, std::uint64_t length, std::uint64_t to) -> Result<> {
    constexpr std::uint64_t step = 1 << 20;
    std::uint64_t size = source->onode->size;
    std::uint64_t beyond = from < size ? length - std::min(length, size - from) : length;
    length -= beyond;
    std::uint64_t narrow_until = 0;  // something before this does not verify: block by block, so that only that is bad
    while (length > 0) {
      std::uint64_t here = std::min(length, from < narrow_until ? block_bytes - from % block_bytes : step);
      TRY(Extract piece, extract(*source, from, here));
      if (!piece.verified && from >= narrow_until) {
        narrow_until = from + here;
        continue;
      }
      TRY(write(target_id, target, to, piece.data, piece.verified));
      from += here;
      to += here;
      length -= here;
    }
    return zero(target_id, target, to, beyond);
  };
  bool shareable = source->onode->has_file && !source->onode->in_slab && source != &target &&
                   o.source_offset % block_bytes == o.offset % block_bytes;
  std::uint64_t first = blocks_in(o.offset) * block_bytes, last = end / block_bytes * block_bytes;
  bool own_file = target.onode->has_file && !target.onode->in_slab;
  if (!shareable || first >= last || (!own_file && std::max(end, target.onode->size) <= small_bytes_max()))
    return copy(o.source_offset, o.length, o.offset);

  TRY(place(target_id, target, end));
  std::uint64_t head = first - o.offset, tail = end - last;
  TRY(copy(o.source_offset, head, o.offset));
  // Whole blocks are shared as far as the source's file reaches; past that everything is zeros.
  std::uint64_t from = o.source_offset + head;
  std::uint64_t reach = blocks_in(source->onode->size) * block_bytes;
  std::uint64_t shared = std::min(last - first, from < reach ? reach - from : 0);
  TRY(auto source_file, files_.open_to_write(*source->onode));
  TRY(auto target_file, files_.open_to_write(*target.onode));
  if (shared) {
    TRY(source_file->truncate(reach));  // a file of which only the front was written ends earlier
    TRY(target_file->share(source_file->fd(), from, shared, first));
    target.onode->has_damage |= source->onode->has_damage;
    bool rows = files_.keeps_checksums() || target.onode->has_damage;
    for (std::uint64_t at = 0; rows && at < shared; at += block_bytes) {
      TRY(std::uint32_t crc, checksum(*source, (from + at) / block_bytes));
      TRY(set_checksum(target, (first + at) / block_bytes, crc));
    }
  }
  target.onode->size = std::max(target.onode->size, first + shared);
  if (first + shared < last) TRY(zero(target_id, target, first + shared, last - first - shared));
  return copy(from + (last - first), tail, last);
}

Result<> Applier::rename(const ObjectId& source_id, const ObjectId& target_id, Object& target) {
  TRY(Object * source, load(source_id));
  if (!source->onode) return Errc::not_found;
  if (source == &target) return {};
  if (target.onode) TRY(remove(target));
  bool stay_together = source_id.pool == target_id.pool && source_id.hash == target_id.hash;
  if (source->onode->shared_checksums && !stay_together) TRY(stop_sharing(*source));
  TRY(write_out());
  target.onode = std::move(source->onode);
  forget_chunks(target);
  target.chunks = std::exchange(source->chunks, {});
  source->onode.reset();
  source->inline_data.reset();
  target.inline_data.reset();
  mark(*source);
  mark(target);
  if (target.onode->in_slab) {
    slot_owners_.push_back({target.onode->id, target.key});
  } else if (target.onode->has_file) {
    return files_.set_owner(target.onode->id, target_id);
  }
  return {};
}

// Objects of one pool and hash are always in one collection, so one lane at a time changes what they share. Only they
// share rows: the count needs no lock.

Result<> Applier::clone_checksums(Object& source, Object& target) {
  Onode& from = *source.onode;
  mark(source);
  auto share = [&](std::uint64_t id) { from.shared_checksums = target.onode->shared_checksums = id; };
  auto start_own = [&] { from.checksums = counters_.next_id.fetch_add(1); };
  if (!from.shared_checksums) {
    share(from.own_checksums());
    start_own();
    return count_shares(from.shared_checksums, 2);
  }
  // What the source has changed since it began to share is copied, or, if that is more than the rest, the rest is.
  std::size_t own = 0, shared = 0;
  auto changed = index_.cursor(key::checksums(from.own_checksums()), Access::blocking);
  if (changed->valid()) {
    ChecksumRows rows(index_, from, Access::blocking);
    for (; rows.valid(); rows.next()) ++(rows.own() ? own : shared);
    TRY(rows.status());
  }
  TRY(changed->status());
  std::uint64_t before = from.shared_checksums;
  if (own <= shared) {
    share(before);
    TRY(count_shares(before, 1));
    return copy_rows(key::checksums(from.own_checksums()), key::checksums(target.onode->id).first);
  }
  TRY(own_all_checksums(from));
  share(from.own_checksums());
  start_own();
  TRY(count_shares(before, -1));
  return count_shares(from.shared_checksums, 2);
}

Result<> Applier::copy_checksums(const ChecksumRows& row, std::uint64_t to) {
  ChecksumChunk chunk = row.chunk();
  if (!chunk.empty()) batch_.put(key::checksums(to, static_cast<std::uint32_t>(row.number())), chunk.row());
  return write_if_large();
}

/// Those that it shares as well, so that none is there any more that only hides a shared one.
Result<> Applier::own_all_checksums(const Onode& onode) {
  ChecksumRows rows(index_, onode, Access::blocking);
  for (; rows.valid(); rows.next()) {
    if (!rows.own()) {
      TRY(copy_checksums(rows, onode.own_checksums()));
    } else if (rows.chunk().empty()) {
      batch_.remove(key::checksums(onode.own_checksums(), static_cast<std::uint32_t>(rows.number())));
    }
  }
  return rows.status();
}

Result<> Applier::count_shares(std::uint64_t id, int more) {
  std::string key = key::checksum_shares(id);
  if (more < 0) TRY(write_out());  // a clone has done so
  TRY(auto row, index_.get(key, Access::blocking));
  std::uint32_t count = 0;
  if (row) {
    TRY(count, decode<std::uint32_t>(Buffer::copy_of(*row)));
  }
  if (more < 0 && count < static_cast<std::uint32_t>(-more)) return Errc::malformed;
  count += static_cast<std::uint32_t>(more);
  if (count) {
    batch_.put(key, encode(count).view());
    return {};
  }
  batch_.remove(key);
  return remove_rows(key::checksums(id));
}

Result<> Applier::stop_sharing(Object& object) {
  TRY(write_out());
  Onode& onode = *object.onode;
  TRY(own_all_checksums(onode));
  mark(object);
  return count_shares(std::exchange(onode.shared_checksums, 0), -1);
}

Result<> Applier::remove_rows(const key::Range& range) {
  TRY(write_out());
  auto cursor = index_.cursor(range, Access::blocking);
  std::size_t count = 0;
  for (; cursor->valid(); cursor->next()) {
    if (++count > limits::point_deletes_max) {
      batch_.remove_range(range);
      break;
    }
    batch_.remove(cursor->key());
  }
  TRY(cursor->status());
  return {};
}

Result<> Applier::copy_rows(const key::Range& from, const std::string& to_prefix) {
  auto cursor = index_.cursor(from, Access::blocking);
  for (; cursor->valid(); cursor->next()) {
    std::string key = to_prefix;
    key += cursor->key().substr(from.first.size());
    batch_.put(key, cursor->value());
    TRY(write_if_large());
  }
  return cursor->status();
}

}  // namespace spirula::filestore
