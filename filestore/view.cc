#include "filestore/view.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

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

/// [begin, end) cut to another range; empty if begin >= end.
struct Overlap {
  std::uint64_t begin, end;
  Overlap(std::uint64_t a, std::uint64_t a_end, std::uint64_t b, std::uint64_t b_end)
      : begin(std::max(a, b)), end(std::min(a_end, b_end)) {}
  explicit operator bool() const { return begin < end; }
};

void copy_out(const BufferList& from, std::uint64_t offset, std::span<std::byte> into) {
  for (const Buffer& piece : from.buffers()) {
    if (into.empty()) return;
    if (offset >= piece.size()) {
      offset -= piece.size();
      continue;
    }
    std::size_t here = std::min<std::size_t>(into.size(), piece.size() - offset);
    std::memcpy(into.data(), piece.data() + offset, here);
    into = into.subspan(here);
    offset = 0;
  }
}

}  // namespace

const Index::Moment* View::moment() {
  if (!moment_) moment_ = index_.moment();
  return moment_.get();
}

Result<const Onode*> View::base(const PendingPlan& plan) {
  auto it = bases_.find(plan.key);
  if (it == bases_.end()) {
    TRY(auto row, index_.get(plan.key, access_, moment_.get()));
    std::optional<Onode> onode;
    if (row) {
      TRY(onode, decode<Onode>(Buffer::copy_of(*row)));
    }
    it = bases_.emplace(plan.key, std::move(onode)).first;
  }
  return it->second ? &*it->second : nullptr;
}

Result<View::Meta> View::meta(const PendingPlan& plan, bool with_attributes) {
  Meta meta;
  if (!plan.replaced) {
    TRY(const Onode* onode, base(plan));
    if (onode) {
      meta.exists = true;
      meta.size = onode->size;
      if (with_attributes) meta.attributes = onode->attributes;
    }
  }
  for (const PendingPlan::Step& step : plan.steps) {
    if (step.removed_by_rename) {
      meta = {};
      continue;
    }
    TRY(std::visit(
        [&]<class Operation>(const Operation& o) -> Result<> {
          if constexpr (std::is_same_v<Operation, T::Remove>) {
            meta = {};
            return {};
          } else if constexpr (std::is_same_v<Operation, T::Clone> || std::is_same_v<Operation, T::Rename>) {
            TRY(meta, this->meta(*step.source, with_attributes));
          } else if constexpr (std::is_same_v<Operation, T::RemoveAttribute>) {
            meta.attributes.erase(o.name);
            return {};
          } else if constexpr (std::is_same_v<Operation, T::RemoveAllAttributes>) {
            meta.attributes.clear();
            return {};
          } else if constexpr (std::is_same_v<Operation, T::OmapRemove> ||
                               std::is_same_v<Operation, T::OmapRemoveRange> ||
                               std::is_same_v<Operation, T::OmapClear>) {
            return {};
          } else if constexpr (std::is_same_v<Operation, T::Write>) {
            if (!o.data.empty()) meta.size = std::max(meta.size, o.offset + o.data.size());
          } else if constexpr (std::is_same_v<Operation, T::Zero> || std::is_same_v<Operation, T::CloneRange>) {
            if (o.length) meta.size = std::max(meta.size, o.offset + o.length);
          } else if constexpr (std::is_same_v<Operation, T::Truncate>) {
            meta.size = o.size;
          } else if constexpr (std::is_same_v<Operation, T::SetAttributes>) {
            if (with_attributes)
              for (const auto& [name, value] : o.values) meta.attributes[name] = value;
          }
          meta.exists = true;
          return {};
        },
        *step.operation));
  }
  return meta;
}

Result<bool> View::exists(const PendingPlan& plan) {
  TRY(Meta found, meta(plan, false));
  return found.exists;
}

// --- data
// -------------------------------------------------------------------------------------------------------------

