#include <algorithm>

#include "base/coroutine.h"
#include "base/log.h"
#include "filestore/error.h"
#include "filestore/filestore.h"
#include "filestore/key.h"
#include "filestore/limits.h"
#include "filestore/media_check.h"
#include "filestore/view.h"

namespace spirula::filestore {

/// What one reader needs of the shared state: taken under the lock, before anything is read from disk, so that an
/// operation that is applied meanwhile is seen either here or there (and twice does no harm, see PendingPlan).
struct ReadContext {
  View& view;
  std::mutex& mutex;
  PendingTable& pending;
  std::vector<PendingTable::Copy> copies;
  std::string damage = {};  ///< what did not verify, and whose it is

  std::unique_ptr<PendingPlan> plan(const std::string& key) {
    std::lock_guard lock(mutex);
    return pending.plan(key, copies);
  }
  std::vector<std::unique_ptr<PendingPlan>> plans(const key::Range& range) {
    std::lock_guard lock(mutex);
    return pending.plans(range, copies);
  }
  CollectionPlan collection_plan(const CollectionId& id) {
    std::lock_guard lock(mutex);
    return pending.collection_plan(id);
  }
};

/// One try. `again`: the outcome does not count, because it needs the disk or an apply crossed it.
template <class T, class F>
Result<T> Filestore::attempt(Access access, const F& evaluate, bool& again, std::string& damage) {
  View view(*index_, *files_, access);
  ReadContext context{view, mutex_, pending_, {}};
  Result<T> result = evaluate(context);
  again = (!result && is(result.error(), Errc::again)) || view.retry() ||
          std::ranges::any_of(context.copies, [&](const PendingTable::Copy& copy) { return copy->started.load(); });
  if (!result && is(result.error(), Errc::io)) damage = std::move(context.damage);
  return result;
}

/// Blocks. A result that an apply has crossed twice is taken while nothing is applied: then damage is damage.
template <class T, class F>
Result<T> Filestore::insist(const F& evaluate) {
  bool again = false;
  std::string damage;
  auto answer = [&](Result<T>& result) -> Result<T>& {
    if (!result && is(result.error(), Errc::io)) log_error("filestore", "{}: {}", options_.path, damage);
    return result;
  };
  for (int i = 0; i < 2; ++i) {
    Result<T> result = attempt<T>(Access::blocking, evaluate, again, damage);
    if (!again) return answer(result);
  }
  auto excluded = lanes_->exclude();
  Result<T> result = attempt<T>(Access::blocking, evaluate, again, damage);
  if (again && result) return Errc::io;  // the store failed in the middle of a copy
  if (!result && is(result.error(), Errc::again)) return Errc::io;
  return answer(result);
}

template <class T, class F>
std::optional<Result<T>> Filestore::observe_now(const F& evaluate) {
  bool again = false;
  std::string damage;
  Result<T> result = attempt<T>(Access::cached, evaluate, again, damage);
  if (again) return std::nullopt;
  return result;
}

template <class T, class F>
Task<Result<T>> Filestore::observe(bool try_here, F evaluate) {
  if (try_here)
    if (auto result = observe_now<T>(evaluate)) co_return std::move(*result);
  Result<T> result = Errc::again;
  co_await read_pool_->run([&] { result = insist<T>(evaluate); });
  co_return result;
}

/// Wraps a question about one object; damage is logged under the object's name.
template <class T, class F>
auto Filestore::of_object(ObjectId object, F evaluate) {
  std::string key = key::object(object);
  return [object = std::move(object), key = std::move(key), evaluate = std::move(evaluate)](ReadContext& context) {
    auto plan = context.plan(key);
    Result<T> result = evaluate(context.view, *plan);
    if (!result && is(result.error(), Errc::io) && !context.view.what().empty())
      context.damage = object.describe() + ": " + context.view.what();
    return result;
  };
}

namespace {

auto bytes_of(std::uint64_t offset, std::uint64_t length) {
  return [offset, length](View& view, PendingPlan& plan) { return view.read(plan, offset, length); };
}

Result<std::map<std::string, Buffer>> attributes_of(View& view, PendingPlan& plan) {
  TRY(View::Meta meta, view.meta(plan, true));
  if (!meta.exists) return Errc::not_found;
  return std::move(meta.attributes);
}

}  // namespace

Task<Result<BufferList>> Filestore::read(ObjectId object, std::uint64_t offset, std::uint64_t length) {
  return observe<BufferList>(length <= limits::inline_read_bytes_max,
                             of_object<BufferList>(std::move(object), bytes_of(offset, length)));
}

std::optional<Result<BufferList>> Filestore::read_now(const ObjectId& object, std::uint64_t offset,
                                                      std::uint64_t length) {
  if (length > limits::inline_read_bytes_max) return std::nullopt;
  return observe_now<BufferList>(of_object<BufferList>(object, bytes_of(offset, length)));
}

Task<Result<ObjectStat>> Filestore::stat(ObjectId object) {
  return observe<ObjectStat>(true, of_object<ObjectStat>(std::move(object), [](View& view, PendingPlan& plan) {
                               Result<View::Meta> meta = view.meta(plan, false);
                               if (!meta) return Result<ObjectStat>(meta.error());
                               if (!meta->exists) return Result<ObjectStat>(Errc::not_found);
                               return Result<ObjectStat>(ObjectStat{meta->size});
                             }));
}

Task<Result<std::vector<Extent>>> Filestore::extents(ObjectId object, std::uint64_t offset, std::uint64_t length) {
  using Answer = std::vector<Extent>;
  return observe<Answer>(true, of_object<Answer>(std::move(object), [offset, length](View& view, PendingPlan& plan) {
                           return view.extents(plan, offset, length);
                         }));
}

Task<Result<Buffer>> Filestore::get_attribute(ObjectId object, std::string name) {
  return observe<Buffer>(true,
                         of_object<Buffer>(std::move(object), [name = std::move(name)](View& view, PendingPlan& plan) {
                           Result<View::Meta> meta = view.meta(plan, true);
                           if (!meta) return Result<Buffer>(meta.error());
                           if (!meta->exists) return Result<Buffer>(Errc::not_found);
                           auto it = meta->attributes.find(name);
                           if (it == meta->attributes.end()) return Result<Buffer>(Errc::no_data);
                           return Result<Buffer>(it->second);
                         }));
}

Task<Result<std::map<std::string, Buffer>>> Filestore::get_attributes(ObjectId object) {
  using Answer = std::map<std::string, Buffer>;
  return observe<Answer>(true, of_object<Answer>(std::move(object), attributes_of));
}

std::optional<Result<std::map<std::string, Buffer>>> Filestore::get_attributes_now(const ObjectId& object) {
  using Answer = std::map<std::string, Buffer>;
  return observe_now<Answer>(of_object<Answer>(object, attributes_of));
}

Task<Result<Buffer>> Filestore::omap_header(ObjectId object) {
  return observe<Buffer>(
      true, of_object<Buffer>(std::move(object), [](View& view, PendingPlan& plan) { return view.omap_header(plan); }));
}

Task<Result<std::map<std::string, Buffer>>> Filestore::omap_get(ObjectId object, std::set<std::string> keys) {
  using Answer = std::map<std::string, Buffer>;
  return observe<Answer>(keys.size() <= 64,
                         of_object<Answer>(std::move(object), [keys = std::move(keys)](View& view, PendingPlan& plan) {
                           return view.omap_get(plan, keys);
                         }));
}

Task<Result<OmapPage>> Filestore::omap_list(ObjectId object, std::string after, std::string from, std::size_t count_max,
                                            std::size_t bytes_max) {
  return observe<OmapPage>(
      count_max <= 64, of_object<OmapPage>(std::move(object), [after = std::move(after), from = std::move(from),
                                                               count_max, bytes_max](View& view, PendingPlan& plan) {
        return view.omap_list(plan, after, from, count_max, bytes_max);
      }));
}

Task<Result<std::uint32_t>> Filestore::digest(ObjectId object, std::uint64_t offset, std::uint64_t length) {
  return observe<std::uint32_t>(
      false, of_object<std::uint32_t>(std::move(object), [offset, length](View& view, PendingPlan& plan) {
        return view.digest(plan, offset, length);
      }));
}

Task<Result<std::vector<Extent>>> Filestore::verify(ObjectId object, std::uint64_t offset, std::uint64_t length) {
  using Answer = std::vector<Extent>;
  if (offset % limits::block_bytes) co_return Errc::invalid;
  Result<ObjectStat> found = co_await stat(object);
  if (!found) co_return found.error();
  std::uint64_t end = std::min(found->size, length > ~offset ? ~std::uint64_t{0} : offset + length);
  if (end < found->size && end % limits::block_bytes) co_return Errc::invalid;
  auto allocated = co_await extents(object, offset, end > offset ? end - offset : 0);
  Answer all;
  // In steps, for what does not verify is looked at again while nothing is applied.
  for (constexpr std::uint64_t step = 4 << 20; offset < end; offset += step) {
    std::uint64_t here = std::min(step, end - offset);
    if (allocated && !overlaps(*allocated, offset, here)) continue;
    Answer bad;
    Result<bool> done = co_await observe<bool>(
        false, of_object<bool>(object, [offset, here, &bad](View& view, PendingPlan& plan) -> Result<bool> {
          TRY(view.verify(plan, offset, here, bad));
          return true;
        }));
    if (!done && bad.empty()) co_return done.error();
    all.insert(all.end(), bad.begin(), bad.end());
  }
  co_return all;
}

std::optional<unsigned> Filestore::bits_of(const CollectionId& collection) const {
  std::lock_guard lock(mutex_);
  auto it = collections_.find(collection);
  return it == collections_.end() ? std::nullopt : std::optional(it->second);
}

Task<Result<ObjectPage>> Filestore::list(CollectionId collection, std::optional<ObjectId> start,
                                         std::size_t count_max) {
  std::optional<unsigned> bits = bits_of(collection);
  if (!bits) co_return Errc::not_found;
  key::Range range = key::objects(collection, *bits);
  if (start) range.first = std::max(range.first, key::object(*start));
  if (!range.last.empty() && range.first >= range.last) co_return ObjectPage{};
  Result<ObjectPage> page = co_await observe<ObjectPage>(false, [range, count_max](ReadContext& context) {
    auto pending = context.plans(range);
    return context.view.list(range, pending, count_max);
  });
  co_return page;
}

Task<Result<std::vector<CollectionInfo>>> Filestore::collections() {
  std::vector<CollectionInfo> all;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, bits] : collections_) all.push_back({id, bits});
  }
  co_return all;
}

