#include "osd/map_history.h"

#include <fmt/format.h>

#include "base/coroutine.h"
#include "base/log.h"
#include "osd/limits.h"

namespace spirula::osd {
namespace {

using filestore::Transaction;

constexpr const char* superblock_key = "superblock";
std::string full_key(Epoch epoch) {
  return fmt::format("map.full.{:08x}", epoch.value);
}
std::string incremental_key(Epoch epoch) {
  return fmt::format("map.incremental.{:08x}", epoch.value);
}

}  // namespace

msg::OsdMapMessage MapView::message_for(Epoch have) const {
  msg::OsdMapMessage message;
  message.fsid = map->fsid;
  message.oldest = oldest;
  message.newest = map->epoch;
  auto from = incrementals.find(have.next());
  std::uint32_t behind = map->epoch.value - std::min(have.value, map->epoch.value);
  if (have.value && from != incrementals.end() && behind <= limits::maps_per_message)
    message.incrementals.insert(from, incrementals.end());
  else
    message.full.emplace(map->epoch, full);
  return message;
}

Task<Result<>> MapHistory::format(filestore::ObjectStore& store, Superblock superblock) {
  Transaction transaction;
  transaction.create_collection(0);
  std::map<std::string, Buffer> values;
  values.emplace(superblock_key, encode(superblock));
  transaction.collection_set(std::move(values));
  Result<> stored = co_await store.submit(collection(), std::move(transaction));
  co_return stored;
}

Task<Result<>> MapHistory::load() {
  std::set<std::string> keys{superblock_key};
  auto values = co_await store_.collection_get(collection(), std::move(keys));
  CO_TRY(values);
  auto found = values->find(superblock_key);
  if (found == values->end()) co_return Errc::malformed;
  CO_TRY(superblock_, decode<Superblock>(found->second));
  if (superblock_.newest_map == Epoch{}) co_return Result<>{};

  auto view = std::make_shared<MapView>();
  std::set<std::string> wanted{full_key(superblock_.newest_map)};
  std::uint32_t oldest =
      std::max(superblock_.oldest_map.value,
               superblock_.newest_map.value - std::min(superblock_.newest_map.value - 1, limits::maps_per_message));
  for (std::uint32_t epoch = oldest; epoch <= superblock_.newest_map.value; ++epoch)
    wanted.insert(incremental_key(Epoch(epoch)));
  auto maps = co_await store_.collection_get(collection(), std::move(wanted));
  CO_TRY(maps);
  view->full = (*maps)[full_key(superblock_.newest_map)];
  CO_TRY(auto map, maps::OsdMap::decode_map(view->full));
  view->map = std::make_shared<const maps::OsdMap>(std::move(map));
  view->oldest = superblock_.oldest_map;
  for (std::uint32_t epoch = superblock_.newest_map.value; epoch >= oldest; --epoch) {
    auto incremental = maps->find(incremental_key(Epoch(epoch)));
    if (incremental == maps->end()) break;
    view->incrementals.emplace(Epoch(epoch), incremental->second);
  }
  view_ = std::move(view);
  co_return Result<>{};
}

Task<Result<std::vector<MapViewRef>>> MapHistory::take(const msg::OsdMapMessage& message) {
  std::vector<MapViewRef> fresh;
  Transaction transaction;
  transaction.space = filestore::Space::reserve;
  std::map<std::string, Buffer> values;
  Superblock superblock = superblock_;
  MapViewRef last = view_;
  for (;;) {
    Epoch have = last ? last->map->epoch : Epoch{};
    auto next = std::make_shared<MapView>();
    auto incremental = message.incrementals.find(have.next());
    if (last && incremental != message.incrementals.end()) {
      CO_TRY(auto change, maps::OsdMapIncremental::decode_map(incremental->second));
      maps::OsdMap map = *last->map;
      CO_TRY(map.apply(change));
      next->full = map.encode_map();
      next->map = std::make_shared<const maps::OsdMap>(std::move(map));
      next->incrementals = last->incrementals;
      next->incrementals.emplace(incremental->first, incremental->second);
      values.emplace(incremental_key(incremental->first), incremental->second);
    } else {
      auto full = message.full.upper_bound(have);
      if (full == message.full.end()) break;
      CO_TRY(auto map, maps::OsdMap::decode_map(full->second));
      if (map.epoch != full->first) co_return Errc::malformed;
      next->full = full->second;
      next->map = std::make_shared<const maps::OsdMap>(std::move(map));
      if (last && full->first == have.next()) next->incrementals = last->incrementals;
    }
    while (next->incrementals.size() > limits::maps_per_message) next->incrementals.erase(next->incrementals.begin());
    if (next->map->fsid != superblock.cluster) co_return Errc::invalid;
    values.emplace(full_key(next->map->epoch), next->full);
    superblock.newest_map = next->map->epoch;
    if (superblock.oldest_map == Epoch{}) superblock.oldest_map = next->map->epoch;
    std::set<std::string> gone;
    while (superblock.newest_map.value - superblock.oldest_map.value >= limits::maps_kept) {
      gone.insert(full_key(superblock.oldest_map));
      gone.insert(incremental_key(superblock.oldest_map));
      ++superblock.oldest_map;
    }
    if (!gone.empty()) transaction.collection_remove(std::move(gone));
    next->oldest = superblock.oldest_map;
    last = next;
    fresh.push_back(std::move(next));
  }
  if (fresh.empty()) co_return fresh;
  values.emplace(superblock_key, encode(superblock));
  transaction.collection_set(std::move(values));
  // Before the wait: note_mounted() may come meanwhile, and what it writes comes after this in the store.
  superblock_ = superblock;
  Result<> stored = co_await store_.submit(collection(), std::move(transaction));
  CO_TRY(stored);
  view_ = last;
  co_return fresh;
}

Task<Result<OsdMapRef>> MapHistory::find(Epoch epoch) {
  if (view_ && view_->map->epoch == epoch) co_return view_->map;
  auto map = co_await read(store_, epoch);
  co_return map;
}

Task<Result<OsdMapRef>> MapHistory::read(filestore::ObjectStore& store, Epoch epoch) {
  std::set<std::string> keys{full_key(epoch)};
  auto values = co_await store.collection_get(collection(), std::move(keys));
  CO_TRY(values);
  auto found = values->find(full_key(epoch));
  if (found == values->end()) co_return Errc::not_found;
  CO_TRY(auto map, maps::OsdMap::decode_map(found->second));
  co_return std::make_shared<const maps::OsdMap>(std::move(map));
}

Task<Result<>> MapHistory::note_mounted(Epoch epoch) {
  superblock_.mounted = epoch;
  Transaction transaction;
  transaction.space = filestore::Space::reserve;
  std::map<std::string, Buffer> values;
  values.emplace(superblock_key, encode(superblock_));
  transaction.collection_set(std::move(values));
  Result<> stored = co_await store_.submit(collection(), std::move(transaction));
  co_return stored;
}

}  // namespace spirula::osd