Result<std::vector<std::uint32_t>> View::known_checksums(const Onode& onode, std::uint64_t first, std::uint64_t end) {
  constexpr std::uint64_t per_chunk = limits::blocks_per_chunk;
  std::vector<std::uint32_t> known(end - first);
  auto take = [&](std::uint64_t number, const ChecksumChunk& sums) {
    std::uint64_t begin = number * per_chunk;
    for (std::uint64_t block = std::max(begin, first); block < std::min(begin + per_chunk, end); ++block)
      known[block - first] = sums.crc[block - begin];
  };
  if (std::uint64_t number = first / per_chunk; number == (end - 1) / per_chunk) {
    TRY(auto row, ChecksumRows::find(index_, onode, static_cast<std::uint32_t>(number), access_, moment()));
    if (row) take(number, *row);
    return known;
  }
  ChecksumRows rows(index_, onode, first, end, access_, moment());
  for (; rows.valid(); rows.next()) take(rows.number(), rows.chunk());
  TRY(rows.status());
  return known;
}

/// A file that is not there has been replaced a moment ago, or is lost: another attempt tells.
std::error_code View::not_opened(std::error_code error) {
  if (!is(error, Errc::not_found)) return error;
  what_ = "the data file is missing";
  retry_ = true;
  return make_error_code(Errc::io);
}

Result<std::shared_ptr<DataFile>> View::open(const Onode& onode) {
  auto file = files_.open(onode, access_);
  if (!file) return not_opened(file.error());
  return file;
}

/// A first pass over much data goes past the page cache, which saves copying it and keeps what others read there; what
/// is read again is worth a place in it.
Result<> View::read_blocks(DataFile& file, const Onode& onode, std::uint64_t offset, std::span<std::byte> into) {
  bool aligned = reinterpret_cast<std::uintptr_t>(into.data()) % block_bytes == 0;
  if (access_ == Access::blocking && aligned && into.size() >= limits::direct_read_bytes_min &&
      file.first_pass(offset, into.size())) {
    auto direct = files_.open_direct(onode);
    if (!direct) return not_opened(direct.error());
    return (*direct)->read(offset, into, Access::blocking);
  }
  return file.read(offset, into, access_);
}

