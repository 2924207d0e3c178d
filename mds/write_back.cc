#include "mds/write_back.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "base/coroutine.h"
#include "mds/parallel.h"

namespace spirula::mds {

namespace {

constexpr std::uint64_t sessions_per_read = 1024;
constexpr std::size_t names_per_update = 1024;
constexpr std::uint64_t writes_in_flight = 16;
const char* const sessions_object = "mds0_sessions";
const char* const table_object = "mds0_inotable";

struct InoTable {
  static constexpr std::uint8_t version = 1, compat = 1;
  Ino next;
  static void fields(auto& self, auto& wire) { wire(self.next); }
};

std::string session_key(ClientId client) {
  return fmt::format("{:016x}", client.value);
}

}  // namespace

Task<Result<>> WriteBack::open() {
  std::string after;
  for (;;) {
    Result<MetadataStore::Names> page = co_await store_.names(sessions_object, after, sessions_per_read);
    if (!page && page.error() == Errc::not_found) break;
    if (!page) co_return page.error();
    for (const auto& [key, value] : page->values) {
      CO_TRY(SessionRecord record, decode<SessionRecord>(value));
      sessions_[record.info.client] = std::move(record);
      after = key;
    }
    if (!page->more) break;
  }
  CO_TRY(next_ino_written_, co_await stored_next_ino());
  next_ino_ = std::max(next_ino_, next_ino_written_);
  co_return Result<>{};
}

Task<Result<Ino>> WriteBack::stored_next_ino() {
  Result<Buffer> table = co_await store_.read(table_object);
  if (!table && table.error() == Errc::not_found) co_return Ino{0};
  if (!table) co_return table.error();
  CO_TRY(InoTable record, decode<InoTable>(*table));
  co_return record.next;
}

Task<Result<>> WriteBack::format(Ino first) {
  Result<Ino> used = co_await stored_next_ino();
  if (!used && used.error() != Errc::malformed) co_return used.error();
  next_ino_ = std::max(first, used.value_or(first));
  std::vector<std::string> objects{sessions_object, table_object};
  for (Ino ino : {inos::super, inos::root, inos::stray}) objects.push_back(MetadataStore::directory_object(ino));
  for (const std::string& object : objects) CO_TRY(co_await store_.remove(object));
  co_return Result<>{};
}

void WriteBack::index(const DentryUpdate& update, bool add, BatchId batch) {
  if (!update.record) {
    // A purged inode has nothing left to cut, and as a directory no names, of which a replay brings back those that it
    // had; its entry among the strays is named by its number.
    std::uint64_t number = 0;
    const std::string& name = update.at.name;
    if (add && update.at.dir == inos::stray &&
        std::from_chars(name.data(), name.data() + name.size(), number, 16).ec == std::errc{}) {
      truncating_.erase(Ino{number});
      forget(Ino{number});
    }
    return;
  }
  Result<DentryRecord> record = decode<DentryRecord>(*update.record);
  if (!record || record->kind != DentryRecord::Kind::primary) return;
  if (add) {
    places_[record->inode.ino] = update.at;
    if (record->inode.truncate_from)
      truncating_.try_emplace(record->inode.ino, batch);
    else
      truncating_.erase(record->inode.ino);
  } else {
    auto it = places_.find(record->inode.ino);
    if (it != places_.end() && it->second == update.at) places_.erase(it);
  }
}

void WriteBack::apply(const Batch& batch) {
  for (const DentryUpdate& update : batch.dentries) {
    auto [it, fresh] = directories_[update.at.dir].try_emplace(EntryKey(update.at.name));
    Entry& entry = it->second;
    if (fresh) {
      entry.first = batch.id;
      ++waiting_;
    } else {
      index({update.at, entry.record, false}, false, batch.id);
      waiting_bytes_ -= bytes_of(it->first, entry);
    }
    entry.record = update.record;
    waiting_bytes_ += bytes_of(it->first, entry);
    entry.placed |= update.placed;
    entry.last = batch.id;
    index(update, true, batch.id);
  }
  for (const SessionUpdate& update : batch.sessions) {
    dirty_sessions_.try_emplace(update.client, batch.id);
    if (update.kind == SessionUpdate::Kind::opened) {
      if (update.info) sessions_[update.client].info = *update.info;
      continue;
    }
    if (update.kind == SessionUpdate::Kind::closed) {
      sessions_.erase(update.client);
      continue;
    }
    auto it = sessions_.find(update.client);
    if (it == sessions_.end()) continue;
    SessionProgress& progress = it->second.progress;
    switch (update.kind) {
      case SessionUpdate::Kind::request_done:
        progress.requests[update.tid] = update.made;
        break;
      case SessionUpdate::Kind::flush_done:
        progress.flushes.insert(update.tid);
        break;
      case SessionUpdate::Kind::forget_requests:
        progress.requests.erase(progress.requests.begin(), progress.requests.lower_bound(update.tid));
        break;
      case SessionUpdate::Kind::forget_flushes:
        progress.flushes.erase(progress.flushes.begin(), progress.flushes.lower_bound(update.tid));
        break;
      default:
        break;
    }
  }
  next_ino_ = std::max(next_ino_, batch.next_ino);
}

void WriteBack::forget(Ino dir) {
  auto it = directories_.find(dir);
  if (it == directories_.end()) return;
  waiting_ -= it->second.size();
  for (const auto& [key, entry] : it->second) waiting_bytes_ -= bytes_of(key, entry);
  directories_.erase(it);
}

std::size_t WriteBack::bytes_of(const EntryKey& key, const Entry& entry) {
  // The entry, the place of its inode, and what the allocator adds to both and to the record.
  return sizeof(Names::value_type) + sizeof(std::pair<const Ino, Location>) + 160 + key.name.size() +
         (entry.record ? entry.record->size() : 0);
}

void WriteBack::end_reading(Ino dir) {
  auto it = readings_.find(dir);
  if (--it->second.readers == 0) readings_.erase(it);
}

Task<Result<WriteBack::Page>> WriteBack::read_names(Ino dir, EntryKey after, std::uint64_t count_max) {
  ++readings_[dir].readers;
  Result<MetadataStore::Names> stored =
      co_await store_.names(MetadataStore::directory_object(dir), after.stored(), count_max);
  std::map<EntryKey, std::optional<Buffer>> names;
  Page page;
  if (stored) {
    for (auto& [key, value] : stored->values) names[EntryKey::from_stored(key)] = std::move(value);
    if (stored->more && !names.empty()) page.last = names.rbegin()->first;
  }
  // What waits here is newer than the object.
  auto overlay = [&](const auto& newer, auto record_of) {
    for (auto it = newer.upper_bound(after); it != newer.end() && (!page.last || it->first <= *page.last); ++it)
      names[it->first] = record_of(it->second);
  };
  overlay(readings_[dir].left, [](const std::optional<Buffer>& record) { return record; });
  if (auto it = directories_.find(dir); it != directories_.end())
    overlay(it->second, [](const Entry& entry) { return entry.record; });
  end_reading(dir);
  if (!stored && stored.error() != Errc::not_found) co_return stored.error();
  for (auto& [key, value] : names) {
    if (!value) continue;
    CO_TRY(DentryRecord record, decode<DentryRecord>(*value));
    page.records.emplace(key, std::move(record));
  }
  co_return page;
}

Task<Result<std::optional<DentryRecord>>> WriteBack::read_name(Ino dir, EntryKey name) {
  auto waiting = [&]() -> const std::optional<Buffer>* {
    auto names = directories_.find(dir);
    if (names == directories_.end()) return nullptr;
    auto entry = names->second.find(name);
    return entry == names->second.end() ? nullptr : &entry->second.record;
  };
  std::optional<Buffer> record;
  if (const std::optional<Buffer>* known = waiting()) {
    record = *known;
  } else {
    ++readings_[dir].readers;
    Result<Buffer> stored = co_await store_.name(MetadataStore::directory_object(dir), name.stored());
    const Reading& reading = readings_[dir];
    auto left = reading.left.find(name);
    if (const std::optional<Buffer>* newer = waiting())
      record = *newer;
    else if (left != reading.left.end())
      record = left->second;
    else if (stored)
      record = *stored;
    end_reading(dir);
    if (!stored && stored.error() != Errc::not_found) co_return stored.error();
  }
  if (!record) co_return std::optional<DentryRecord>();
  CO_TRY(DentryRecord decoded, decode<DentryRecord>(*record));
  co_return std::optional<DentryRecord>(std::move(decoded));
}

Task<Result<std::vector<Location>>> WriteBack::find(Ino ino, std::vector<std::int64_t> data_pools) {
  if (auto it = places_.find(ino); it != places_.end()) co_return std::vector<Location>{it->second};
  data_pools.insert(data_pools.begin(), -1);
  std::vector<Location> found;
  for (std::int64_t pool : data_pools) {
    Result<Buffer> value = co_await store_.parent(pool, MetadataStore::data_object(ino, 0));
    if (!value && value.error() == Errc::not_found) continue;
    if (!value) co_return value.error();
    Result<Backtrace> trace = decode<Backtrace>(*value);
    if (trace && trace->ino == ino && std::ranges::find(found, trace->at) == found.end()) found.push_back(trace->at);
  }
  // It may have got a record here meanwhile.
  if (auto it = places_.find(ino); it != places_.end()) co_return std::vector<Location>{it->second};
  if (found.empty()) co_return Errc::not_found;
  co_return found;
}

BatchId WriteBack::oldest(BatchId otherwise) const {
  BatchId oldest = otherwise;
  for (const auto& [dir, names] : directories_)
    for (const auto& [name, entry] : names) oldest = std::min(oldest, entry.first);
  for (const auto& [ino, first] : truncating_) oldest = std::min(oldest, first);
  for (const auto& [client, first] : dirty_sessions_) oldest = std::min(oldest, first);
  return oldest;
}

Task<Result<>> WriteBack::flush_backtrace(Backtrace trace, std::int64_t pool, bool is_dir) {
  if (!is_dir) co_return co_await store_.set_parent(pool, MetadataStore::data_object(trace.ino, 0), encode(trace));
  MetadataStore::NamesUpdate update;
  update.parent = encode(trace);
  co_return co_await store_.update_names(MetadataStore::directory_object(trace.ino), std::move(update));
}

WriteBack::Piece WriteBack::next_piece(Ino dir, const EntryKey* after) const {
  Piece piece;
  auto found = directories_.find(dir);
  if (found == directories_.end()) return piece;
  const Names& names = found->second;
  std::size_t bytes = 0;
  for (auto it = after ? names.upper_bound(*after) : names.begin(); it != names.end(); ++it) {
    bytes += it->first.name.size() + (it->second.record ? it->second.record->size() : 0);
    if (!piece.empty() && (piece.size() == names_per_update || bytes > limits::names_update_bytes_max)) break;
    piece.emplace_back(it->first, it->second);
  }
  return piece;
}

/// What has reached the directory's object waits no longer, unless it changed meanwhile.
void WriteBack::piece_is_stored(Ino dir, const Piece& piece) {
  Names& names = directories_[dir];
  for (const auto& [key, written] : piece) {
    auto it = names.find(key);
    CHECK(it != names.end());  // what waits leaves in a flush only (or by forget(), which excludes one)
    if (it->second.last == written.last) {
      index({{dir, key.name}, it->second.record, false}, false, written.last);
      if (auto reading = readings_.find(dir); reading != readings_.end()) reading->second.left[key] = it->second.record;
      waiting_bytes_ -= bytes_of(key, it->second);
      --waiting_;
      names.erase(it);
    } else {
      it->second.first = it->second.last;  // only what came since is still missing
    }
  }
  if (names.empty()) directories_.erase(dir);
}

/// A piece at a time, in the order of names, so that what is stored soon takes no memory any more.
Task<Result<>> WriteBack::flush_directory(Ino dir) {
  std::optional<EntryKey> done;
  for (;;) {
    const Piece piece = next_piece(dir, done ? &*done : nullptr);
    if (piece.empty()) co_return Result<>{};
    // Backtraces first: as long as the record waits here it is found without one.
    Parallel traces(shard_, writes_in_flight);
    for (const auto& [key, entry] : piece) {
      if (!entry.placed || !entry.record) continue;
      Result<DentryRecord> record = decode<DentryRecord>(*entry.record);
      if (!record || record->kind != DentryRecord::Kind::primary || dir == inos::super || dir == inos::stray) continue;
      const InodeRecord& inode = record->inode;
      std::int64_t pool = inode.is_file() ? inode.layout.pool : -1;
      if (!co_await traces.room()) break;
      traces.spawn(flush_backtrace({inode.ino, {dir, key.name}}, pool, inode.is_dir()));
    }
    CO_TRY(co_await traces.join());
    MetadataStore::NamesUpdate update;
    for (const auto& [key, entry] : piece) {
      if (entry.record)
        update.set[key.stored()] = *entry.record;
      else
        update.remove.insert(key.stored());
    }
    CO_TRY(co_await store_.update_names(MetadataStore::directory_object(dir), std::move(update)));
    piece_is_stored(dir, piece);
    done = piece.back().first;
  }
}

Task<Result<>> WriteBack::flush_sessions() {
  if (next_ino_written_ != next_ino_) {
    Ino next = next_ino_;
    CO_TRY(co_await store_.write_full(table_object, encode(InoTable{next})));
    next_ino_written_ = next;
  }
  if (dirty_sessions_.empty()) co_return Result<>{};
  // (Not one by one from the list: it grows meanwhile.)
  std::map<ClientId, BatchId> dirty = std::exchange(dirty_sessions_, {});
  while (!dirty.empty()) {
    MetadataStore::NamesUpdate update;
    std::size_t bytes = 0;
    while (!dirty.empty() && bytes < limits::names_update_bytes_max) {
      const ClientId client = dirty.begin()->first;
      dirty.erase(dirty.begin());
      auto it = sessions_.find(client);
      if (it == sessions_.end()) {
        update.remove.insert(session_key(client));
        continue;
      }
      Buffer record = encode(it->second);
      bytes += record.size();
      update.set[session_key(client)] = std::move(record);
    }
    CO_TRY(co_await store_.update_names(sessions_object, std::move(update)));
  }
  co_return Result<>{};
}

Task<Result<>> WriteBack::flush() {
  CO_TRY(co_await flush_sessions());
  std::vector<Ino> dirs;
  for (const auto& [dir, names] : directories_) dirs.push_back(dir);
  Parallel writes(shard_, writes_in_flight);
  for (Ino dir : dirs) {
    if (!co_await writes.room()) break;
    writes.spawn(flush_directory(dir));
  }
  co_return co_await writes.join();
}

}  // namespace spirula::mds
