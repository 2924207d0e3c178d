#include "mds/server.h"

#include <malloc.h>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "mds/request.h"

namespace spirula::mds {

namespace {
constexpr std::uint64_t inos_reserved = 1 << 16;  ///< numbers a batch reserves ahead; a restart skips what is left
constexpr std::size_t purges_max = 16;
constexpr std::size_t recoveries_max = 16;
constexpr std::size_t freed_noticeable = 16 << 20;                     ///< then the system gets its pages back
constexpr Duration write_back_pause = std::chrono::milliseconds(100);  ///< between two even if more waits than should
}  // namespace

Server::Server(Shard& shard, MetadataStore& store, ServerOptions options)
    : shard_(shard),
      store_(store),
      options_(std::move(options)),
      journal_(store),
      write_back_(shard, store),
      tasks_(shard) {}

Server::~Server() = default;

void Server::fail(std::string why) {
  if (failed_) return;
  failed_ = true;
  problem_ = std::move(why);
  log_error("mds", "giving up: {}", problem_);
  if (on_failure_) on_failure_();
}

Task<Result<>> Server::format() {
  // An earlier file system's journal says which numbers it used. If it is damaged, what can be read of it has to do.
  Ino next = inos::first;
  auto look = [&next](const Batch& batch) { next = std::max(next, batch.next_ino); };
  (void)co_await journal_.replay(look);
  CO_TRY(co_await write_back_.format(next));
  CO_TRY(co_await journal_.format());
  next_ino_ = write_back_.next_ino();
  tree_.format(Time::from(shard_.clock().wall()));
  tasks_.spawn(journal_loop());
  co_return co_await flush_journal();
}

Task<Result<>> Server::replay() {
  CO_TRY(co_await write_back_.open());
  std::uint64_t batches = 0;
  auto apply = [&](Batch batch) {
    ++batches;
    write_back_.apply(batch);
  };
  Result<> read = co_await journal_.replay(apply);
  problem_ = journal_.problem();
  CO_TRY(read);
  log_info("mds", "replayed {} batches from {} journal segments", batches, journal_.segments());
  next_ino_ = write_back_.next_ino();
  tree_.set_committed(journal_.committed());
  CO_TRY(co_await load(inos::super));
  if (!tree_.root() || !tree_.find(inos::stray)) {
    problem_ = "the file system has no root";
    co_return Errc::malformed;
  }
  CO_TRY(co_await load(inos::stray));
  for (const auto& [client, record] : write_back_.sessions()) {
    auto session = std::make_shared<Session>();
    session->begun = shard_.clock().now();
    session->info = record.info;
    session->features.bits = record.info.features;
    session->state = Session::State::absent;
    Result<msg::MdsCaps> access = msg::MdsCaps::parse(record.info.caps);
    if (access) session->access = *std::move(access);
    for (const auto& [tid, made] : record.progress.requests) session->done[tid] = {made, journal_.committed()};
    for (std::uint64_t tid : record.progress.flushes) session->flushed[tid] = journal_.committed();
    sessions_[client] = session;
  }
  tasks_.spawn(journal_loop());
  phase_ = Phase::reconnecting;
  co_return Result<>{};
}

Task<> Server::activate() {
  phase_ = Phase::replaying;
  tasks_.spawn(maintenance_loop());  // what is sent again may have to wait for room behind a journal that was long
  // What was flushed comes before the requests that are sent again: their answers took the right to flush away.
  std::vector<Ino> flushed;
  for (const auto& [ino, waiting] : early_caps_) flushed.push_back(ino);
  for (Ino ino : flushed)
    if (tree_.find(ino)) deliver_early(ino);
  // In the order they were sent, one after the other: each builds on those before it.
  while (!replayed_.empty() && !failed_) {
    RequestRef request = std::move(replayed_.front());
    replayed_.pop_front();
    start_request(request);
    while (request->session->in_progress.contains(request->tid) && !request->completed_before)
      if (!co_await finished_.wait()) co_return;
  }
  phase_ = Phase::active;
  for (auto& [client, session] : sessions_) refuse_unmatched(session);
  std::vector<Ino> strays, uncut, unwritten;
  tree_.for_each([&](Inode& inode) {
    if (inode.record.writable_size && !is_written(inode)) unwritten.push_back(inode.ino());
  });
  for (Ino ino : unwritten) {
    Inode* inode = tree_.find(ino);
    if (!inode) continue;
    // When all clients came back, so has who wrote it, and tells what there is to tell.
    if (sessions_lost_)
      recover_size(*inode);
    else
      settle_writing(*inode);
  }
  for (auto& [key, dentry] : tree_.find(inos::stray)->dir->entries)
    if (dentry.is_primary()) strays.push_back(dentry.inode->ino());
  for (const auto& [ino, batch] : write_back_.truncating()) uncut.push_back(ino);
  for (Ino ino : strays)
    if (Inode* inode = tree_.find(ino)) purge_if_unused(*inode);
  for (Ino ino : uncut) tasks_.spawn(cut(ino));
  tasks_.spawn(watch_sessions());
  tasks_.spawn(let_go_of_idle());
  tasks_.spawn(cache_loop());
  while (!early_caps_.empty()) deliver_early(early_caps_.begin()->first);
  for (RequestRef& request : std::exchange(early_, {})) start_request(std::move(request));
  for (EarlyOpen& early : std::exchange(early_opens_, {})) open_session(early.connection, early.body);
}

Task<> Server::stop() {
  stopping_ = true;
  co_await tasks_.stop();
  commit_actions_.clear();
  lock_waiters_.clear();
  deferred_caps_.clear();
  replayed_.clear();
  early_.clear();
  running_.clear();
  for (const auto& [client, session] : sessions_)  // a connection and its session own each other
    if (session->connection) session->connection->context.reset();
}

// --- the journal
// -------------------------------------------------------------------------------------------------------

BatchId Server::current_batch() const {
  return BatchId{journal_.next().value + (appending_ ? 1 : 0) + sealed_.size()};
}

void Server::seal_if_full() {
  std::size_t bytes = tree_.dirty_bytes() + session_update_bytes_;
  if (bytes) journal_soon();  // also what nobody waits for: until it is durable it stays in memory
  if (bytes < limits::batch_bytes_max) return;
  sealed_.push_back(take_batch());
  hurry();
}

void Server::note(SessionUpdate update) {
  session_update_bytes_ += 64;
  if (update.info) {
    session_update_bytes_ += update.info->name.size() + update.info->caps.size();
    for (const auto& [key, value] : update.info->metadata) session_update_bytes_ += 16 + key.size() + value.size();
  }
  session_updates_.push_back(std::move(update));
}

void Server::journal_soon() {
  journal_wanted_.wake_all();
}

void Server::hurry() {
  hurried_ = true;
  journal_wanted_.wake_all();
  hurry_wanted_.wake_all();
}

void Server::on_commit(BatchId batch, std::move_only_function<void()> action) {
  if (batch <= journal_.committed()) return action();
  commit_actions_[batch].push_back(std::move(action));
  journal_soon();
}

void Server::run_commit_actions() {
  while (!commit_actions_.empty() && commit_actions_.begin()->first <= journal_.committed()) {
    auto actions = std::move(commit_actions_.begin()->second);
    commit_actions_.erase(commit_actions_.begin());
    for (auto& action : actions) action();
  }
}

Task<Result<>> Server::wait_for_commit(BatchId batch) {
  while (journal_.committed() < batch) {
    if (failed_) co_return Errc::cancelled;
    on_commit(batch, [] {});
    hurry();
    CO_TRY(co_await committed_.wait());
  }
  co_return Result<>{};
}

Task<Result<>> Server::flush_journal() {
  co_return co_await wait_for_commit(current_batch());
}

Batch Server::take_batch() {
  Batch batch;
  batch.id = current_batch();
  batch.next_ino = write_back_.next_ino();
  if (batch.next_ino.value < next_ino_.value + inos_reserved / 2) batch.next_ino = Ino{next_ino_.value + inos_reserved};
  for (Tree::Dirty& dirty : tree_.take_dirty()) {
    DentryUpdate update{std::move(dirty.at), std::nullopt, dirty.placed};
    if (std::optional<DentryRecord> record = tree_.record_at(update.at, batch.id)) update.record = encode(*record);
    batch.dentries.push_back(std::move(update));
  }
  for (const auto& [client, session] : sessions_) {
    if (session->oldest_tid == session->oldest_tid_journaled) continue;
    session->oldest_tid_journaled = session->oldest_tid;
    note({SessionUpdate::Kind::forget_requests, client, session->oldest_tid, {}, {}});
  }
  batch.sessions = std::exchange(session_updates_, {});
  session_update_bytes_ = 0;
  return batch;
}

Task<> Server::journal_loop() {
  while (!failed_) {
    if (sealed_.empty() && !tree_.has_dirty() && session_updates_.empty() && commit_actions_.empty()) {
      if (!co_await journal_wanted_.wait()) co_return;
      continue;
    }
    if (!hurried_ && sealed_.empty() && options_.journal_interval > Duration{}) {
      MonotonicTime deadline = shard_.clock().now() + options_.journal_interval;
      Result<> waited = co_await hurry_wanted_.wait_until(shard_.clock(), deadline);
      if (!waited && waited.error() == Errc::cancelled) co_return;
    }
    hurried_ = false;
    Batch batch;
    if (sealed_.empty()) {
      batch = take_batch();
    } else {
      batch = std::move(sealed_.front());
      sealed_.pop_front();
      hurried_ = true;  // for those after it
    }
    appending_ = true;
    Result<> appended = co_await journal_.append(batch);
    appending_ = false;
    if (!appended) {
      if (!stopping_) fail("the journal cannot be written: " + appended.error().message());
      committed_.wake_all();
      co_return;
    }
    ++figures_.batches;
    write_back_.apply(batch);
    tree_.set_committed(journal_.committed());
    run_commit_actions();
    committed_.wake_all();
    deliver_deferred();
    room_.wake_all();
    if (write_back_is_due()) maintenance_wanted_.wake_all();
  }
}

// --- behind the journal
// ------------------------------------------------------------------------------------------------

Task<Result<>> Server::write_back_once() {
  if (writing_back_) co_return Result<>{};
  // No purge starts meanwhile, so that no backtrace is written to what a purge has removed. Those that run already are
  // of names whose removal waits here, and so get none.
  writing_back_ = true;
  const std::size_t waited_bytes = write_back_.waiting_bytes();
  Result<> done = co_await write_back_.flush();
  if (write_back_.waiting_bytes() + freed_noticeable < waited_bytes) ::malloc_trim(0);
  deliver_deferred();
  room_.wake_all();
  // (The next one, which an administrator may ask for any time, must not trim what this one is trimming.)
  if (done) done = co_await journal_.trim(write_back_.oldest(journal_.next()));
  writing_back_ = false;
  written_back_.wake_all();
  start_purges();
  co_return done;
}

Task<Result<>> Server::write_back_all() {
  CO_TRY(co_await flush_journal());
  while (writing_back_) CO_TRY(co_await written_back_.wait());
  co_return co_await write_back_once();
}

/// What waits for it takes memory as well.
bool Server::write_back_is_due() const {
  return journal_.bytes() > options_.journal_bytes_max || write_back_.waiting_bytes() > options_.cache_bytes_max / 4;
}

bool Server::is_full() const {
  return sealed_.size() >= limits::batches_waiting_max || write_back_.waiting_bytes() > options_.cache_bytes_max / 2;
}

Task<> Server::maintenance_loop() {
  while (!failed_) {
    MonotonicTime deadline =
        shard_.clock().now() + (write_back_is_due() ? write_back_pause : options_.write_back_interval);
    Result<> waited = co_await maintenance_wanted_.wait_until(shard_.clock(), deadline);
    if (!waited && waited.error() == Errc::cancelled) co_return;
    if (write_back_.is_empty() && journal_.segments() <= 1) continue;
    Result<> done = co_await write_back_once();
    if (!done && !stopping_) fail("directory objects cannot be written: " + done.error().message());
  }
}

void Server::purge_if_unused(Inode& inode) {
  if (!inode.is_stray() || inode.purging || inode.recovering || !inode.caps.empty() || inode.caps.claimed()) return;
  Ino ino = inode.ino();
  if (phase_ != Phase::active) return;
  on_commit(inode.changed_in, [this, ino] {
    Inode* stray = tree_.find(ino);
    if (!stray || !stray->is_stray() || stray->purging || stray->recovering) return;
    if (!stray->caps.empty() || stray->caps.claimed()) return;
    stray->purging = true;
    purges_waiting_.push_back(ino);
    start_purges();
  });
}

void Server::start_purges() {
  while (!purges_waiting_.empty() && purges_ < purges_max && !writing_back_ && !failed_) {
    const Ino ino = purges_waiting_.front();
    purges_waiting_.pop_front();
    write_back_.forget(ino);  // the names it had as a directory
    ++purges_;
    tasks_.spawn(purge(ino));
  }
}

Task<> Server::purge(Ino ino) {
  Inode* inode = tree_.find(ino);
  CHECK(inode && inode->purging);
  Result<> done;
  if (inode->record.is_file()) {
    const InodeRecord& record = inode->record;
    std::uint64_t size = std::max({record.size, record.size_seen, record.writable_size, record.truncate_from});
    // (Copies: the record may change under a purge, not what is to be purged.)
    msg::FileLayout layout = record.layout;
    const std::vector<std::int64_t> old_pools = record.old_pools;
    done = co_await store_.purge(ino, layout, size);
    for (std::int64_t pool : old_pools) {
      layout.pool = pool;
      if (done) done = co_await store_.purge(ino, layout, 0);
    }
  } else {
    done = co_await store_.remove(MetadataStore::directory_object(ino));
  }
  --purges_;
  if (!done) {
    if (!stopping_) fail("an unlinked file cannot be purged: " + done.error().message());
    co_return;
  }
  inode = tree_.find(ino);
  CHECK(inode && inode->purging && inode->caps.empty());
  tree_.drop_stray(*inode);
  ++figures_.strays_purged;
  journal_soon();
  start_purges();
}

void Server::cut_if_needed(Inode& inode) {
  if (!inode.record.truncate_from || inode.cutting) return;
  Ino ino = inode.ino();
  on_commit(inode.changed_in, [this, ino] { tasks_.spawn(cut(ino)); });
}

Task<> Server::cut(Ino ino) {
  if (!tree_.find(ino)) {
    Result<> found = co_await find(ino);
    if (!found) {
      log_warning("mds", "inode 0x{:x} has objects to cut but cannot be found: {}", ino.value, found.error().message());
      co_return;
    }
  }
  Inode* inode = tree_.find(ino);
  if (!inode || inode->cutting || inode->purging || !inode->record.truncate_from) co_return;
  inode->cutting = true;
  while (inode && inode->record.truncate_from && !failed_) {
    const InodeRecord record = inode->record;
    Result<> done = co_await store_.truncate(ino, record.layout, record.truncate_from, record.truncate_size,
                                             record.truncate_sequence);
    if (!done) {
      if (!stopping_) fail("a file cannot be cut: " + done.error().message());
      co_return;
    }
    inode = tree_.find(ino);
    if (!inode) co_return;
    if (inode->record.truncate_sequence != record.truncate_sequence) continue;
    inode->record.truncate_from = 0;
    tree_.changed_quietly(*inode);
    journal_soon();
  }
  if (inode) inode->cutting = false;
  cut_done_.wake_all();
}

/// Not before the truncation itself is in the journal.
Task<Result<>> Server::wait_for_cut(Ino ino) {
  if (Inode* inode = tree_.find(ino)) CO_TRY(co_await wait_for_commit(inode->changed_in));
  Inode* inode = tree_.find(ino);
  if (!inode || !inode->record.truncate_from) co_return Result<>{};
  if (!inode->cutting) tasks_.spawn(cut(ino));
  co_return co_await cut_done_.wait();
}

bool Server::is_written(const Inode& inode) const {
  return inode.record.is_file() && inode.record.writable_size && inode.caps.anybody_has(cap::any_file_write);
}

/// Whoever wrote it had the right to go up to writable_size without telling; Ceph: RecoveryQueue.
void Server::recover_size(Inode& inode) {
  if (inode.recovering || inode.purging || !inode.record.is_file() || !inode.record.writable_size) return;
  inode.recovering = true;
  recoveries_waiting_.push_back(inode.ino());
  start_recoveries();
}

void Server::start_recoveries() {
  while (!recoveries_waiting_.empty() && recoveries_ < recoveries_max && !failed_) {
    const Ino ino = recoveries_waiting_.front();
    recoveries_waiting_.pop_front();
    ++recoveries_;
    tasks_.spawn(recover(ino));
  }
}

Task<> Server::recover(Ino ino) {
  Inode* inode = tree_.find(ino);
  CHECK(inode && inode->recovering);
  // What is to be cut off must not count.
  while (inode->record.truncate_from) {
    if (!inode->cutting) tasks_.spawn(cut(ino));
    if (!co_await cut_done_.wait()) co_return;
  }
  const InodeRecord record = inode->record;
  auto probed = co_await store_.probe(ino, record.layout, record.size, std::max(record.writable_size, record.size));
  if (!probed && probed.error() != Errc::not_found) {
    if (!stopping_) fail("the size of a file cannot be found out: " + probed.error().message());
    co_return;
  }
  CHECK(tree_.find(ino) == inode);
  if (probed) {
    const RecursiveStats before = inode->record.contribution();
    const std::uint64_t size = std::min(probed->end, limits::file_bytes_max);
    if (size > inode->record.size) {
      // (Otherwise the time is what its writer said, which may have set it after writing.)
      inode->record.size = size;
      inode->record.mtime = std::max(inode->record.mtime, probed->mtime);
    }
    tree_.changed(*inode, before, {ClientId{}, current_batch(), inode->record.mtime});
    log_debug("mds", "inode 0x{:x}: size {} found out, was {}", ino.value, inode->record.size, record.size);
  }
  inode->recovering = false;
  if (!is_written(*inode)) inode->record.writable_size = 0;
  tree_.changed_quietly(*inode);
  --recoveries_;
  recovered_.wake_all();
  on_commit(inode->changed_in, [this, ino] {
    Inode* found = tree_.find(ino);
    if (!found) return;
    for (const Cap& cap : found->caps.all()) regrant(ino, cap.client);
    evaluate(*found);
  });
  journal_soon();
  purge_if_unused(*inode);
  start_recoveries();
}

void Server::on_message(const msg::ConnectionRef& connection, msg::Message message) {
  if (failed_ || stopping_) return;
  auto malformed = [&](std::string_view what) {
    log_warning("mds", "{}: a {} that does not decode", connection->describe(), what);
  };
  switch (message.type) {
    case msg::ClientSession::message_type: {
      auto body = msg::read_message<msg::ClientSession>(message);
      if (!body) return malformed("session message");
      return handle_session(connection, *body, message.budget_hold);
    }
    case msg::ClientReconnect::message_type:
      return handle_reconnect(connection, message);
    default:
      break;
  }
  SessionRef session = session_of(connection);
  if (!session) return;
  session->last_heard = shard_.clock().now();
  switch (message.type) {
    case msg::ClientRequest::message_type:
      return handle_request(session, std::move(message));
    case msg::ClientCaps::message_type: {
      auto body = msg::read_message<msg::ClientCaps>(message);
      if (!body) return malformed("cap message");
      const std::size_t bytes = message.front.size() + message.middle.size();
      return handle_caps({session, *std::move(body), message.tid, std::nullopt, bytes, std::move(message.budget_hold)});
    }
    case msg::ClientCapRelease::message_type: {
      auto body = msg::read_message<msg::ClientCapRelease>(message);
      if (!body) return malformed("cap release");
      for (const auto& item : body->items) handle_caps({session, {}, 0, item, sizeof item, message.budget_hold});
      return;
    }
    case msg::ClientLease::message_type:    // no name is ever leased: a directory's shared bit covers them
    case msg::ClientMetrics::message_type:  // accepted, and not kept
      return;
    default:
      log_warning("mds", "{}: message type {:#x} is not for an MDS", connection->describe(), message.type);
  }
}

Server::Figures Server::figures() const {
  Figures figures = figures_;
  figures.inodes = tree_.inode_count();
  figures.cache_bytes = tree_.bytes();
  figures.sessions = sessions_.size();
  figures.caps = 0;
  for (const auto& [client, session] : sessions_) figures.caps += session->caps.size();
  figures.names_waiting = write_back_.waiting_names();
  figures.waiting_bytes = write_back_.waiting_bytes();
  figures.journal_bytes = journal_.bytes();
  figures.journal_segments = journal_.segments();
  return figures;
}

}  // namespace spirula::mds
