#pragma once
#include <deque>
#include <functional>

#include "base/coroutine.h"
#include "base/wait.h"
#include "filestore/object_store.h"
#include "osd/interpreter.h"

namespace spirula::osd {

/// The least that keeps ObjectStore's promises: everything in maps, durable at once unless held. For tests.
class StoreForTests : public ObjectStore {
 public:
  struct Object {
    std::string data;
    std::map<std::string, Buffer> attributes, omap;
    Buffer header;
  };
  std::map<ObjectId, Object> objects;
  std::map<CollectionId, std::map<std::string, Buffer>> metadata;
  std::map<CollectionId, unsigned> bits;
  std::size_t submitted = 0;
  Errc refuse = Errc::ok;
  Errc refuse_removal = Errc::ok;  ///< of objects and collections
  bool hold = false;
  Event released;

  Task<Result<>> submit(CollectionId collection, Transaction transaction) override {
    ++submitted;
    Errc refused = refuse;
    if (refuse_removal != Errc::ok && removes(transaction)) refused = refuse_removal;
    if (refused == Errc::ok)
      for (const auto& operation : transaction.operations()) {
        if (auto* on = std::get_if<Transaction::OnObject>(&operation))
          apply(on->object, on->operation);
        else
          apply(collection, std::get<Transaction::CollectionOperation>(operation));
      }
    return wait(refused);
  }
  Task<Result<std::uint32_t>> digest(ObjectId, std::uint64_t, std::uint64_t) override { co_return Errc::unsupported; }
  Task<Result<std::vector<Extent>>> verify(ObjectId, std::uint64_t, std::uint64_t) override {
    co_return std::vector<Extent>{};
  }
  Task<Result<BufferList>> read(ObjectId object, std::uint64_t offset, std::uint64_t length) override {
    auto it = objects.find(object);
    if (it == objects.end()) co_return Errc::not_found;
    if (offset >= it->second.data.size()) co_return BufferList{};
    co_return BufferList{Buffer::copy_of(std::string_view(it->second.data).substr(offset, length))};
  }
  Task<Result<filestore::ObjectStat>> stat(ObjectId object) override {
    auto it = objects.find(object);
    if (it == objects.end()) co_return Errc::not_found;
    co_return filestore::ObjectStat{it->second.data.size()};
  }
  Task<Result<std::vector<Extent>>> extents(ObjectId object, std::uint64_t offset, std::uint64_t length) override {
    auto it = objects.find(object);
    if (it == objects.end()) co_return Errc::not_found;
    std::uint64_t size = it->second.data.size();
    std::vector<Extent> all;
    if (offset < size && length) all.push_back({offset, std::min(length, size - offset)});
    co_return all;
  }
  Task<Result<Buffer>> get_attribute(ObjectId object, std::string name) override {
    auto it = objects.find(object);
    if (it == objects.end()) co_return Errc::not_found;
    auto found = it->second.attributes.find(name);
    if (found == it->second.attributes.end()) co_return Errc::no_data;
    co_return found->second;
  }
  Task<Result<Attributes>> get_attributes(ObjectId object) override {
    auto it = objects.find(object);
    if (it == objects.end()) co_return Errc::not_found;
    co_return it->second.attributes;
  }
  Task<Result<Buffer>> omap_header(ObjectId object) override { co_return objects[object].header; }
  Task<Result<std::map<std::string, Buffer>>> omap_get(ObjectId object, std::set<std::string> keys) override {
    std::map<std::string, Buffer> found;
    for (const auto& [key, value] : objects[object].omap)
      if (keys.contains(key)) found.emplace(key, value);
    co_return found;
  }
  Task<Result<OmapPage>> omap_list(ObjectId object, std::string after, std::string from, std::size_t count_max,
                                   std::size_t) override {
    co_return page(objects[object].omap, after, from, count_max);
  }
  Task<Result<ObjectPage>> list(CollectionId collection, std::optional<ObjectId> start,
                                std::size_t count_max) override {
    ObjectPage found;
    for (auto it = start ? objects.lower_bound(*start) : objects.begin(); it != objects.end(); ++it) {
      std::uint32_t mask = (1u << bits[collection]) - 1;
      if (it->first.pool != collection.pool || (it->first.hash & mask) != collection.seed) continue;
      if (found.objects.size() == count_max) {
        found.next = it->first;
        break;
      }
      found.objects.push_back(it->first);
    }
    co_return found;
  }
  Task<Result<std::vector<filestore::CollectionInfo>>> collections() override {
    std::vector<filestore::CollectionInfo> all;
    for (auto [id, count] : bits) all.push_back({id, count});
    co_return all;
  }
  Task<Result<std::map<std::string, Buffer>>> collection_get(CollectionId collection,
                                                             std::set<std::string> keys) override {
    std::map<std::string, Buffer> found;
    for (const auto& [key, value] : metadata[collection])
      if (keys.contains(key)) found.emplace(key, value);
    co_return found;
  }
  Task<Result<OmapPage>> collection_list(CollectionId collection, std::string after, std::size_t count_max) override {
    co_return page(metadata[collection], after, "", count_max);
  }
  Task<Result<>> commit() override { co_return Result<>{}; }
  Result<std::shared_ptr<filestore::SpaceReservation>> reserve(std::uint64_t, filestore::Space) override {
    return filestore::SpaceReservation::unlimited();
  }
  filestore::StoreStatistics statistics() override { return {1 << 30, 0, 1 << 30, objects.size()}; }
  std::uint64_t transaction_bytes_max() const override { return 80 << 20; }
  Task<> stop() override { co_return; }

