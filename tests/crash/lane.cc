#include "tests/crash/lane.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace spirula::crash {
namespace {

using T = Transaction;

constexpr std::uint64_t names_per_lane = 32;
constexpr std::uint64_t kibibyte = 1024, mebibyte = 1024 * kibibyte;
constexpr std::uint64_t head_snap = ~std::uint64_t{1};  // CEPH_NOSNAP
constexpr std::uint64_t large_index = 14;               // and the next: a head and its clone
constexpr unsigned steps_per_change = 20, operations_max = 4;

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t x = a * 0x9e3779b97f4a7c15 + b + 0x632be59bd9b4e019;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// Different in every sector, but cheap: the checks make all of it again.
Buffer random_bytes(Random& random, std::uint64_t size) {
  constexpr std::uint64_t sector = 512;
  Buffer bytes = Buffer::allocate(size);
  if (size == 0) return bytes;
  std::byte* to = bytes.mutable_data();
  random.fill({to, std::min(size, sector)});
  for (std::uint64_t at = sector; at < size; at += sector) {
    std::memcpy(to + at, to, std::min(sector, size - at));
    if (size - at >= sizeof at) std::memcpy(to + at, &at, sizeof at);
  }
  return bytes;
}

/// Mostly small, with ends on and off block boundaries. A few objects are large, so that the journal goes round without
/// there being much to compare at each crash point.
std::uint64_t random_length(Random& random, bool large) {
  std::uint64_t dice = random.below(100);
  std::uint64_t bound = dice < 60 ? 4 * kibibyte : dice < 90 ? 40 * kibibyte : 200 * kibibyte;
  if (large && dice >= 20) bound = 2 * mebibyte;
  std::uint64_t length = 1 + random.below(bound);
  return random.below(2) ? length : (length + 4095) / 4096 * 4096;
}

std::uint64_t random_offset(Random& random, std::uint64_t size) {
  std::uint64_t offset = random.below(size + 8 * kibibyte);
  return random.below(2) ? offset : offset / 4096 * 4096;
}

std::string small_key(Random& random) {
  return fmt::format("key{:02}", random.below(20));
}

}  // namespace

CollectionId Lane::collection(Role role) const {
  std::int64_t pool = 1 + lane_;
  if (role == spare) return {1000 + pool, 0};
  return {pool, role == child ? 1u : 0u};
}

ObjectId Lane::object_name(std::uint64_t index) const {
  ObjectId id;
  id.pool = 1 + lane_;
  id.hash = static_cast<std::uint32_t>(mix(lane_, index / 2));
  id.name = fmt::format("object{}", index / 2);
  id.snap = index % 2 ? 1 + index % 5 : head_snap;  // a head and one clone of each name
  if (index % 8 == 0) id.name_space = "name/space";
  if (index % 12 == 0) id.key = std::string("k\0y", 3);
  return id;
}

ObjectId Lane::pick_object(Random& random, const CollectionId& id) const {
  unsigned bits = model_.find(id)->bits;
  for (;;) {
    bool large = large_ && random.below(2);
    ObjectId object = object_name(large ? large_index + random.below(2) : random.below(names_per_lane));
    object.pool = id.pool;
    if (lies_in(object.hash, id, bits)) return object;
  }
}

std::optional<ObjectId> Lane::pick_existing(Random& random, const CollectionId& id) const {
  for (int tries = 0; tries < 8; ++tries) {
    ObjectId object = pick_object(random, id);
    if (model_.find(id)->objects.contains(object)) return object;
  }
  return std::nullopt;
}

