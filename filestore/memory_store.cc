#include "filestore/memory_store.h"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <cstring>
#include <functional>
#include <type_traits>

#include "base/coroutine.h"
#include "filestore/admission.h"
#include "filestore/digest.h"
#include "filestore/key.h"
#include "filestore/limits.h"

namespace spirula::filestore {
namespace asio = boost::asio;
namespace {

using T = Transaction;
using limits::block_bytes;

/// Data by block: what is not there reads as zeros, so a sparse object of any size is small.
struct Data {
  std::uint64_t size = 0;
  std::map<std::uint64_t, Buffer> blocks;

  void copy_out(std::uint64_t offset, std::span<std::byte> into) const {
    std::memset(into.data(), 0, into.size());
    for (auto it = blocks.lower_bound(offset / block_bytes); it != blocks.end(); ++it) {
      std::uint64_t begin = std::max(it->first * block_bytes, offset);
      std::uint64_t end = std::min((it->first + 1) * block_bytes, offset + into.size());
      if (begin >= end) break;
      std::memcpy(into.data() + (begin - offset), it->second.data() + begin % block_bytes, end - begin);
    }
  }
  void copy_in(std::uint64_t offset, ByteView from) {
    for (std::uint64_t at = 0; at < from.size();) {
      std::uint64_t number = (offset + at) / block_bytes, inside = (offset + at) % block_bytes;
      std::uint64_t here = std::min<std::uint64_t>(block_bytes - inside, from.size() - at);
      Buffer& block = blocks[number];
      Buffer fresh = block.empty() ? Buffer::zeros(block_bytes) : Buffer::copy_of(block.view());  // others may share it
      std::memcpy(fresh.mutable_data() + inside, from.data() + at, here);
      block = std::move(fresh);
      at += here;
    }
    if (!from.empty()) size = std::max(size, offset + from.size());
  }
  void erase(std::uint64_t offset, std::uint64_t length) {
    std::uint64_t end = offset + length;
    for (auto it = blocks.lower_bound(offset / block_bytes); it != blocks.end() && it->first * block_bytes < end;) {
      std::uint64_t begin = it->first * block_bytes;
      if (begin >= offset && begin + block_bytes <= end) {
        it = blocks.erase(it);
        continue;
      }
      Buffer fresh = Buffer::copy_of(it->second.view());
      std::uint64_t from = std::max(begin, offset), to = std::min(begin + block_bytes, end);
      std::memset(fresh.mutable_data() + (from - begin), 0, to - from);
      it->second = std::move(fresh);
      ++it;
    }
  }
};

struct Object {
  Data data;
  std::map<std::string, Buffer> attributes, omap;
  Buffer header;
};
struct Collection {
  unsigned bits = 0;
  std::map<std::string, Buffer> entries;
};

void erase_range(std::map<std::string, Buffer>& map, const std::string& first, const std::string& last) {
  if (first < last) map.erase(map.lower_bound(first), map.lower_bound(last));
}
OmapPage page_of(const std::map<std::string, Buffer>& map, const std::string& after, const std::string& from,
                 std::size_t count_max, std::size_t bytes_max) {
  OmapPage page;
  std::size_t bytes = 0;
  auto it = map.lower_bound(std::max(from, after));
  if (!after.empty() && it != map.end() && it->first == after) ++it;
  for (; it != map.end(); ++it) {
    if (page.entries.size() >= count_max || bytes >= bytes_max) {
      page.more = true;
      break;
    }
    bytes += it->first.size() + it->second.size();
    page.entries.push_back(*it);
  }
  return page;
}

struct State {
  std::map<ObjectId, Object> objects;
  std::map<CollectionId, Collection> collections;

  bool empty(const CollectionId& id, unsigned bits) const {
    return std::ranges::none_of(objects, [&](const auto& each) { return collection_holds(id, bits, each.first); });
  }

  /// All of it, or an error and half of it: the caller keeps what was before.
  Result<> apply(const CollectionId& id, const T& transaction) {
    for (const T::Operation& each : transaction.operations()) {
      if (const auto* on = std::get_if<T::OnObject>(&each)) {
        TRY(apply(on->object, on->operation));
      } else {
        TRY(apply(id, std::get<T::CollectionOperation>(each)));
      }
    }
    return {};
  }

