#include "tests/crash/store_model.h"

#include <cstring>

#include "base/check.h"

namespace spirula::crash {
namespace {

using T = Transaction;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

ModelObject& changeable(ModelCollection& collection, const ObjectId& id) {
  std::shared_ptr<ModelObject>& object = collection.objects[id];
  if (!object) object = std::make_shared<ModelObject>();
  if (object.use_count() > 1) object = std::make_shared<ModelObject>(*object);
  return *object;
}

void write(std::string& data, std::uint64_t offset, std::string_view bytes) {
  if (bytes.empty()) return;
  if (data.size() < offset + bytes.size()) data.resize(offset + bytes.size());
  std::memcpy(data.data() + offset, bytes.data(), bytes.size());
}

template <class Map>
void erase_range(Map& map, const std::string& first, const std::string& last) {
  if (first < last) map.erase(map.lower_bound(first), map.lower_bound(last));
}

}  // namespace

bool lies_in(std::uint32_t hash, const CollectionId& collection, unsigned bits) {
  std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
  return (hash & mask) == (collection.seed & mask);
}

const ModelCollection* StoreModel::find(const CollectionId& collection) const {
  auto found = collections_.find(collection);
  return found == collections_.end() ? nullptr : &found->second;
}

void StoreModel::apply(const CollectionId& collection, const Transaction& transaction) {
  for (const T::Operation& operation : transaction.operations()) {
    if (const auto* on = std::get_if<T::OnObject>(&operation)) {
      CHECK(collections_.contains(collection));
      apply_to(collections_[collection], on->object, on->operation);
    } else {
      apply_to(collection, std::get<T::CollectionOperation>(operation));
    }
  }
}

void StoreModel::apply_to(ModelCollection& collection, const ObjectId& id, const T::ObjectOperation& operation) {
  auto object = [&]() -> ModelObject& { return changeable(collection, id); };
  auto exists = [&] { return collection.objects.contains(id); };
  std::visit(Overloaded{
                 [&](const T::Touch&) { object(); },
                 [&](const T::Write& o) { write(object().data, o.offset, o.data.flatten().text()); },
                 [&](const T::Zero& o) { write(object().data, o.offset, std::string(o.length, '\0')); },
                 [&](const T::Truncate& o) { object().data.resize(o.size); },
                 [&](const T::Remove&) { collection.objects.erase(id); },
                 [&](const T::SetAttributes& o) {
                   for (const auto& [name, value] : o.values) object().attributes[name] = value.to_string();
                 },
                 [&](const T::RemoveAttribute& o) {
                   if (exists()) object().attributes.erase(o.name);
                 },
                 [&](const T::RemoveAllAttributes&) {
                   if (exists()) object().attributes.clear();
                 },
                 [&](const T::Clone& o) { collection.objects[id] = collection.objects.at(o.source); },
                 [&](const T::CloneRange& o) {
                   std::string piece = collection.objects.at(o.source)->data.substr(o.source_offset, o.length);
                   CHECK(piece.size() == o.length);
                   write(object().data, o.offset, piece);
                 },
                 [&](const T::OmapSet& o) {
                   for (const auto& [key, value] : o.values) object().omap[key] = value.to_string();
                 },
                 [&](const T::OmapRemove& o) {
                   if (!exists()) return;
                   for (const std::string& key : o.keys) object().omap.erase(key);
                 },
                 [&](const T::OmapRemoveRange& o) {
                   if (exists()) erase_range(object().omap, o.first, o.last);
                 },
                 [&](const T::OmapClear&) {
                   if (!exists()) return;
                   object().omap.clear();
                   object().omap_header.clear();
                 },
                 [&](const T::OmapSetHeader& o) { object().omap_header = o.value.to_string(); },
                 [&](const T::Rename& o) {
                   collection.objects[id] = collection.objects.at(o.source);
                   collection.objects.erase(o.source);
                 },
             },
             operation);
}

void StoreModel::apply_to(const CollectionId& id, const T::CollectionOperation& operation) {
  std::visit(Overloaded{
                 [&](const T::CreateCollection& o) { collections_[id].bits = o.bits; },
                 [&](const T::RemoveCollection&) { collections_.erase(id); },
                 [&](const T::SplitCollection& o) {
                   ModelCollection& parent = collections_[id];
                   ModelCollection& child = collections_[o.child];
                   parent.bits = child.bits = o.bits;
                   for (auto& [name, object] : parent.objects)
                     if (lies_in(name.hash, o.child, o.bits)) child.objects[name] = std::move(object);
                   std::erase_if(parent.objects, [](const auto& each) { return !each.second; });
                 },
                 [&](const T::MergeCollection& o) {
                   ModelCollection& parent = collections_[id];
                   parent.bits = o.bits;
                   parent.objects.merge(collections_[o.from].objects);
                   collections_.erase(o.from);
                 },
                 [&](const T::CollectionSet& o) {
                   for (const auto& [name, value] : o.values) collections_[id].metadata[name] = value.to_string();
                 },
                 [&](const T::CollectionRemove& o) {
                   for (const std::string& name : o.keys) collections_[id].metadata.erase(name);
                 },
                 [&](const T::CollectionRemoveRange& o) { erase_range(collections_[id].metadata, o.first, o.last); },
             },
             operation);
}

}  // namespace spirula::crash