void Lane::add_operation(Random& random, const CollectionId& id, T& t) const {
  ObjectId object = pick_object(random, id);
  bool large = object.name == object_name(large_index).name;
  auto data_of = [&](const ObjectId& name) -> std::uint64_t {
    auto found = model_.find(id)->objects.find(name);
    return found == model_.find(id)->objects.end() ? 0 : found->second->data.size();
  };
  auto source = [&] {
    std::optional<ObjectId> name = pick_existing(random, id);
    if (name && *name == object) name.reset();
    return name;
  };
  std::uint64_t dice = random.below(100);
  if (dice < 40) {
    std::uint64_t length = random_length(random, large);
    t.write(object, random_offset(random, data_of(object)), random_bytes(random, length));
  } else if (dice < 44) {
    t.zero(object, random_offset(random, data_of(object)), random_length(random, large));
  } else if (dice < 48) {
    t.truncate(object, random_offset(random, data_of(object)));
  } else if (dice < 50) {
    t.touch(object);
  } else if (dice < 55) {
    t.remove(object);
  } else if (dice < 62) {
    t.set_attributes(object, {{small_key(random), random_bytes(random, random.below(200))},
                              {small_key(random), random_bytes(random, random.below(3000))}});
  } else if (dice < 64) {
    t.remove_attribute(object, small_key(random));
  } else if (dice < 65) {
    t.add(object, T::RemoveAllAttributes{});
  } else if (dice < 71) {
    auto from = source();
    if (random.below(2))  // clones share more with one of the same hash
      for (const auto& [name, content] : model_.find(id)->objects)
        if (name.hash == object.hash && name != object) from = name;
    if (from) t.clone(*from, object);
  } else if (dice < 76) {
    if (auto from = source(); from && data_of(*from)) {
      std::uint64_t start = random.below(data_of(*from));
      if (random.below(2)) start = start / 4096 * 4096;
      std::uint64_t length = 1 + random.below(data_of(*from) - start);
      std::uint64_t target = random.below(2) ? start : random_offset(random, data_of(object));
      t.add(object, T::CloneRange{*from, start, length, target});
    }
  } else if (dice < 85) {
    std::map<std::string, Buffer> values;
    for (std::uint64_t i = random.below(8); i < 8; ++i)
      values[small_key(random)] = random_bytes(random, random.below(i == 7 ? 9000 : 300));
    t.omap_set(object, std::move(values));
  } else if (dice < 88) {
    t.omap_remove(object, {small_key(random), small_key(random)});
  } else if (dice < 91) {
    t.add(object, T::OmapRemoveRange{small_key(random), small_key(random)});
  } else if (dice < 92) {
    t.omap_clear(object);
  } else if (dice < 95) {
    t.omap_set_header(object, random_bytes(random, random.below(500)));
  } else if (auto from = source()) {
    t.add(object, T::Rename{*from});
  }
}

/// Like a PG's log: entries are added at the end and trimmed at the front.
void Lane::add_metadata(Random& random, std::uint64_t number, T& t) const {
  auto entry = [](std::uint64_t at) { return fmt::format("log{:08}", at); };
  t.collection_set(
      {{"at", Buffer::copy_of(std::to_string(number))}, {entry(number), random_bytes(random, random.below(300))}});
  if (number % 16 == 0 && number > 50) t.add(T::CollectionRemoveRange{entry(0), entry(number - 50)});
  if (number % 16 == 8) t.collection_remove({entry(number - 3), entry(number - 5)});
}

/// The steps that change which collections there are.
bool Lane::change_collections(Random& random, Step& step) const {
  T& t = step.transaction;
  if (!model_.find(collection(parent))) {
    t.create_collection(0);
  } else if (random.below(steps_per_change) != 0) {
    return false;
  } else if (random.below(2)) {
    if (model_.find(collection(child)))
      t.add(T::MergeCollection{0, collection(child)});
    else
      t.add(T::SplitCollection{1, collection(child)});
  } else {
    step.role = spare;
    if (const ModelCollection* old = model_.find(collection(spare))) {
      for (const auto& [name, object] : old->objects) t.remove(name);
      t.remove_collection();
      step.removes = random.below(3) != 0;
      if (step.removes) return true;
    }
    t.create_collection(0);
    ObjectId object = object_name(random.below(names_per_lane));
    object.pool = collection(spare).pool;
    t.write(object, 0, random_bytes(random, random_length(random, large_)));
  }
  add_metadata(random, step.number, t);
  return true;
}