 private:
  static bool removes(const Transaction& transaction) {
    for (const auto& operation : transaction.operations()) {
      auto* on = std::get_if<Transaction::OnObject>(&operation);
      if (on && std::holds_alternative<Transaction::Remove>(on->operation)) return true;
      auto* all = std::get_if<Transaction::CollectionOperation>(&operation);
      if (all && std::holds_alternative<Transaction::RemoveCollection>(*all)) return true;
    }
    return false;
  }
  Task<Result<>> wait(Errc refused) {
    if (hold) (void)co_await released.wait();
    if (refused != Errc::ok) co_return refused;
    co_return Result<>{};
  }
  static OmapPage page(const std::map<std::string, Buffer>& all, const std::string& after, const std::string& from,
                       std::size_t count_max) {
    OmapPage found;
    for (const auto& [key, value] : all) {
      if (key <= after && !(after.empty() && key.empty())) continue;
      if (key < from) continue;
      if (found.entries.size() == count_max) {
        found.more = true;
        break;
      }
      found.entries.emplace_back(key, value);
    }
    return found;
  }
  void apply(const ObjectId& id, const Transaction::ObjectOperation& operation) {
    std::visit(
        [&]<class T>(const T& op) {
          using X = Transaction;
          if constexpr (std::is_same_v<T, X::Remove>) {
            objects.erase(id);
          } else if constexpr (std::is_same_v<T, X::Clone>) {
            objects[id] = Object(objects.at(op.source));
          } else if constexpr (std::is_same_v<T, X::RemoveAttribute>) {
            if (objects.contains(id)) objects[id].attributes.erase(op.name);
          } else {
            Object& object = objects[id];
            if constexpr (std::is_same_v<T, X::Write>) {
              Buffer data = op.data.flatten();
              if (object.data.size() < op.offset + data.size()) object.data.resize(op.offset + data.size());
              object.data.replace(op.offset, data.size(), data.text());
            } else if constexpr (std::is_same_v<T, X::Zero>) {
              if (object.data.size() < op.offset + op.length) object.data.resize(op.offset + op.length);
              object.data.replace(op.offset, op.length, std::string(op.length, '\0'));
            } else if constexpr (std::is_same_v<T, X::Truncate>) {
              object.data.resize(op.size);
            } else if constexpr (std::is_same_v<T, X::SetAttributes>) {
              for (const auto& [name, value] : op.values) object.attributes[name] = value;
            } else if constexpr (std::is_same_v<T, X::RemoveAllAttributes>) {
              object.attributes.clear();
            } else if constexpr (std::is_same_v<T, X::OmapSet>) {
              for (const auto& [name, value] : op.values) object.omap[name] = value;
            } else if constexpr (std::is_same_v<T, X::OmapRemove>) {
              for (const auto& key : op.keys) object.omap.erase(key);
            } else if constexpr (std::is_same_v<T, X::OmapRemoveRange>) {
              object.omap.erase(object.omap.lower_bound(op.first), object.omap.lower_bound(op.last));
            } else if constexpr (std::is_same_v<T, X::OmapClear>) {
              object.omap.clear();
              object.header = {};
            } else if constexpr (std::is_same_v<T, X::OmapSetHeader>) {
              object.header = op.value;
            }
          }
        },
        operation);
  }
  void apply(const CollectionId& id, const Transaction::CollectionOperation& operation) {
    using X = Transaction;
    if (auto* create = std::get_if<X::CreateCollection>(&operation)) {
      bits[id] = create->bits;
    } else if (std::holds_alternative<X::RemoveCollection>(operation)) {
      bits.erase(id);
      metadata.erase(id);
    } else if (auto* set = std::get_if<X::CollectionSet>(&operation)) {
      for (const auto& [key, value] : set->values) metadata[id][key] = value;
    } else if (auto* remove = std::get_if<X::CollectionRemove>(&operation)) {
      for (const auto& key : remove->keys) metadata[id].erase(key);
    } else if (auto* range = std::get_if<X::CollectionRemoveRange>(&operation)) {
      auto& all = metadata[id];
      all.erase(all.lower_bound(range->first), all.lower_bound(range->last));
    }
  }
};

}  // namespace spirula::osd