Task<Result<std::map<std::string, Buffer>>> Filestore::collection_get(CollectionId collection,
                                                                      std::set<std::string> keys) {
  using Answer = std::map<std::string, Buffer>;
  if (!bits_of(collection)) co_return Errc::not_found;
  bool few = keys.size() <= 64;
  Result<Answer> answer = co_await observe<Answer>(few, [collection, keys = std::move(keys)](ReadContext& context) {
    CollectionPlan plan = context.collection_plan(collection);
    return context.view.collection_get(collection, plan, keys);
  });
  co_return answer;
}

Task<Result<OmapPage>> Filestore::collection_list(CollectionId collection, std::string after, std::size_t count_max) {
  if (!bits_of(collection)) co_return Errc::not_found;
  Result<OmapPage> page =
      co_await observe<OmapPage>(count_max <= 64, [collection, after, count_max](ReadContext& context) {
        CollectionPlan plan = context.collection_plan(collection);
        return context.view.collection_list(collection, plan, after, count_max);
      });
  co_return page;
}

/// For submit(): on the caller's thread, from memory as a rule.
Result<bool> Filestore::object_exists(const std::string& key) {
  return insist<bool>([&key](ReadContext& context) {
    auto plan = context.plan(key);
    return context.view.exists(*plan);
  });
}

Result<bool> Filestore::collection_empty(const CollectionId& collection, const std::set<std::string>& except) {
  std::optional<unsigned> bits = bits_of(collection);
  if (!bits) return true;  // check_collections() says what is wrong
  key::Range range = key::objects(collection, *bits);
  for (;;) {
    Result<ObjectPage> page = insist<ObjectPage>([&range](ReadContext& context) {
      auto pending = context.plans(range);
      return context.view.list(range, pending, 100);
    });
    TRY(page);
    for (const ObjectId& object : page->objects)
      if (!except.contains(key::object(object))) return false;
    if (!page->next) return true;
    range.first = key::object(*page->next);
  }
}

}  // namespace spirula::filestore
