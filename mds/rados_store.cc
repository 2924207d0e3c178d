#include "mds/rados_store.h"

#include "base/coroutine.h"
#include "librados/objecter.h"
#include "librados/striper.h"
#include "mds/parallel.h"

namespace spirula::mds {

using librados::Operation;

namespace {

constexpr std::size_t data_ops_in_flight = 16;
constexpr const char* parent_attribute = "parent";

/// Metadata must always be writable, or a full file system could never be emptied.
Operation forced() {
  Operation operation;
  operation.flags |= msg::request_flag::full_force;
  return operation;
}

librados::StripeLayout stripes(const msg::FileLayout& layout) {
  return {layout.stripe_unit, layout.stripe_count, layout.object_size};
}

}  // namespace

Task<Result<Buffer>> RadosStore::read(std::string object) {
  // Journal segments grow past their soft limit by at most one batch; everything else is small.
  constexpr std::uint64_t step = 8 << 20;
  BufferList whole;
  for (;;) {
    Operation operation;
    operation.read(whole.size(), step);
    CO_TRY(auto result, co_await objecter_.execute({pool_, object, "", ""}, std::move(operation)));
    CO_TRY(BufferList piece, result.data(0));
    whole.append(piece);
    if (piece.size() < step) break;
  }
  co_return whole.flatten();
}

Task<Result<>> RadosStore::write_full(std::string object, Buffer bytes) {
  Operation operation = forced();
  operation.write_full(BufferList(std::move(bytes)));
  CO_TRY(co_await objecter_.execute({pool_, std::move(object), "", ""}, std::move(operation)));
  co_return Result<>{};
}

Task<Result<>> RadosStore::write(std::string object, std::uint64_t offset, Buffer bytes) {
  Operation operation = forced();
  operation.write(offset, BufferList(std::move(bytes)));
  CO_TRY(co_await objecter_.execute({pool_, std::move(object), "", ""}, std::move(operation)));
  co_return Result<>{};
}

Task<Result<>> RadosStore::remove(std::string object) {
  Operation operation = forced();
  operation.remove();
  auto result = co_await objecter_.execute({pool_, std::move(object), "", ""}, std::move(operation));
  if (!result && result.error() != Errc::not_found) co_return result.error();
  co_return Result<>{};
}

Task<Result<MetadataStore::Names>> RadosStore::names(std::string object, std::string after, std::uint64_t count_max) {
  Operation operation;
  operation.omap_get(after, count_max);
  CO_TRY(auto result, co_await objecter_.execute({pool_, std::move(object), "", ""}, std::move(operation)));
  CO_TRY(auto page, result.omap(0));
  co_return Names{std::move(page.values), page.more};
}

Task<Result<Buffer>> RadosStore::name(std::string object, std::string key) {
  Operation operation;
  operation.omap_get_by_keys({key});
  CO_TRY(auto result, co_await objecter_.execute({pool_, std::move(object), "", ""}, std::move(operation)));
  CO_TRY(librados::OmapValues values, result.omap_by_keys(0));
  auto it = values.find(key);
  if (it == values.end()) co_return Errc::not_found;
  co_return it->second;
}

Task<Result<>> RadosStore::update_names(std::string object, NamesUpdate update) {
  Operation operation = forced();
  operation.create(false);
  if (!update.remove.empty()) operation.omap_remove(update.remove);
  if (!update.set.empty()) operation.omap_set(update.set);
  if (update.parent) operation.set_xattr(parent_attribute, *update.parent);
  CO_TRY(co_await objecter_.execute({pool_, std::move(object), "", ""}, std::move(operation)));
  co_return Result<>{};
}

Task<Result<Buffer>> RadosStore::parent(std::int64_t pool, std::string object) {
  Operation operation;
  operation.get_xattr(parent_attribute);
  auto result = co_await objecter_.execute({pool < 0 ? pool_ : pool, std::move(object), "", ""}, std::move(operation));
  if (!result && result.error() == Errc::no_data) co_return Errc::not_found;
  if (!result) co_return result.error();
  CO_TRY(BufferList value, result->data(0));
  co_return value.flatten();
}

Task<Result<>> RadosStore::set_parent(std::int64_t pool, std::string object, Buffer value) {
  Operation operation = forced();
  operation.create(false).set_xattr(parent_attribute, value);
  auto result = co_await objecter_.execute({pool < 0 ? pool_ : pool, std::move(object), "", ""}, std::move(operation));
  // A data pool that was deleted has nothing left to find.
  if (!result && !(pool >= 0 && result.error() == Errc::not_found)) co_return result.error();
  co_return Result<>{};
}

Task<Result<>> RadosStore::remove_data(std::int64_t pool, std::string name_space, std::string object) {
  Operation operation = forced();
  operation.remove();
  auto result = co_await objecter_.execute({pool, std::move(object), std::move(name_space), ""}, std::move(operation));
  if (!result && result.error() != Errc::not_found) co_return result.error();
  co_return Result<>{};
}

Task<Result<>> RadosStore::purge(Ino ino, msg::FileLayout layout, std::uint64_t size) {
  if (!layout.is_valid()) co_return Result<>{};
  Parallel removals(shard_, data_ops_in_flight);
  const std::uint64_t count = std::max<std::uint64_t>(1, librados::object_count(stripes(layout), size));
  for (std::uint64_t i = 0; i < count; ++i) {
    if (!co_await removals.room()) break;
    removals.spawn(remove_data(layout.pool, layout.name_space, data_object(ino, i)));
  }
  // The backtrace is always in the default namespace, where it is looked for.
  if (!layout.name_space.empty() && co_await removals.room())
    removals.spawn(remove_data(layout.pool, "", data_object(ino, 0)));
  co_return co_await removals.join();
}

Task<Result<>> RadosStore::stat_data(msg::FileLayout layout, Ino ino, std::uint64_t number, Probed& probed) {
  Operation operation;
  operation.stat();
  auto result =
      co_await objecter_.execute({layout.pool, data_object(ino, number), layout.name_space, ""}, std::move(operation));
  if (!result && result.error() == Errc::not_found) co_return Result<>{};
  CO_TRY(result);
  CO_TRY(msg::StatOutput stat, result->stat(0));
  if (stat.size) probed.end = std::max(probed.end, librados::file_bytes(stripes(layout), number, stat.size));
  probed.mtime = std::max(probed.mtime, stat.mtime);
  co_return Result<>{};
}

/// From the end, a round of objects at a time (whole sets: in any of one's objects the last byte may be).
Task<Result<MetadataStore::Probed>> RadosStore::probe(Ino ino, msg::FileLayout layout, std::uint64_t from,
                                                      std::uint64_t to) {
  Probed probed;
  if (!layout.is_valid()) co_return probed;
  const std::uint64_t set = layout.stripe_count, set_bytes = set * layout.object_size;
  const std::uint64_t first = from / set_bytes * set;
  const std::uint64_t round = (data_ops_in_flight + set - 1) / set * set;
  std::uint64_t end = librados::object_count(stripes(layout), to);
  while (end > first && !probed.end) {
    const std::uint64_t begin = std::max(first, (end - 1) / round * round);
    Parallel stats(shard_, data_ops_in_flight);
    for (std::uint64_t i = begin; i < end; ++i) {
      if (!co_await stats.room()) break;
      stats.spawn(stat_data(layout, ino, i, probed));
    }
    CO_TRY(co_await stats.join());
    end = begin;
  }
  co_return probed;
}

Task<Result<>> RadosStore::cut_data(std::int64_t pool, std::string name_space, std::string object, std::uint64_t size,
                                    std::uint32_t truncate_sequence) {
  Operation operation = forced();
  msg::OsdOp cut(msg::OpCode::trimtrunc);
  cut.operand = msg::ExtentOperand{size, 0, size, truncate_sequence};
  operation.add(std::move(cut));
  auto result = co_await objecter_.execute({pool, std::move(object), std::move(name_space), ""}, std::move(operation));
  if (!result && result.error() != Errc::not_found) co_return result.error();
  co_return Result<>{};
}

Task<Result<>> RadosStore::truncate(Ino ino, msg::FileLayout layout, std::uint64_t from, std::uint64_t to,
                                    std::uint32_t truncate_sequence) {
  if (!layout.is_valid()) co_return Result<>{};
  Parallel cuts(shard_, data_ops_in_flight);
  const librados::StripeLayout stripe = stripes(layout);
  for (std::uint64_t i = 0; i < librados::object_count(stripe, from); ++i) {
    const std::uint64_t kept = librados::object_bytes(stripe, i, to);
    if (kept >= librados::object_bytes(stripe, i, from)) continue;
    if (!co_await cuts.room()) break;
    cuts.spawn(cut_data(layout.pool, layout.name_space, data_object(ino, i), kept, truncate_sequence));
  }
  co_return co_await cuts.join();
}

}  // namespace spirula::mds