  Result<> apply(const ObjectId& id, const T::ObjectOperation& operation) {
    if (const ObjectId* source = source_of(operation))
      if (!objects.contains(*source)) return Errc::not_found;
    if (makes_object(operation)) objects.try_emplace(id);
    auto it = objects.find(id);
    if (it == objects.end()) return {};
    Object& object = it->second;
    std::visit(
        [&]<class Operation>(const Operation& o) {
          if constexpr (std::is_same_v<Operation, T::Write>) {
            object.data.copy_in(o.offset, o.data.flatten().view());
          } else if constexpr (std::is_same_v<Operation, T::Zero>) {
            object.data.erase(o.offset, o.length);
            if (o.length) object.data.size = std::max(object.data.size, o.offset + o.length);
          } else if constexpr (std::is_same_v<Operation, T::Truncate>) {
            if (o.size < object.data.size) object.data.erase(o.size, object.data.size - o.size);
            object.data.size = o.size;
          } else if constexpr (std::is_same_v<Operation, T::Remove>) {
            objects.erase(it);
          } else if constexpr (std::is_same_v<Operation, T::SetAttributes>) {
            for (const auto& [name, value] : o.values) object.attributes[name] = value;
          } else if constexpr (std::is_same_v<Operation, T::RemoveAttribute>) {
            object.attributes.erase(o.name);
          } else if constexpr (std::is_same_v<Operation, T::RemoveAllAttributes>) {
            object.attributes.clear();
          } else if constexpr (std::is_same_v<Operation, T::Clone>) {
            Object copy = objects.at(o.source);
            object = std::move(copy);
          } else if constexpr (std::is_same_v<Operation, T::CloneRange>) {
            const Data& from = objects.at(o.source).data;
            Buffer bytes = Buffer::zeros(o.length);
            std::uint64_t there =
                o.source_offset < from.size ? std::min(o.length, from.size - o.source_offset) : std::uint64_t{0};
            if (there) from.copy_out(o.source_offset, {bytes.mutable_data(), there});
            object.data.copy_in(o.offset, bytes.view());
          } else if constexpr (std::is_same_v<Operation, T::OmapSet>) {
            for (const auto& [name, value] : o.values) object.omap[name] = value;
          } else if constexpr (std::is_same_v<Operation, T::OmapRemove>) {
            for (const std::string& name : o.keys) object.omap.erase(name);
          } else if constexpr (std::is_same_v<Operation, T::OmapRemoveRange>) {
            erase_range(object.omap, o.first, o.last);
          } else if constexpr (std::is_same_v<Operation, T::OmapClear>) {
            object.omap.clear();
            object.header = {};
          } else if constexpr (std::is_same_v<Operation, T::OmapSetHeader>) {
            object.header = o.value;
          } else if constexpr (std::is_same_v<Operation, T::Rename>) {
            if (o.source == id) return;
            object = std::move(objects.at(o.source));
            objects.erase(o.source);
          } else {
            static_assert(std::is_same_v<Operation, T::Touch>);
          }
        },
        operation);
    return {};
  }

  Result<> apply(const CollectionId& id, const T::CollectionOperation& operation) {
    return std::visit(
        [&]<class Operation>(const Operation& o) -> Result<> {
          if constexpr (std::is_same_v<Operation, T::CreateCollection>) {
            collections[id] = {o.bits, {}};
          } else if constexpr (std::is_same_v<Operation, T::RemoveCollection>) {
            if (!empty(id, collections[id].bits)) return Errc::not_empty;
            collections.erase(id);
          } else if constexpr (std::is_same_v<Operation, T::SplitCollection>) {
            collections[id].bits = o.bits;
            collections[o.child] = {o.bits, {}};
          } else if constexpr (std::is_same_v<Operation, T::MergeCollection>) {
            collections[id].bits = o.bits;
            collections.erase(o.from);
          } else if constexpr (std::is_same_v<Operation, T::CollectionSet>) {
            for (const auto& [name, value] : o.values) collections[id].entries[name] = value;
          } else if constexpr (std::is_same_v<Operation, T::CollectionRemove>) {
            for (const std::string& name : o.keys) collections[id].entries.erase(name);
          } else {
            static_assert(std::is_same_v<Operation, T::CollectionRemoveRange>);
            erase_range(collections[id].entries, o.first, o.last);
          }
          return {};
        },
        operation);
  }
};

class Implementation final : public MemoryStore {
 public:
  Task<Result<>> submit(CollectionId collection, Transaction transaction) override {
    Result<> admitted = admit(collection, transaction);
    if (!admitted || !held_) return finished(admitted);
    auto waiter = std::make_shared<Waiter>();
    waiting_.push_back(waiter);
    return until(std::move(waiter));
  }