Result<> View::fill_base(const PendingPlan& plan, std::uint64_t offset, std::span<std::byte> into,
                         std::span<std::uint32_t> sums) {
  const std::uint64_t into_end = offset + into.size();
  std::uint64_t filled = offset;
  auto zero_until = [&](std::uint64_t until) {
    if (until <= filled) return;
    std::memset(into.data() + (filled - offset), 0, until - filled);
    static const std::uint32_t of_zeros = crc32c_zeros(~0u, block_bytes);
    // What a file's last block has past its end is zeros already.
    for (std::uint64_t i = (filled - offset + block_bytes - 1) / block_bytes;
         i < sums.size() && i * block_bytes < until - offset; ++i)
      sums[i] = of_zeros;
    filled = until;
  };
  TRY(const Onode* onode, base(plan));
  if (!onode || offset >= onode->size || (!onode->has_inline && !onode->has_file)) {
    zero_until(into_end);
    return {};
  }
  std::uint64_t end = std::min(into_end, onode->size);
  if (onode->has_inline) {
    TRY(auto row, index_.get(key::inline_data(onode->id), access_, moment()));
    if (!row) {
      what_ = "inline data are missing";
      return Errc::io;
    }
    zero_until(into_end);
    if (offset < row->size())
      std::memcpy(into.data(), row->data() + offset, std::min<std::uint64_t>(end, row->size()) - offset);
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] = crc32c(~0u, into.subspan(i * block_bytes, block_bytes));
    return {};
  }
  if (!files_.keeps_checksums()) {
    zero_until(into_end);
    return fill_unchecked(*onode, offset, into.first(end - offset));
  }
  std::shared_ptr<DataFile> file;  // there may be none before there are data
  const std::uint64_t first = offset / block_bytes, last = (end + block_bytes - 1) / block_bytes;
  TRY(auto known, known_checksums(*onode, first, last));
  // Runs of blocks that hold data, read at once: straight into place where they are wanted whole.
  for (std::uint64_t block = first; block < last;) {
    if (known[block - first] == 0) {
      ++block;
      continue;
    }
    std::uint64_t run = block;
    while (run < last && known[run - first] != 0) ++run;
    // Of a long one only the block that is not wanted whole goes aside.
    constexpr std::uint64_t aside_blocks_max = 16;
    if (run - block > aside_blocks_max) {
      if (block * block_bytes < offset) {
        run = block + 1;
      } else if (run * block_bytes > into_end) {
        --run;
      }
    }
    std::uint64_t run_begin = block * block_bytes, run_end = run * block_bytes;
    Buffer aside;
    std::byte* at;
    bool whole = run_begin >= offset && run_end <= into_end;
    if (whole) {
      at = into.data() + (run_begin - offset);
    } else {
      aside = Buffer::allocate(run_end - run_begin, block_bytes);
      at = aside.mutable_data();
    }
    if (!file) {
      TRY(file, open(*onode));
    }
    Result<> got = read_blocks(*file, *onode, run_begin, {at, run_end - run_begin});
    if (!got && is(got.error(), Errc::io))
      what_ = fmt::format("blocks {} to {} of {} cannot be read", block, run - 1, DataFiles::describe(*onode));
    TRY(got);
    for (std::uint64_t each = block; each < run; ++each) {
      std::uint32_t crc = crc32c(~0u, {at + (each - block) * block_bytes, block_bytes});
      if (std::uint64_t i = each - first; i < sums.size()) sums[i] = crc;
      if (nonzero(crc) == known[each - first]) continue;
      what_ = fmt::format("block {} of {} does not verify", each, DataFiles::describe(*onode));
      retry_ = true;
      return Errc::io;
    }
    Overlap part(run_begin, run_end, offset, end);
    zero_until(part.begin);
    if (!whole) std::memcpy(into.data() + (part.begin - offset), at + (part.begin - run_begin), part.end - part.begin);
    filled = part.end;
    block = run;
  }
  zero_until(into_end);
  return {};
}

/// Bytes from `offset` as they are after the first `steps` steps. Looks from the newest step to the oldest, so that
/// what is overwritten is never read.
Result<> View::fill(const PendingPlan& plan, std::size_t steps, std::uint64_t offset, std::span<std::byte> into) {
  std::uint64_t end = offset + into.size();
  auto zero = [&] { std::memset(into.data(), 0, into.size()); };
  while (steps > 0) {
    const PendingPlan::Step& step = plan.steps[--steps];
    if (step.removed_by_rename || std::holds_alternative<T::Remove>(*step.operation)) {
      zero();
      return {};
    }
    if (std::holds_alternative<T::Clone>(*step.operation) || std::holds_alternative<T::Rename>(*step.operation))
      return fill(*step.source, step.source->steps.size(), offset, into);
    std::optional<Overlap> part;
    const BufferList* data = nullptr;
    std::uint64_t data_offset = 0;
    const T::CloneRange* copy = nullptr;
    if (const auto* write = std::get_if<T::Write>(step.operation)) {
      part.emplace(offset, end, write->offset, write->offset + write->data.size());
      data = &write->data;
      data_offset = write->offset;
    } else if (const auto* zeros = std::get_if<T::Zero>(step.operation)) {
      part.emplace(offset, end, zeros->offset, zeros->offset + zeros->length);
    } else if (const auto* cut = std::get_if<T::Truncate>(step.operation)) {
      part.emplace(offset, end, cut->size, end);
    } else if ((copy = std::get_if<T::CloneRange>(step.operation))) {
      part.emplace(offset, end, copy->offset, copy->offset + copy->length);
    }
    if (!part || !*part) continue;
    std::span<std::byte> here = into.subspan(part->begin - offset, part->end - part->begin);
    if (data) {
      copy_out(*data, part->begin - data_offset, here);
    } else if (copy) {
      // What lies beyond the source's end as it was then counts as zeros.
      std::uint64_t from = copy->source_offset + (part->begin - copy->offset);
      TRY(Meta source, meta(*step.source, false));
      std::uint64_t there = from < source.size ? std::min<std::uint64_t>(here.size(), source.size - from) : 0;
      TRY(fill(*step.source, step.source->steps.size(), from, here.first(there)));
      std::memset(here.data() + there, 0, here.size() - there);
    } else {
      std::memset(here.data(), 0, here.size());
    }
    if (part->end < end) TRY(fill(plan, steps, part->end, into.subspan(part->end - offset)));
    if (part->begin == offset) return {};
    end = part->begin;
    into = into.first(part->begin - offset);
  }
  if (into.empty()) return {};
  if (plan.replaced) {
    zero();
    return {};
  }
  return fill_base(plan, offset, into);
}

