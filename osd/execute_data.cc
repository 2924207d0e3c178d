#include <algorithm>
#include <cstring>

#include "base/crc32c.h"
#include "base/log.h"
#include "osd/execution.h"

/// The operations on an object's bytes.
namespace spirula::osd {
namespace {

/// Ceph: check_offset_and_length. Sums that would wrap around are too large, too.
bool fits(std::uint64_t offset, std::uint64_t length) {
  constexpr auto max = limits::object_size_max;
  return offset < max && length <= max && offset + length <= max;
}

constexpr std::int32_t compare_extent_mismatch = -4095;  ///< Ceph: -MAX_ERRNO; the place of the mismatch is subtracted

}  // namespace

std::uint64_t Execution::readable_size(const msg::ExtentOperand& extent) const {
  const ObjectInfo& info = out_.after.info;
  std::uint64_t size = info.size;
  // The reader knows of a truncation that has not reached us yet.
  if (info.truncate_sequence < extent.truncate_sequence && extent.offset + extent.length > extent.truncate_size)
    size = std::min(size, extent.truncate_size);
  return size;
}

std::int32_t Execution::read(const OsdOp& op, OpResult& result) {
  msg::ExtentOperand extent = op.extent();
  if (extent.truncate_sequence == 1 && extent.truncate_size == ~std::uint64_t{0}) extent.truncate_sequence = 0;
  std::uint64_t size = readable_size(extent);
  std::uint64_t length = extent.length ? extent.length : size;
  if (extent.offset >= size)
    length = 0;
  else
    length = std::min(length, size - extent.offset);
  result.length = static_cast<std::int64_t>(length);
  if (length == 0 || !has_content()) return 0;
  if (inputs_.data_bytes() > limits::read_size_max) return -E2BIG;
  const auto* data = inputs_.data(id_, extent.offset, length);
  if (!data) return 0;
  if (!*data) {
    log_error("osd", "reading {} {}~{}: {}", id_.describe(), extent.offset, length, data->error().message());
    return -EIO;
  }
  result.output = **data;
  if (result.output.size() < length) {
    if (!out_.changes) {
      log_error("osd", "{} ends at {} although its info says {}", id_.describe(), extent.offset + result.output.size(),
                info().size);
      return -EIO;
    }
    result.output.append(Buffer::zeros(length - result.output.size()));
  }
  return 0;
}

std::int32_t Execution::sparse_read(const OsdOp& op, OpResult& result) {
  const msg::ExtentOperand& extent = op.extent();
  if (extent.truncate_sequence && extent.truncate_size != ~std::uint64_t{0}) return -EINVAL;
  std::uint64_t size = info().size;
  std::uint64_t length = extent.length;
  length = extent.offset >= size ? 0 : std::min(length, size - extent.offset);
  std::map<std::uint64_t, std::uint64_t> map;
  BufferList data;
  if (length && has_content()) {
    if (inputs_.data_bytes() > limits::read_size_max) return -E2BIG;
    const auto* extents = inputs_.extents(id_, extent.offset, length);
    if (!extents) return 0;
    if (!*extents) return -EIO;
    for (const Extent& each : **extents) {
      std::uint64_t begin = std::max(each.offset, extent.offset);
      std::uint64_t end = std::min(each.offset + each.length, extent.offset + length);
      if (begin >= end) continue;
      const auto* piece = inputs_.data(id_, begin, end - begin);
      if (!piece) continue;
      if (!*piece) return -EIO;
      if ((*piece)->empty()) continue;
      map.emplace(begin, (*piece)->size());
      data.append(**piece);
    }
  }
  result.length = static_cast<std::int64_t>(data.size());
  Encoder head;
  head(map);
  head(static_cast<std::uint32_t>(data.size()));
  result.output.append(head.take());
  result.output.append(data);
  return 0;
}

std::int32_t Execution::map_extents(const OsdOp& op, OpResult& result) {
  const msg::ExtentOperand& extent = op.extent();
  std::map<std::uint64_t, std::uint64_t> map;
  if (has_content() && extent.offset < info().size) {
    const auto* extents = inputs_.extents(id_, extent.offset, std::min(extent.length, info().size - extent.offset));
    if (!extents) return 0;
    if (!*extents) return -EIO;
    for (const Extent& each : **extents) map.emplace(each.offset, each.length);
  }
  result.output = encode(map);
  return 0;
}

std::int32_t Execution::checksum(const OsdOp& op, OpResult& result) {
  constexpr std::uint8_t type_crc32c = 2;  // CEPH_OSD_CHECKSUM_OP_TYPE_CRC32C
  const auto& operand = op.as<msg::ChecksumOperand>();
  if (operand.type != type_crc32c) return -EOPNOTSUPP;
  Buffer init = op.input.flatten();
  if (init.size() != sizeof(std::uint32_t)) return -EINVAL;
  auto seed = *decode<std::uint32_t>(init);
  std::uint64_t size = info().size;
  if (operand.offset > size) return -EOVERFLOW;
  std::uint64_t length = operand.length ? operand.length : size - operand.offset;
  if (length > size - operand.offset) return -EOVERFLOW;
  std::uint64_t chunk = operand.chunk_size ? operand.chunk_size : length;
  if (length && (chunk == 0 || length % chunk)) return -EINVAL;
  if (length && length / chunk > limits::checksums_max) return -E2BIG;
  Encoder out;
  if (length == 0) {
    out(std::uint32_t{0});
    result.output = out.take();
    return 0;
  }
  if (inputs_.data_bytes() > limits::read_size_max) return -E2BIG;
  const auto* data = inputs_.data(id_, operand.offset, length);
  if (!data) return 0;
  if (!*data || (*data)->size() != length) return -EIO;
  Buffer whole = (*data)->flatten();
  out(static_cast<std::uint32_t>(length / chunk));
  for (std::uint64_t at = 0; at < length; at += chunk) out(crc32c(seed, whole.view().subspan(at, chunk)));
  result.output = out.take();
  return 0;
}

std::int32_t Execution::compare_extent(const OsdOp& op) {
  const msg::ExtentOperand& extent = op.extent();
  if (extent.length != op.input.size()) return -EINVAL;
  if (!fits(extent.offset, extent.length)) return -EFBIG;
  std::uint64_t size = has_content() ? readable_size(extent) : 0;
  std::uint64_t stored = extent.offset >= size ? 0 : std::min(extent.length, size - extent.offset);
  Buffer have;
  if (stored) {
    if (inputs_.data_bytes() > limits::read_size_max) return -E2BIG;
    const auto* data = inputs_.data(id_, extent.offset, stored);
    if (!data) return 0;
    if (!*data) return -EIO;
    have = (*data)->flatten();
  }
  Buffer want = op.input.flatten();
  for (std::size_t i = 0; i < want.size(); ++i) {
    std::byte other = i < have.size() ? have.data()[i] : std::byte{0};  // what is not there counts as zeros
    if (want.data()[i] != other) return compare_extent_mismatch - static_cast<std::int32_t>(i);
  }
  return 0;
}

std::int32_t Execution::stat(OpResult& result) {
  if (!exists()) return -ENOENT;
  Encoder out;
  out(info().size);
  out(info().modified);
  result.output = out.take();
  return 0;
}

std::int32_t Execution::write(msg::ExtentOperand extent, BufferList data) {
  std::uint32_t sequence = info().truncate_sequence;
  if (!fits(extent.offset, data.size())) return -EFBIG;
  // A write that was sent before a truncation we have seen: what lies behind the truncated end is void.
  if (sequence && sequence > extent.truncate_sequence && extent.offset + data.size() > info().size)
    data = data.slice(0, extent.offset > info().size ? 0 : info().size - extent.offset);
  // The other way round: the truncation itself has not come yet.
  if (extent.truncate_sequence > sequence) {
    if (exists()) {
      if (!fits(extent.truncate_size, 0) && extent.truncate_size > info().size) return -EFBIG;
      if (extent.truncate_size != info().size) {
        if (info().size > extent.truncate_size) touch_range(extent.truncate_size, info().size - extent.truncate_size);
        change(Transaction::Truncate{extent.truncate_size});
        resize(extent.truncate_size);
      }
    }
    info().truncate_sequence = extent.truncate_sequence;
    info().truncate_size = extent.truncate_size;
  }
  make_exist();
  if (data.empty()) {
    if (extent.offset > info().size) {
      change(Transaction::Truncate{extent.offset});
      resize(extent.offset);
    }
    return 0;
  }
  std::uint64_t length = data.size();
  touch_range(extent.offset, length);
  change(Transaction::Write{extent.offset, std::move(data)});
  if (extent.offset + length > info().size) resize(extent.offset + length);
  return 0;
}

std::int32_t Execution::write_full(BufferList data) {
  if (data.size() > limits::object_size_max) return -EFBIG;
  make_exist();
  std::uint64_t size = data.size();
  if (info().size) touch_range(0, info().size);
  if (size < info().size) change(Transaction::Truncate{size});
  if (size) change(Transaction::Write{0, std::move(data)});
  resize(size);
  return 0;
}

std::int32_t Execution::write_same(const OsdOp& op) {
  const auto& operand = op.as<msg::WriteSameOperand>();
  if (operand.length == 0) return 0;
  if (operand.data_length == 0 || operand.length % operand.data_length) return -EINVAL;
  if (operand.data_length != op.input.size()) return -EINVAL;
  if (!fits(operand.offset, operand.length)) return -EFBIG;
  // A short pattern is laid out in memory once, so that the transaction keeps few pieces.
  Buffer pattern = op.input.flatten();
  constexpr std::size_t run_min = 64 << 10;
  std::size_t copies = std::max<std::size_t>(1, std::min<std::size_t>(run_min, operand.length) / pattern.size());
  Buffer run = Buffer::allocate(copies * pattern.size());
  std::byte* to = run.mutable_data();
  for (std::size_t i = 0; i < copies; ++i) std::memcpy(to + i * pattern.size(), pattern.data(), pattern.size());
  BufferList data;
  while (data.size() < operand.length)
    data.append(run.slice(0, std::min<std::uint64_t>(run.size(), operand.length - data.size())));
  return write({operand.offset, operand.length, 0, info().truncate_sequence}, std::move(data));
}

std::int32_t Execution::zero(const msg::ExtentOperand& extent) {
  if (!fits(extent.offset, extent.length)) return -EFBIG;
  if (!exists() || extent.length == 0 || extent.offset >= info().size) return 0;
  // Up to the end: becomes a truncation, as in Ceph.
  if (extent.offset + extent.length >= info().size) return truncate({extent.offset, extent.length, 0, 0});
  touch_range(extent.offset, extent.length);
  change(Transaction::Zero{extent.offset, extent.length});
  return 0;
}

std::int32_t Execution::truncate(const msg::ExtentOperand& extent) {
  if (!exists()) return 0;
  if (!fits(extent.offset, 0)) return -EFBIG;
  if (extent.truncate_sequence) {
    if (extent.offset != extent.truncate_size) return -EINVAL;
    if (extent.truncate_sequence <= info().truncate_sequence) return 0;  // an old one
    info().truncate_sequence = extent.truncate_sequence;
    info().truncate_size = extent.truncate_size;
  }
  out_.changes = true;
  if (extent.offset == info().size) return 0;
  if (extent.offset < info().size) touch_range(extent.offset, info().size - extent.offset);
  change(Transaction::Truncate{extent.offset});
  resize(extent.offset);
  return 0;
}

std::int32_t Execution::create(bool exclusive, const BufferList& category) {
  if (exists() && exclusive) return -EEXIST;
  if (!category.empty() && !decode<std::string>(category.flatten())) return -EINVAL;  // no longer means anything
  make_exist();
  return 0;
}

std::int32_t Execution::remove() {
  if (!exists()) return -ENOENT;
  bool keep = !out_.snaps.clones.empty() || may_clone_;
  out_.changes = true;
  if (info().size) touch_range(0, info().size);
  resize(0);
  for (const auto& [key, watch] : info().watchers)
    out_.watches.push_back({WatchEffect::Kind::removed_with_object, key, watch});
  // What has been asked of the object so far dies with it.
  out_.operations.clear();
  if (before_.stored) out_.operations.push_back(Transaction::Remove{});
  ObjectInfo empty;
  empty.user_version = info().user_version;
  empty.changed = info().changed;
  if (info().flags & ObjectInfo::omap) --out_.delta.omap_objects;
  if (keep) {
    empty.flags = ObjectInfo::whiteout;
    out_.after.stored = true;
    out_.snaps_changed = true;  // the new object needs its SnapSet written again
  } else {
    out_.after.stored = false;
    --out_.delta.objects;
  }
  info() = empty;
  return 0;
}

void Execution::set_allocation_hint(const msg::AllocHintOperand& hint) {
  make_exist();
  info().expected_object_size = hint.expected_object_size;
  info().expected_write_size = hint.expected_write_size;
  info().allocation_hints = hint.flags;
}

std::int32_t Execution::roll_back(SnapId snap) {
  SnapChoice choice = choose_snap(out_.snaps, snap);
  if (choice.target == SnapTarget::nothing) {
    if (!info().watchers.empty()) return -EBUSY;
    if (exists()) return remove();
    return 0;
  }
  if (choice.target == SnapTarget::head) {
    if (!exists()) return 0;
    out_.changes = true;
    return 0;
  }
  ObjectId source = clone_id(request_.head, choice.clone);
  const auto* stored = inputs_.attributes(source);
  if (!stored) return 0;
  auto state = decode_state(*stored);
  if (!state || !state->stored) return -EIO;
  // What differs between the head and that clone is modified; what they share still is shared.
  if (info().size) {
    IntervalSet shared;
    shared.insert(0, info().size);
    for (auto it = out_.snaps.clones.begin(); it != out_.snaps.clones.end(); ++it)
      if (it->id >= choice.clone) shared.keep_only(it->overlap);
    IntervalSet changed;
    changed.insert(0, info().size);
    changed.erase(shared);
    for (const auto& extent : changed.extents()) touch_range(extent.offset, extent.length);
  }
  out_.operations.clear();
  if (out_.after.stored && before_.stored) out_.operations.push_back(Transaction::Remove{});
  make_exist();
  change(Transaction::Clone{source});
  out_.snaps_changed = true;  // the clone's attributes replaced ours
  bool had_omap = info().flags & ObjectInfo::omap, has_omap = state->info.flags & ObjectInfo::omap;
  out_.delta.omap_objects += has_omap - had_omap;
  info().flags = (info().flags & ~std::uint32_t{ObjectInfo::omap}) | (state->info.flags & ObjectInfo::omap);
  resize(state->info.size);
  return 0;
}

Result<CopyOrder> read_copy_order(const OsdOp& op) {
  Decoder decoder(op.input.flatten());
  CopyOrder order;
  decoder(order.name);
  decoder(order.locator);
  order.has_truncation =
      op.code == OpCode::copy_from2 && (op.as<msg::CopyFromOperand>().flags & msg::copy_from_flag::truncate_sequence);
  if (order.has_truncation) {
    decoder(order.truncate_sequence);
    decoder(order.truncate_size);
  }
  if (!decoder.finish()) return Errc::invalid;
  return order;
}

std::int32_t Execution::copy_from(const OsdOp& op) {
  auto order = read_copy_order(op);
  if (!order) return -EINVAL;
  const CopySource* source = request_.copy_source.get();
  if (!source) return -EOPNOTSUPP;
  if (source->result < 0) return source->result;
  std::uint64_t size = source->data.size();
  if (size > limits::object_size_max) return -EFBIG;
  make_exist();
  touch_range(0, std::max(size, info().size));
  if (before_.stored) {
    change(Transaction::RemoveAllAttributes{});
    change(Transaction::OmapClear{});
    if (info().size > size) change(Transaction::Truncate{size});
    out_.snaps_changed = true;  // ours went with the others
  }
  if (size) change(Transaction::Write{0, source->data});
  resize(size);
  if (!source->attributes.empty()) {
    Transaction::SetAttributes attributes;
    for (const auto& [name, value] : source->attributes) attributes.values.emplace("_" + name, value);
    change(std::move(attributes));
  }
  bool had_omap = info().flags & ObjectInfo::omap;
  bool has_omap = !source->omap.empty() || !source->omap_header.empty();
  out_.delta.omap_objects += has_omap - had_omap;
  info().flags &= ~std::uint32_t{ObjectInfo::omap};
  if (has_omap) {
    info().flags |= ObjectInfo::omap;
    if (!source->omap.empty()) change(Transaction::OmapSet{source->omap});
    if (!source->omap_header.empty()) change(Transaction::OmapSetHeader{source->omap_header});
  }
  info().modified = source->modified;
  info().user_version = source->user_version;  // Ceph: the copy is told by its source's version
  if (order->has_truncation) {
    info().truncate_sequence = order->truncate_sequence;
    info().truncate_size = order->truncate_size;
  }
  return 0;
}

}  // namespace spirula::osd