  Task<Result<BufferList>> read(ObjectId object, std::uint64_t offset, std::uint64_t length) override {
    const Object* found = find(object);
    if (!found) co_return Errc::not_found;
    if (offset >= found->data.size || length == 0) co_return BufferList{};
    length = std::min(length, found->data.size - offset);
    Buffer bytes = Buffer::allocate(length);
    found->data.copy_out(offset, {bytes.mutable_data(), length});
    co_return BufferList(std::move(bytes));
  }
  Task<Result<ObjectStat>> stat(ObjectId object) override {
    const Object* found = find(object);
    if (!found) co_return Errc::not_found;
    co_return ObjectStat{found->data.size};
  }
  Task<Result<std::vector<Extent>>> extents(ObjectId object, std::uint64_t offset, std::uint64_t length) override {
    const Object* found = find(object);
    if (!found) co_return Errc::not_found;
    std::vector<Extent> extents;
    std::uint64_t end = std::min(found->data.size, offset + length);
    for (const auto& [number, block] : found->data.blocks) {
      std::uint64_t from = std::max(number * block_bytes, offset), to = std::min((number + 1) * block_bytes, end);
      if (from >= to) continue;
      if (!extents.empty() && extents.back().offset + extents.back().length == from) {
        extents.back().length += to - from;
      } else {
        extents.push_back({from, to - from});
      }
    }
    co_return extents;
  }
  Task<Result<std::uint32_t>> digest(ObjectId object, std::uint64_t offset, std::uint64_t length) override {
    const Object* found = find(object);
    if (!found) co_return Errc::not_found;
    std::uint64_t size = found->data.size;
    length = offset < size ? std::min(length, size - offset) : 0;
    if (offset % block_bytes || (offset + length < size && length % block_bytes)) co_return Errc::invalid;
    Digest digest(length);
    for (auto it = found->data.blocks.lower_bound(offset / block_bytes); it != found->data.blocks.end(); ++it) {
      std::uint64_t begin = it->first * block_bytes;
      if (begin >= offset + length) break;
      digest.add_data((begin - offset) / block_bytes,
                      it->second.view().first(std::min<std::uint64_t>(block_bytes, offset + length - begin)));
    }
    co_return digest.finish();
  }
  Task<Result<std::vector<Extent>>> verify(ObjectId object, std::uint64_t, std::uint64_t) override {
    if (!find(object)) co_return Errc::not_found;
    co_return std::vector<Extent>{};
  }
  Task<Result<Buffer>> get_attribute(ObjectId object, std::string name) override {
    const Object* found = find(object);
    if (!found) co_return Errc::not_found;
    auto it = found->attributes.find(name);
    if (it == found->attributes.end()) co_return Errc::no_data;
    co_return it->second;
  }
  Task<Result<std::map<std::string, Buffer>>> get_attributes(ObjectId object) override {
    const Object* found = find(object);
    if (!found) co_return Errc::not_found;
    co_return found->attributes;
  }
  Task<Result<Buffer>> omap_header(ObjectId object) override {
    const Object* found = find(object);
    if (!found) co_return Errc::not_found;
    co_return found->header;
  }
  Task<Result<std::map<std::string, Buffer>>> omap_get(ObjectId object, std::set<std::string> keys) override {
    const Object* found = find(object);
    if (!found) co_return Errc::not_found;
    co_return some_of(found->omap, keys);
  }
  Task<Result<OmapPage>> omap_list(ObjectId object, std::string after, std::string from, std::size_t count_max,
                                   std::size_t bytes_max) override {
    const Object* found = find(object);
    if (!found) co_return Errc::not_found;
    co_return page_of(found->omap, after, from, count_max, bytes_max);
  }
  Task<Result<ObjectPage>> list(CollectionId collection, std::optional<ObjectId> start,
                                std::size_t count_max) override {
    auto held = live_.collections.find(collection);
    if (held == live_.collections.end()) co_return Errc::not_found;
    ObjectPage page;
    auto it = start ? live_.objects.lower_bound(*start) : live_.objects.begin();
    for (; it != live_.objects.end(); ++it) {
      if (!collection_holds(collection, held->second.bits, it->first)) continue;
      if (page.objects.size() >= count_max) {
        page.next = it->first;
        break;
      }
      page.objects.push_back(it->first);
    }
    co_return page;
  }
  Task<Result<std::vector<CollectionInfo>>> collections() override {
    std::vector<CollectionInfo> all;
    for (const auto& [id, collection] : live_.collections) all.push_back({id, collection.bits});
    co_return all;
  }
  Task<Result<std::map<std::string, Buffer>>> collection_get(CollectionId collection,
                                                             std::set<std::string> keys) override {
    auto it = live_.collections.find(collection);
    if (it == live_.collections.end()) co_return Errc::not_found;
    co_return some_of(it->second.entries, keys);
  }
  Task<Result<OmapPage>> collection_list(CollectionId collection, std::string after, std::size_t count_max) override {
    auto it = live_.collections.find(collection);
    if (it == live_.collections.end()) co_return Errc::not_found;
    co_return page_of(it->second.entries, after, "", count_max, limits::transaction_bytes_max);
  }