Result<BufferList> View::read(const PendingPlan& plan, std::uint64_t offset, std::uint64_t length) {
  (void)moment();  // onode and checksums of one state
  TRY(Meta found, meta(plan, false));
  if (!found.exists) return Errc::not_found;
  if (offset >= found.size || length == 0) return BufferList{};
  length = std::min(length, found.size - offset);
  // Worth it where another pass over the bytes would be felt; and only of one source.
  if (length >= limits::checksums_kept_from && offset % block_bytes == 0 && files_.keeps_checksums() &&
      plan.steps.empty() && !plan.replaced) {
    Buffer data = Buffer::allocate_with_checksums(length);
    std::span<std::uint32_t> sums = data.mutable_checksums();
    TRY(fill_base(plan, offset, {data.mutable_data(), length}, sums));
    return BufferList(std::move(data));
  }
  Buffer data = Buffer::allocate(length, length >= limits::checksums_kept_from ? block_bytes : 16);
  TRY(fill(plan, plan.steps.size(), offset, {data.mutable_data(), length}));
  return BufferList(std::move(data));
}

/// Like fill(), for where data are: extents of [offset, +length), which is shown at `shown_at`.
Result<> View::map_data(const PendingPlan& plan, std::size_t steps, std::uint64_t offset, std::uint64_t length,
                        std::uint64_t shown_at, std::vector<Extent>& found) {
  std::uint64_t end = offset + length;
  while (steps > 0 && offset < end) {
    const PendingPlan::Step& step = plan.steps[--steps];
    if (step.removed_by_rename || std::holds_alternative<T::Remove>(*step.operation)) return {};
    if (std::holds_alternative<T::Clone>(*step.operation) || std::holds_alternative<T::Rename>(*step.operation))
      return map_data(*step.source, step.source->steps.size(), offset, end - offset, shown_at, found);
    std::optional<Overlap> part;
    const auto* write = std::get_if<T::Write>(step.operation);
    const auto* copy = std::get_if<T::CloneRange>(step.operation);
    if (write) {
      part.emplace(offset, end, write->offset, write->offset + write->data.size());
    } else if (copy) {
      part.emplace(offset, end, copy->offset, copy->offset + copy->length);
    } else if (const auto* zeros = std::get_if<T::Zero>(step.operation)) {
      part.emplace(offset, end, zeros->offset, zeros->offset + zeros->length);
    } else if (const auto* cut = std::get_if<T::Truncate>(step.operation)) {
      part.emplace(offset, end, cut->size, end);
    }
    if (!part || !*part) continue;
    std::uint64_t here = part->end - part->begin, shown = shown_at + (part->begin - offset);
    if (write) {
      found.push_back({shown, here});
    } else if (copy) {
      std::uint64_t from = copy->source_offset + (part->begin - copy->offset);
      TRY(Meta source, meta(*step.source, false));
      if (from < source.size)
        TRY(map_data(*step.source, step.source->steps.size(), from, std::min(here, source.size - from), shown, found));
    }
    if (part->end < end) TRY(map_data(plan, steps, part->end, end - part->end, shown_at + (part->end - offset), found));
    end = part->begin;
  }
  if (offset >= end || plan.replaced) return {};
  TRY(const Onode* onode, base(plan));
  if (!onode || offset >= onode->size) return {};
  end = std::min(end, onode->size);
  if (onode->has_inline) {
    found.push_back({shown_at, end - offset});
  } else if (onode->has_file && !files_.keeps_checksums()) {
    if (access_ == Access::cached) return Errc::again;  // the file's map may have to be read
    TRY(auto file, open(*onode));
    auto extents = file->extents(offset, end - offset);
    if (changed(*onode)) retry_ = true;
    TRY(extents);
    for (const Extent& each : *extents) found.push_back({shown_at + (each.offset - offset), each.length});
  } else if (onode->has_file) {
    std::uint64_t first = offset / block_bytes, last = (end - 1) / block_bytes;
    ChecksumRows rows(index_, *onode, first, last + 1, access_, moment());
    for (; rows.valid(); rows.next()) {
      ChecksumChunk sums = rows.chunk();
      for (std::uint64_t i = 0; i < limits::blocks_per_chunk; ++i) {
        if (sums.crc[i] == 0) continue;
        std::uint64_t block = rows.first_block() + i;
        if (Overlap part(block * block_bytes, (block + 1) * block_bytes, offset, end); part)
          found.push_back({shown_at + (part.begin - offset), part.end - part.begin});
      }
    }
    TRY(rows.status());
  }
  return {};
}

