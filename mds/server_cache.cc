#include "base/coroutine.h"
#include "base/log.h"
#include "mds/server.h"

namespace spirula::mds {

namespace {
constexpr std::size_t backtrace_depth_max = limits::path_depth_max;
constexpr std::uint64_t names_per_read = 4096, names_per_part = 1024;
constexpr std::size_t entry_bytes_guess = 1024;  ///< of a name and its inode in memory
constexpr std::size_t looks_per_request = 64, looks_per_tick = 100'000;
constexpr Duration cache_interval = std::chrono::seconds(1);
constexpr std::size_t caps_kept_min = 100;  ///< as Ceph's mds_min_caps_per_client
}  // namespace

/// Reading a directory at once is by far the fastest, unless it would push out most of what is here.
bool Server::is_loaded_whole(const Inode& dir) const {
  if (dir.ino() < inos::first && dir.ino() != inos::root) return true;
  return (dir.record.files + dir.record.subdirs) * entry_bytes_guess <= options_.cache_bytes_max / 4;
}

/// Files whose writer went before they came into memory.
void Server::taken_in(const std::vector<Inode*>& inodes) {
  if (phase_ != Phase::active) return;  // who brings caps back is not known yet
  for (Inode* inode : inodes)
    if (inode->record.writable_size && !is_written(*inode)) recover_size(*inode);
}

Task<Result<>> Server::load(Ino ino) {
  if (auto it = loading_.find(ino); it != loading_.end()) co_return co_await it->second->wait();
  Inode* dir = tree_.find(ino);
  if (!dir || !dir->is_dir()) co_return Result<>{};
  loading_[ino] = std::make_unique<WaitList>();
  tree_.begin_load(*dir);
  Result<> loaded;
  std::map<EntryKey, DentryRecord> records;
  EntryKey after;
  for (;;) {
    Result<WriteBack::Page> page = co_await write_back_.read_names(ino, after, names_per_read);
    if (!page) {
      loaded = page.error();
      break;
    }
    records.merge(std::move(page->records));
    if (!page->last) break;
    after = *page->last;
  }
  dir = tree_.find(ino);
  if (dir && dir->dir) {
    tree_.end_load(*dir);
    if (loaded) {
      auto taken = tree_.fill(*dir, std::move(records), EntryKey(), std::nullopt);
      if (taken)
        taken_in(*taken);
      else
        loaded = taken.error();
    }
  }
  std::unique_ptr<WaitList> waiters = std::move(loading_[ino]);
  loading_.erase(ino);
  waiters->wake_all();
  if (!loaded) log_error("mds", "directory 0x{:x} cannot be loaded: {}", ino.value, loaded.error().message());
  co_return loaded;
}

Task<Result<>> Server::load_entry(Ino ino, std::string name) {
  Inode* dir = tree_.find(ino);
  if (!dir || !dir->is_dir()) co_return Result<>{};
  if (is_loaded_whole(*dir)) co_return co_await load(ino);
  tree_.begin_load(*dir);
  EntryKey key(std::move(name));
  auto record = co_await write_back_.read_name(ino, key);
  dir = tree_.find(ino);
  if (!dir || !dir->dir) co_return Result<>{};
  tree_.end_load(*dir);
  CO_TRY(record);
  CO_TRY(auto taken, tree_.fill_one(*dir, key, *std::move(record)));
  taken_in(taken);
  co_return Result<>{};
}

Task<Result<>> Server::load_after(Ino ino, EntryKey after) {
  Inode* dir = tree_.find(ino);
  if (!dir || !dir->is_dir()) co_return Result<>{};
  if (is_loaded_whole(*dir)) co_return co_await load(ino);
  tree_.begin_load(*dir);
  auto page = co_await write_back_.read_names(ino, after, names_per_part);
  dir = tree_.find(ino);
  if (!dir || !dir->dir) co_return Result<>{};
  tree_.end_load(*dir);
  CO_TRY(page);
  CO_TRY(auto taken, tree_.fill(*dir, std::move(page->records), after, page->last));
  taken_in(taken);
  co_return Result<>{};
}

Task<Result<>> Server::find(Ino ino) {
  // What was found on the way may have been dropped again before we are there, if memory is very short.
  Result<> found = Errc::stale;
  for (int attempts = 0; attempts < 3 && !found && found.error() == Errc::stale; ++attempts)
    found = co_await find_once(ino, 0);
  co_return found;
}

/// Up the backtraces to something in memory, then down again.
Task<Result<>> Server::find_once(Ino ino, std::size_t depth) {
  if (tree_.find(ino)) co_return Result<>{};
  if (depth > backtrace_depth_max) co_return Errc::stale;
  auto places = co_await write_back_.find(ino, options_.data_pools);
  if (!places && places.error() == Errc::not_found) co_return Errc::stale;
  if (!places) co_return places.error();
  for (const Location& place : *places) {
    Result<> above = co_await find_once(place.dir, depth + 1);
    if (!above && above.error() == Errc::stale) continue;
    CO_TRY(above);
    Inode* dir = tree_.find(place.dir);
    if (!dir || !dir->is_dir()) continue;
    const bool known = dir->dir && (tree_.lookup(*dir, place.name) || dir->dir->knows(EntryKey(place.name)));
    if (!known) CO_TRY(co_await load_entry(dir->ino(), place.name));
    if (tree_.find(ino)) co_return Result<>{};
  }
  co_return Errc::stale;
}

/// What waits to be written back takes memory of the same bound; both have half of it at least.
std::size_t Server::cache_bytes_wanted() const {
  const std::size_t bound = options_.cache_bytes_max;
  return bound - std::min<std::size_t>(write_back_.waiting_bytes(), bound / 2);
}

void Server::trim_cache() {
  const std::size_t wanted = cache_bytes_wanted();
  if (tree_.bytes() > wanted) figures_.dropped += tree_.trim(wanted, looks_per_request);
}

Task<> Server::cache_loop() {
  while (!failed_) {
    if (!co_await shard_.clock().sleep(cache_interval)) co_return;
    const std::size_t wanted = cache_bytes_wanted();
    if (tree_.bytes() <= wanted) continue;
    figures_.dropped += tree_.trim(wanted, looks_per_tick);
    recall_caps();
  }
}

/// What clients hold cannot be dropped: each is asked to keep so much less that what is left would fit.
void Server::recall_caps() {
  const std::size_t wanted = cache_bytes_wanted();
  if (tree_.bytes() <= wanted) return;
  for (const auto& [client, session] : sessions_) {
    if (session->state != Session::State::open || session->caps.size() <= caps_kept_min) continue;
    const std::size_t kept = session->caps.size() * (wanted / 1024) / (tree_.bytes() / 1024) * 8 / 10;
    ++figures_.recalls;
    send_session(session, msg::ClientSession::Op::recall_state, 0,
                 static_cast<std::uint32_t>(std::max(kept, caps_kept_min)));
  }
}

}  // namespace spirula::mds