Lane::Step Lane::next() {
  Step step;
  step.number = ++number_;
  SeededRandom random(mix(mix(seed_, lane_), step.number));
  if (!change_collections(random, step)) {
    std::uint64_t dice = random.below(4);
    if (dice == 1 && model_.find(collection(child))) step.role = child;
    if (dice == 2 && model_.find(collection(spare))) step.role = spare;
    CollectionId id = collection(step.role);
    for (std::uint64_t i = 0, count = 1 + random.below(operations_max); i < count; ++i) {
      T one;
      add_operation(random, id, one);
      model_.apply(id, one);  // the next one may build on it
      for (const T::Operation& operation : one.operations()) {
        const auto& on = std::get<T::OnObject>(operation);
        step.transaction.add(on.object, on.operation);
      }
    }
    T metadata;
    add_metadata(random, step.number, metadata);
    model_.apply(id, metadata);
    for (const T::Operation& operation : metadata.operations())
      step.transaction.add(std::get<T::CollectionOperation>(operation));
  } else {
    model_.apply(collection(step.role), step.transaction);
  }
  step.collection = collection(step.role);
  return step;
}

std::string Lane::settle(const Progress& progress, const std::map<std::uint32_t, Bounds>& ledger) {
  std::array<Bounds, 3> bounds{};
  std::uint64_t last = number_;
  for (Role role : {parent, child, spare}) {
    auto found = ledger.find(ledger_lane(role));
    if (found != ledger.end()) bounds[role] = found->second;
    last = std::max(last, bounds[role].submitted);
  }
  for (Role role : {parent, child, spare})
    if (progress.at[role] > std::max(number_, bounds[role].submitted))
      return fmt::format("{} says step {}, but only {} were submitted", collection(role).describe(), progress.at[role],
                         bounds[role].submitted);

  // A collection's steps happen in order, so where it says how far it came, that is all. A child that is merged leaves
  // its word to the parent. A spare that is not there may have been removed any number of times: all of them look the
  // same, and the last one promises most.
  std::array<std::uint64_t, 3> kept = {number_, number_, number_};
  StoreModel have = model_;
  std::vector<Step> steps;
  std::uint64_t merged = 0, removed = 0;
  while (number_ < last) {
    Step step = next();
    bool merges = std::ranges::any_of(step.transaction.operations(), [](const T::Operation& each) {
      const auto* on = std::get_if<T::CollectionOperation>(&each);
      return on && std::holds_alternative<T::MergeCollection>(*on);
    });
    if (merges && step.number <= progress.at[parent]) merged = step.number;
    if (step.removes && step.number <= bounds[spare].submitted) removed = step.number;
    steps.push_back(std::move(step));
  }
  const std::array<std::uint64_t, 3> reached = {progress.at[parent], std::max(progress.at[child], merged),
                                                progress.exists[spare] ? progress.at[spare] : removed};
  for (const Step& step : steps) {
    if (step.number > reached[step.role]) continue;
    const auto* first = std::get_if<T::CollectionOperation>(&step.transaction.operations().front());
    if (!have.find(step.collection) && !(first && std::holds_alternative<T::CreateCollection>(*first)))
      return fmt::format("{} says step {}, but nothing made it", step.collection.describe(), step.number);
    have.apply(step.collection, step.transaction);
    kept[step.role] = step.number;
  }
  model_ = std::move(have);
  for (Role role : {parent, child, spare})
    if (kept[role] < bounds[role].acknowledged)
      return fmt::format("{}: step {} was acknowledged, only {} is there", collection(role).describe(),
                         bounds[role].acknowledged, kept[role]);
  return {};
}

}  // namespace spirula::crash