  std::uint64_t transaction_bytes_max() const override { return limits::transaction_bytes_max; }
  Result<std::shared_ptr<SpaceReservation>> reserve(std::uint64_t, Space) override {
    return SpaceReservation::unlimited();
  }
  StoreStatistics statistics() override {
    std::uint64_t used = 0;
    for (const auto& [id, object] : live_.objects) used += object.data.blocks.size() * block_bytes;
    constexpr std::uint64_t total = std::uint64_t{1} << 40;  // as if: nothing here refuses for space
    return {total, used, total - used, live_.objects.size()};
  }
  Task<Result<>> commit() override { co_return Result<>{}; }
  Task<> stop() override {
    release_durability();
    co_return;
  }

  void hold_durability() override {
    if (held_) return;
    held_ = true;
    durable_ = live_;
  }
  void release_durability() override {
    held_ = false;
    durable_ = {};
    settle({});
  }
  void crash() override {
    if (!held_) return;
    live_ = durable_;
    settle(Errc::io);
  }

 private:
  struct Waiter {
    std::optional<Result<>> outcome;
    std::move_only_function<void()> resume;
  };

  static Task<Result<>> finished(Result<> result) { co_return result; }
  static Task<Result<>> until(std::shared_ptr<Waiter> waiter) {
    if (!waiter->outcome) {
      co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
          [&waiter](auto handler) {
            auto executor = asio::get_associated_executor(handler);
            waiter->resume = [handler = std::move(handler), executor]() mutable {
              asio::post(executor, std::move(handler));
            };
          },
          asio::use_awaitable);
    }
    co_return *waiter->outcome;
  }
  void settle(Result<> outcome) {
    auto waiting = std::move(waiting_);
    waiting_.clear();
    for (auto& each : waiting) {
      each->outcome = outcome;
      if (each->resume) each->resume();
    }
  }

  /// Checks and applies to the live state, or changes nothing.
  Result<> admit(const CollectionId& collection, const T& transaction) {
    TRY(check_limits(transaction));
    auto bits_of = [this](const CollectionId& id) {
      auto it = live_.collections.find(id);
      return it == live_.collections.end() ? std::nullopt : std::optional(it->second.bits);
    };
    TRY(check_collections(collection, transaction, bits_of));
    // What it may touch, as it was: buffers are shared, so this copies maps, not data.
    std::map<ObjectId, std::optional<Object>> objects;
    auto keep = [&](const ObjectId& id) {
      auto it = live_.objects.find(id);
      objects.try_emplace(id, it == live_.objects.end() ? std::nullopt : std::optional(it->second));
    };
    bool may_fail = false, collections_change = false;
    for (const T::Operation& each : transaction.operations()) {
      if (const auto* on = std::get_if<T::OnObject>(&each)) {
        keep(on->object);
        if (const ObjectId* source = source_of(on->operation)) {
          keep(*source);
          may_fail = true;
        }
      } else {
        collections_change = true;
        may_fail |= std::holds_alternative<T::RemoveCollection>(std::get<T::CollectionOperation>(each));
      }
    }
    std::optional<std::map<CollectionId, Collection>> collections;
    if (may_fail && collections_change) collections = live_.collections;
    Result<> applied = live_.apply(collection, transaction);
    if (applied) return applied;
    for (auto& [id, object] : objects) {
      if (object) {
        live_.objects[id] = std::move(*object);
      } else {
        live_.objects.erase(id);
      }
    }
    if (collections) live_.collections = std::move(*collections);
    return applied;
  }

  const Object* find(const ObjectId& id) const {
    auto it = live_.objects.find(id);
    return it == live_.objects.end() ? nullptr : &it->second;
  }
  static std::map<std::string, Buffer> some_of(const std::map<std::string, Buffer>& map,
                                               const std::set<std::string>& keys) {
    std::map<std::string, Buffer> found;
    for (const std::string& name : keys)
      if (auto it = map.find(name); it != map.end()) found.insert(*it);
    return found;
  }

  State live_;
  State durable_;  ///< while held: what a crash goes back to
  bool held_ = false;
  std::vector<std::shared_ptr<Waiter>> waiting_;
};

}  // namespace

std::unique_ptr<MemoryStore> MemoryStore::make() {
  return std::make_unique<Implementation>();
}

}  // namespace spirula::filestore
