#include "filestore/model.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/coroutine.h"

namespace spirula::filestore::testing {
namespace {

using T = Transaction;

/// Two of them are split and merged: while split, the odd objects of pool 1 belong to the second.
constexpr CollectionId whole{1, 0}, odd{1, 1}, other{2, 0}, own{-1, 0};

/// Empty if both agree: on success and value, or on the error.
template <class V>
std::string compare(const char* what, const Result<V>& store, const Result<V>& model, bool& both) {
  both = store && model;
  if (store.has_value() != model.has_value())
    return fmt::format("{}: store {}, model {}", what, store ? "has it" : store.error().message(),
                       model ? "has it" : model.error().message());
  if (!store && to_wire(store.error()) != to_wire(model.error()))
    return fmt::format("{}: store {}, model {}", what, store.error().message(), model.error().message());
  return {};
}

}  // namespace

std::vector<RandomWork::Submit> RandomWork::prepare() {
  std::vector<Submit> work;
  for (const CollectionId& id : {whole, other, own}) {
    T make;
    make.create_collection(0);
    work.push_back({id, std::move(make)});
  }
  return work;
}

CollectionId RandomWork::some_collection() {
  switch (random_.below(8)) {
    case 0:
      return own;
    case 1:
    case 2:
      return other;
    default:
      return split_ && random_.below(2) ? odd : whole;
  }
}

ObjectId RandomWork::some_object(const CollectionId& collection) {
  ObjectId id;
  id.pool = collection.pool;
  auto number = static_cast<std::uint32_t>(random_.below(12));
  if (collection.pool == 1 && split_) number = number * 2 + collection.seed;
  id.hash = number * 0x9e3779b0u + number;  // the low bit is the number's
  if (number % 5 == 4) id.name_space = std::string("n\0s", 3);
  if (number % 7 == 6) id.key = "key";
  id.name = fmt::format("object{}", number);
  if (number == 3) id.name = std::string(4000, '\xff') + std::string("\0\1", 2);
  id.snap = random_.below(3) ? ~std::uint64_t{1} : random_.below(2);
  return id;
}

BufferList RandomWork::data(std::uint64_t length) {
  BufferList list;
  while (length > 0) {  // in pieces of any size and alignment
    std::uint64_t here = random_.below(3) ? length : random_.below(length) + 1;
    Buffer piece = Buffer::allocate(here);
    random_.fill({piece.mutable_data(), here});
    list.append(std::move(piece));
    length -= here;
  }
  return list;
}

std::uint64_t RandomWork::some_offset() {
  const std::uint64_t choices[] = {object_bytes_max_, 48 << 10, limits::slab_bytes_max};
  std::uint64_t limit = choices[random_.below(3)];
  std::uint64_t offset = random_.below(limit);
  return random_.below(2) ? offset : offset / 4096 * 4096;
}
std::uint64_t RandomWork::some_length() {
  switch (random_.below(10)) {
    case 0:
      return 0;
    case 1:
      return 4096;
    case 2:
      return random_.below(object_bytes_max_ / 2);
    case 3:
      return (random_.below(16) + 1) * 4096;
    default:
      return random_.below(12'000);
  }
}
std::string RandomWork::some_key() {
  std::uint64_t number = random_.below(40);
  if (number == 0) return std::string("\0z", 2);
  return fmt::format("k{:02}", number);
}

T::ObjectOperation RandomWork::some_operation(const CollectionId& collection) {
  switch (random_.below(24)) {
    case 0:
      return T::Touch{};
    case 1:
    case 2: {
      T::Zero o{some_offset(), some_length()};
      return o;
    }
    case 3:
    case 4:
      return T::Truncate{some_offset()};
    case 5:
      return T::Remove{};
    case 6:
    case 7: {
      T::SetAttributes o;
      for (std::uint64_t i = random_.below(3); i <= 2; ++i) o.values[some_key()] = data(random_.below(300)).flatten();
      return o;
    }
    case 8:
      return T::RemoveAttribute{some_key()};
    case 9:
      if (random_.below(4) == 0) return T::RemoveAllAttributes{};
      return T::Touch{};
    case 10:
      return T::Clone{some_object(collection)};
    case 11:
    case 12: {
      T::CloneRange o{some_object(collection), some_offset(), some_length(), some_offset()};
      if (random_.below(2)) {
        o.source_offset = o.source_offset / 4096 * 4096 + 17;
        o.offset = o.offset / 4096 * 4096 + 17;
        o.length += 40'000;
      }
      return o;
    }
    case 13:
    case 14:
    case 15: {
      T::OmapSet o;
      for (std::uint64_t i = random_.below(6); i <= 5; ++i) o.values[some_key()] = data(random_.below(200)).flatten();
      return o;
    }
    case 16: {
      T::OmapRemove o;
      for (int i = 0; i < 3; ++i) o.keys.insert(some_key());
      return o;
    }
    case 17: {
      T::OmapRemoveRange o{some_key(), some_key()};
      return o;
    }
    case 18:
      if (random_.below(3) == 0) return T::OmapClear{};
      return T::Touch{};
    case 19:
      return T::OmapSetHeader{data(random_.below(100)).flatten()};
    case 20:
      return T::Rename{some_object(collection)};
    default: {
      std::uint64_t offset = some_offset();
      return T::Write{offset, data(some_length())};
    }
  }
}

RandomWork::Submit RandomWork::next() {
  Submit work;
  ++count_;
  if (random_.below(60) == 0) {  // split or merge
    work.collection = whole;
    if (split_) {
      work.transaction.add(T::MergeCollection{0, odd});
    } else {
      work.transaction.add(T::SplitCollection{1, odd});
    }
    split_ = !split_;
    return work;
  }
  work.collection = some_collection();
  if (random_.below(200) == 0) {
    work.transaction.remove_collection();  // not empty, most likely
    return work;
  }
  for (std::uint64_t i = random_.below(4); i < 4; ++i) {
    if (random_.below(6) == 0) {
      T::CollectionOperation operation = T::CollectionSet{{{some_key(), data(random_.below(200)).flatten()}}};
      if (random_.below(3) == 0) operation = T::CollectionRemove{{some_key(), some_key()}};
      if (random_.below(6) == 0) operation = T::CollectionRemoveRange{some_key(), some_key()};
      work.transaction.add(std::move(operation));
    }
    ObjectId object = some_object(work.collection);
    T::ObjectOperation operation = some_operation(work.collection);
    // Most copies are made between objects of one hash, and the store knows that.
    if (random_.below(4) != 0) {
      ObjectId source = object;
      source.snap = random_.below(3) ? ~std::uint64_t{1} : random_.below(2);
      if (auto* clone = std::get_if<T::Clone>(&operation)) clone->source = source;
      if (auto* rename = std::get_if<T::Rename>(&operation); rename && random_.below(2)) rename->source = source;
    }
    work.transaction.add(std::move(object), std::move(operation));
  }
  return work;
}

Task<std::string> difference(ObjectStore& store, ObjectStore& model, ObjectId object) {
  bool both = false;
  auto stat = co_await store.stat(object);
  auto model_stat = co_await model.stat(object);
  std::string found = compare("stat", stat, model_stat, both);
  if (!both) co_return found.empty() ? found : object.describe() + ": " + found;
  auto say = [&](const std::string& text) { return fmt::format("{}: {}", object.describe(), text); };
  if (stat->size != model_stat->size) co_return say(fmt::format("size {} is not {}", stat->size, model_stat->size));

  auto data = co_await store.read(object, 0, stat->size + 10);
  auto model_data = co_await model.read(object, 0, stat->size + 10);
  if (found = compare("read", data, model_data, both); !both) co_return say(found);
  Buffer bytes = data->flatten(), model_bytes = model_data->flatten();
  if (bytes != model_bytes) {
    auto at = std::ranges::mismatch(bytes.view(), model_bytes.view()).in1 - bytes.view().begin();
    co_return say(
        fmt::format("data differ at {} of {} ({} and {} bytes)", at, stat->size, bytes.size(), model_bytes.size()));
  }
  auto extents = co_await store.extents(object, 0, stat->size + 10);
  if (!extents) co_return say("extents: " + extents.error().message());
  std::uint64_t at = 0;
  for (const Extent& each : *extents) {
    if (each.offset < at || each.length == 0 || each.offset + each.length > stat->size) co_return say("bad extents");
    ByteView hole = bytes.view().subspan(at, each.offset - at);
    if (std::ranges::any_of(hole, [](std::byte b) { return b != std::byte{}; })) co_return say("data outside extents");
    at = each.offset + each.length;
  }
  if (std::ranges::any_of(bytes.view().subspan(at), [](std::byte b) { return b != std::byte{}; }))
    co_return say("data outside extents");

  auto digest = co_await store.digest(object, 0, ~std::uint64_t{0});
  auto model_digest = co_await model.digest(object, 0, ~std::uint64_t{0});
  if (found = compare("digest", digest, model_digest, both); !both) co_return say(found);
  if (*digest != *model_digest) co_return say("digests differ");
  std::uint64_t middle = stat->size / 2 / 4096 * 4096;
  digest = co_await store.digest(object, middle, 8192);
  model_digest = co_await model.digest(object, middle, 8192);
  if (found = compare("digest", digest, model_digest, both); !both) co_return say(found);
  if (*digest != *model_digest) co_return say(fmt::format("digests from {} differ", middle));

  auto attributes = co_await store.get_attributes(object);
  auto model_attributes = co_await model.get_attributes(object);
  if (found = compare("attributes", attributes, model_attributes, both); !both) co_return say(found);
  if (*attributes != *model_attributes) co_return say("attributes differ");
  auto header = co_await store.omap_header(object);
  auto model_header = co_await model.omap_header(object);
  if (found = compare("header", header, model_header, both); !both) co_return say(found);
  if (*header != *model_header) co_return say("omap headers differ");
  std::string after;
  std::set<std::string> keys;
  for (bool more = true; more;) {
    auto page = co_await store.omap_list(object, after, "", 7, 1'000);
    auto model_page = co_await model.omap_list(object, after, "", 7, 1'000);
    if (found = compare("omap", page, model_page, both); !both) co_return say(found);
    if (page->entries != model_page->entries || page->more != model_page->more)
      co_return say(fmt::format("omap pages after '{}' differ: {} and {} entries", after, page->entries.size(),
                                model_page->entries.size()));
    for (const auto& [name, value] : page->entries) keys.insert(name);
    more = page->more;
    if (more) after = page->entries.back().first;
  }
  keys.insert("k05");
  auto entries = co_await store.omap_get(object, keys);
  auto model_entries = co_await model.omap_get(object, keys);
  if (found = compare("omap get", entries, model_entries, both); !both) co_return say(found);
  if (*entries != *model_entries) co_return say("omap entries differ");
  co_return std::string{};
}

Task<std::string> difference(ObjectStore& store, ObjectStore& model, CollectionId collection, bool deep) {
  bool both = false;
  auto entries = co_await store.collection_list(collection, "", 1'000);
  auto model_entries = co_await model.collection_list(collection, "", 1'000);
  std::string found = compare("collection", entries, model_entries, both);
  if (!both) co_return found.empty() ? found : collection.describe() + ": " + found;
  if (entries->entries != model_entries->entries) co_return collection.describe() + ": metadata differ";
  std::optional<ObjectId> start;
  do {
    auto page = co_await store.list(collection, start, 7);
    auto model_page = co_await model.list(collection, start, 7);
    found = compare("list", page, model_page, both);
    if (!both) co_return collection.describe() + ": " + found;
    if (page->objects != model_page->objects || page->next != model_page->next)
      co_return fmt::format("{}: lists differ after {} ({} and {} objects)", collection.describe(),
                            start ? start->describe() : "the start", page->objects.size(), model_page->objects.size());
    if (deep) {
      for (const ObjectId& object : page->objects) {
        found = co_await difference(store, model, object);
        if (!found.empty()) co_return found;
      }
    }
    start = page->next;
  } while (start);
  co_return std::string{};
}

Task<std::string> difference(ObjectStore& store, ObjectStore& model) {
  auto all = co_await store.collections();
  auto model_all = co_await model.collections();
  if (!all || !model_all) co_return std::string("collections: an error");
  auto same = [](const CollectionInfo& a, const CollectionInfo& b) { return a.id == b.id && a.bits == b.bits; };
  if (!std::ranges::equal(*all, *model_all, same)) co_return std::string("collections differ");
  for (const CollectionInfo& each : *all) {
    std::string found = co_await difference(store, model, each.id, true);
    if (!found.empty()) co_return found;
  }
  co_return std::string{};
}

}  // namespace spirula::filestore::testing