Result<std::vector<Extent>> View::extents(const PendingPlan& plan, std::uint64_t offset, std::uint64_t length) {
  (void)moment();
  TRY(Meta of, meta(plan, false));
  if (!of.exists) return Errc::not_found;
  std::vector<Extent> found;
  if (offset >= of.size || length == 0) return found;
  length = std::min(length, of.size - offset);
  TRY(map_data(plan, plan.steps.size(), offset, length, offset, found));
  std::ranges::sort(found, {}, &Extent::offset);
  std::vector<Extent> joined;
  for (const Extent& each : found) {
    if (!joined.empty() && joined.back().offset + joined.back().length >= each.offset) {
      std::uint64_t end = std::max(joined.back().offset + joined.back().length, each.offset + each.length);
      joined.back().length = end - joined.back().offset;
    } else {
      joined.push_back(each);
    }
  }
  return joined;
}

// --- ordered maps
// -----------------------------------------------------------------------------------------------------

void View::erase_range(Delta& delta, const std::string& first, const std::string& last) {
  if (first >= last) return;
  delta.changed.erase(delta.changed.lower_bound(first), delta.changed.lower_bound(last));
  delta.erased.push_back({first, last});
}

View::Delta View::omap_delta(const PendingPlan& plan) {
  Delta delta;
  delta.base = &plan;
  if (plan.replaced) {
    delta.replaced = true;
    delta.header = Buffer{};
  }
  for (const PendingPlan::Step& step : plan.steps) {
    auto clear = [&] {
      delta = {};
      delta.replaced = true;
      delta.header = Buffer{};
    };
    if (step.removed_by_rename) {
      clear();
      continue;
    }
    std::visit(
        [&]<class Operation>(const Operation& o) {
          if constexpr (std::is_same_v<Operation, T::Remove> || std::is_same_v<Operation, T::OmapClear>) {
            clear();
          } else if constexpr (std::is_same_v<Operation, T::Clone> || std::is_same_v<Operation, T::Rename>) {
            delta = omap_delta(*step.source);
          } else if constexpr (std::is_same_v<Operation, T::OmapSet>) {
            for (const auto& [name, value] : o.values) delta.changed[name] = value;
          } else if constexpr (std::is_same_v<Operation, T::OmapRemove>) {
            for (const std::string& name : o.keys) delta.changed[name] = std::nullopt;
          } else if constexpr (std::is_same_v<Operation, T::OmapRemoveRange>) {
            erase_range(delta, o.first, o.last);
          } else if constexpr (std::is_same_v<Operation, T::OmapSetHeader>) {
            delta.header = o.value;
          }
        },
        *step.operation);
  }
  return delta;
}

View::Delta View::collection_delta(const CollectionPlan& plan) {
  Delta delta;
  for (const CollectionPlan::Step& step : plan.steps) {
    if (step.merged_away) {
      delta = {};
      delta.replaced = true;
      continue;
    }
    std::visit(
        [&]<class Operation>(const Operation& o) {
          if constexpr (std::is_same_v<Operation, T::CollectionSet>) {
            for (const auto& [name, value] : o.values) delta.changed[name] = value;
          } else if constexpr (std::is_same_v<Operation, T::CollectionRemove>) {
            for (const std::string& name : o.keys) delta.changed[name] = std::nullopt;
          } else if constexpr (std::is_same_v<Operation, T::CollectionRemoveRange>) {
            erase_range(delta, o.first, o.last);
          } else if constexpr (std::is_same_v<Operation, T::RemoveCollection> ||
                               std::is_same_v<Operation, T::CreateCollection>) {
            delta = {};
            delta.replaced = true;
          }
        },
        *step.operation);
  }
  return delta;
}

/// Entries > `after` and >= `from`: applied rows and pending changes as one.
Result<OmapPage> View::merge(const Delta& delta, const std::optional<key::Range>& rows, std::size_t prefix_bytes,
                             const std::string& after, const std::string& from, std::size_t count_max,
                             std::size_t bytes_max) {
  OmapPage page;
  std::string start = after;  // the first key that may be shown
  if (!after.empty()) start.push_back('\0');
  start = std::max(start, from);
  auto changed = delta.changed.lower_bound(start);
  std::unique_ptr<IndexCursor> cursor;
  if (rows && !delta.replaced) {
    key::Range range = *rows;
    range.first += start;
    cursor = index_.cursor(range, access_, moment());
  }
  std::size_t bytes = 0;
  auto full = [&] { return page.entries.size() >= count_max || bytes >= bytes_max; };
  for (;;) {
    bool row = cursor && cursor->valid();
    if (cursor && !row) TRY(cursor->status());
    bool change = changed != delta.changed.end();
    if (!row && !change) return page;
    std::string_view name = row ? cursor->key().substr(prefix_bytes) : std::string_view{};
    if (row && (!change || name < changed->first)) {
      bool gone =
          std::ranges::any_of(delta.erased, [&](const key::Range& r) { return r.first <= name && name < r.last; });
      if (!gone) {
        if (full()) {
          page.more = true;
          return page;
        }
        bytes += name.size() + cursor->value().size();
        page.entries.emplace_back(std::string(name), Buffer::copy_of(cursor->value()));
      }
      cursor->next();
      continue;
    }
    if (row && name == changed->first) cursor->next();
    if (changed->second) {
      if (full()) {
        page.more = true;
        return page;
      }
      bytes += changed->first.size() + changed->second->size();
      page.entries.emplace_back(changed->first, *changed->second);
    }
    ++changed;
  }
}

Result<Buffer> View::omap_header(const PendingPlan& plan) {
  (void)moment();
  TRY(bool there, exists(plan));
  if (!there) return Errc::not_found;
  Delta delta = omap_delta(plan);
  if (delta.header) return *delta.header;
  TRY(const Onode* onode, base(*delta.base));
  if (!onode || !onode->has_header) return Buffer{};
  TRY(auto row, index_.get(key::omap_header(onode->id), access_, moment()));
  return row ? Buffer::copy_of(*row) : Buffer{};
}

Result<std::map<std::string, Buffer>> View::omap_get(const PendingPlan& plan, const std::set<std::string>& keys) {
  (void)moment();
  TRY(bool there, exists(plan));
  if (!there) return Errc::not_found;
  Delta delta = omap_delta(plan);
  const Onode* onode = nullptr;
  if (!delta.replaced) {
    TRY(onode, base(*delta.base));
  }
  std::map<std::string, Buffer> found;
  for (const std::string& name : keys) {
    if (auto it = delta.changed.find(name); it != delta.changed.end()) {
      if (it->second) found.emplace(name, *it->second);
      continue;
    }
    if (!onode || !onode->has_omap) continue;
    if (std::ranges::any_of(delta.erased, [&](const key::Range& r) { return r.first <= name && name < r.last; }))
      continue;
    TRY(auto row, index_.get(key::omap_entry(onode->id, name), access_, moment()));
    if (row) found.emplace(name, Buffer::copy_of(*row));
  }
  return found;
}

Result<OmapPage> View::omap_list(const PendingPlan& plan, const std::string& after, const std::string& from,
                                 std::size_t count_max, std::size_t bytes_max) {
  (void)moment();
  TRY(bool there, exists(plan));
  if (!there) return Errc::not_found;
  Delta delta = omap_delta(plan);
  std::optional<key::Range> rows;
  if (!delta.replaced) {
    TRY(const Onode* onode, base(*delta.base));
    if (onode && onode->has_omap) rows = key::omap_entries(onode->id);
  }
  return merge(delta, rows, key::omap_prefix_bytes, after, from, count_max, bytes_max);
}

Result<std::map<std::string, Buffer>> View::collection_get(const CollectionId& id, const CollectionPlan& plan,
                                                           const std::set<std::string>& keys) {
  Delta delta = collection_delta(plan);
  std::map<std::string, Buffer> found;
  for (const std::string& name : keys) {
    if (auto it = delta.changed.find(name); it != delta.changed.end()) {
      if (it->second) found.emplace(name, *it->second);
      continue;
    }
    if (delta.replaced ||
        std::ranges::any_of(delta.erased, [&](const key::Range& r) { return r.first <= name && name < r.last; }))
      continue;
    TRY(auto row, index_.get(key::collection_entry(id, name), access_, moment()));
    if (row) found.emplace(name, Buffer::copy_of(*row));
  }
  return found;
}

Result<OmapPage> View::collection_list(const CollectionId& id, const CollectionPlan& plan, const std::string& after,
                                       std::size_t count_max) {
  return merge(collection_delta(plan), key::collection_entries(id), key::collection_prefix_bytes, after, "", count_max,
               limits::transaction_bytes_max);
}

Result<ObjectPage> View::list(const key::Range& range, const std::vector<std::unique_ptr<PendingPlan>>& pending,
                              std::size_t count_max) {
  ObjectPage page;
  auto cursor = index_.cursor(range, access_, moment());
  auto change = pending.begin();
  for (;;) {
    bool row = cursor->valid();
    if (!row) TRY(cursor->status());
    if (!row && change == pending.end()) return page;
    std::string key;
    bool there = true;
    if (row && (change == pending.end() || cursor->key() < (*change)->key)) {
      key = cursor->key();
      cursor->next();
    } else {
      key = (*change)->key;
      if (row && cursor->key() == key) {
        bases_.emplace(key, Onode{});  // it is there; only that counts here
        cursor->next();
      } else {
        bases_.emplace(key, std::nullopt);
      }
      TRY(there, exists(**change));
      ++change;
    }
    if (!there) continue;
    TRY(auto object, key::parse_object(key));
    if (page.objects.size() >= count_max) {
      page.next = std::move(object);
      return page;
    }
    page.objects.push_back(std::move(object));
  }
}

}  // namespace spirula::filestore
