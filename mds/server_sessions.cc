#include <boost/json.hpp>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "mds/request.h"

namespace spirula::mds {

using msg::ClientSession;
using Op = ClientSession::Op;

namespace {

constexpr std::uint64_t bit(unsigned feature) {
  return std::uint64_t{1} << feature;
}
/// What we offer. Not among it: delegated inode numbers (clients would create without asking) and metrics (we would
/// only throw them away). The first eight bits are the releases before Mimic.
constexpr std::uint64_t our_features = 0xff | bit(msg::fs_features::mimic) | bit(msg::fs_features::reply_encoding) |
                                       bit(msg::fs_features::lazy_caps_wanted) | bit(msg::fs_features::multi_reconnect);
constexpr Duration watch_interval = std::chrono::seconds(5);
constexpr Duration idle_after_restart_max = std::chrono::seconds(2);  ///< of clients without caps

std::size_t bytes_of(const msg::CapReconnect& cap) {
  return sizeof cap + cap.path.size() + (cap.fcntl_locks.size() + cap.flock_locks.size()) * sizeof(msg::FileLockRecord);
}

}  // namespace

Server::SessionRef Server::session_of(const msg::ConnectionRef& connection) {
  if (connection->context) return std::static_pointer_cast<Session>(connection->context);
  // After a restart clients send their unfinished requests before they reconnect.
  if (phase_ != Phase::reconnecting) return nullptr;
  auto it = sessions_.find(ClientId{connection->peer_name().number});
  if (it == sessions_.end()) return nullptr;
  it->second->connection = connection;
  connection->context = it->second;
  return it->second;
}

Session* Server::session_of(ClientId client) {
  auto it = sessions_.find(client);
  return it == sessions_.end() ? nullptr : it->second.get();
}

void Server::send_session(const SessionRef& session, Op op, std::uint64_t sequence, std::uint32_t caps_max) {
  if (!session->connection) return;
  ClientSession body;
  body.op = op;
  body.sequence = sequence;
  body.caps_max = caps_max;
  body.stamp = Time::from(shard_.clock().wall());
  if (op == Op::open) body.features.bits = our_features & session->features.bits;
  session->connection->send(msg::make_message(body));
}

void Server::handle_session(const msg::ConnectionRef& connection, const ClientSession& body,
                            std::shared_ptr<void> budget_hold) {
  if (body.op == Op::request_open) {
    if (phase_ == Phase::active) return open_session(connection, body);
    std::erase_if(early_opens_, [&](const EarlyOpen& early) { return early.connection == connection; });
    early_opens_.push_back({connection, body, std::move(budget_hold)});
    return;
  }
  SessionRef session = session_of(connection);
  if (!session) {
    // A session we do not know (any more): say so, or the client would wait for it.
    if (body.op == Op::request_close) {
      ClientSession close;
      close.op = Op::close;
      connection->send(msg::make_message(close));
    }
    return;
  }
  session->last_heard = shard_.clock().now();
  switch (body.op) {
    case Op::request_close:
      return close_session(session);
    case Op::request_renew_caps:
      if (session->state == Session::State::stale) resume_session(session);
      if (session->state == Session::State::open) send_session(session, Op::renew_caps, body.sequence);
      return;
    case Op::request_flush_journal:
      return hurry();
    default:
      return;
  }
}

/// A client that was told it is stale has given up all its caps; the answer to its renewal gives none of them back
/// (Linux: wake_up_session_cb), so each is granted again. Ceph: Locker::resume_stale_caps.
void Server::resume_session(const SessionRef& session) {
  session->state = Session::State::open;
  for (Inode* inode : session->caps) regrant(inode->ino(), session->client());
}

void Server::open_session(const msg::ConnectionRef& connection, const ClientSession& body) {
  if (connection->closed()) return;
  ClientId client{connection->peer_name().number};
  if (auto it = sessions_.find(client); it != sessions_.end()) {
    SessionRef known = it->second;
    if (known->connection == connection) {
      if (known->state == Session::State::open) send_session(known, Op::open);
      return;
    }
    drop_session(known, false);  // the client started over
  }
  auto session = std::make_shared<Session>();
  session->info.client = client;
  session->info.name = connection->identity().name.describe();
  session->info.address = connection->peer_address();
  session->info.metadata = body.metadata;
  session->info.features = body.features.bits;
  session->info.caps = connection->identity().caps;
  session->features = body.features;
  session->connection = connection;
  session->begun = session->last_heard = shard_.clock().now();
  Result<msg::MdsCaps> access = msg::MdsCaps::parse(session->info.caps);
  if (!access || !access->allows_file_system(options_.file_system)) {
    log_warning("mds", "{}: no right to this file system in \"{}\"", connection->describe(), session->info.caps);
    ClientSession reject;
    reject.op = Op::reject;
    reject.metadata["error_string"] = "client has no valid MDS capabilities";
    connection->send(msg::make_message(reject));
    return;
  }
  session->access = *std::move(access);
  connection->context = session;
  sessions_[client] = session;
  SessionUpdate update;
  update.kind = SessionUpdate::Kind::opened;
  update.client = client;
  update.info = session->info;
  note(std::move(update));
  on_commit(current_batch(), [this, session] {
    if (session->state != Session::State::opening) return;
    session->state = Session::State::open;
    log_info("mds", "session of {} {}", session->info.name, session->connection ? session->connection->describe() : "");
    send_session(session, Op::open);
  });
  hurry();
}

void Server::close_session(const SessionRef& session) {
  if (session->state == Session::State::closing) return;
  session->state = Session::State::closing;
  drop_session(session, true);
  on_commit(current_batch(), [this, session] {
    send_session(session, Op::close);
    if (session->connection) session->connection->context.reset();
  });
  hurry();
}

void Server::drop_session(const SessionRef& session, bool orderly) {
  session->state = Session::State::closing;
  std::vector<Ino> held;
  for (Inode* inode : session->caps) held.push_back(inode->ino());
  for (Ino ino : held) {
    Inode* inode = tree_.find(ino);
    CHECK(inode);
    const Cap* cap = inode->caps.find(session->client());
    if (!orderly && cap && ((cap->issued | cap->pending) & cap::any_file_write)) recover_size(*inode);
    remove_cap(*session, *inode);
  }
  forget_kept(*session);
  std::erase_if(lock_waiters_, [&](const auto& waiter) { return waiter.first.first == session->client(); });
  for (Ino ino : std::exchange(session->locked, {})) {
    Inode* inode = tree_.find(ino);
    if (!inode || !inode->locks) continue;
    inode->locks->drop(session->client());
    grant_file_locks(*inode);
    if (inode->locks->empty()) inode->locks.reset();
  }
  SessionUpdate update;
  update.kind = SessionUpdate::Kind::closed;
  update.client = session->client();
  note(std::move(update));
  auto it = sessions_.find(session->client());
  if (it != sessions_.end() && it->second == session) sessions_.erase(it);
  journal_soon();
  seal_if_full();
  reconnected_.wake_all();  // it is not waited for
}

void Server::on_reset(const msg::ConnectionRef& connection) {
  auto session = std::static_pointer_cast<Session>(connection->context);
  // The session stays until the client comes back, closes it or has been silent for too long.
  if (session && session->connection == connection) session->connection.reset();
  connection->context.reset();
}

// --- after a restart
// ---------------------------------------------------------------------------------------------------

Task<Result<>> Server::reconnect() {
  phase_ = Phase::reconnecting;
  if (!sessions_.empty()) log_info("mds", "waiting for {} clients to reconnect", sessions_.size());
  MonotonicTime deadline = shard_.clock().now() + options_.reconnect_timeout;
  auto missing = [&] {
    return std::ranges::count_if(sessions_, [](const auto& entry) { return !entry.second->reconnected; });
  };
  while (missing() > 0) {
    Result<> waited = co_await reconnected_.wait_until(shard_.clock(), deadline);
    if (!waited && waited.error() == Errc::timed_out) break;
    CO_TRY(waited);
  }
  while (reconnects_running_ > 0) CO_TRY(co_await reconnected_.wait());
  std::vector<ClientId> gone;
  for (const auto& [client, session] : sessions_)
    if (!session->reconnected) gone.push_back(client);
  sessions_lost_ = !gone.empty();
  for (ClientId client : gone) {
    log_warning("mds", "client.{} did not reconnect in time: evicted", client.value);
    Result<bool> evicted = co_await evict(client);
    if (!evicted) co_return evicted.error();
  }
  co_return Result<>{};
}

void Server::handle_reconnect(const msg::ConnectionRef& connection, const msg::Message& message) {
  SessionRef session = session_of(connection);
  auto body = msg::read_reconnect(message);
  if (phase_ != Phase::reconnecting || !session || session->reconnected || !body) {
    // Too late, or a stranger: its session is over, and it starts a new one.
    log_info("mds", "{}: reconnect refused", connection->describe());
    ClientSession close;
    close.op = Op::close;
    connection->send(msg::make_message(close));
    if (session && phase_ == Phase::active) drop_session(session, false);
    connection->context.reset();
    return;
  }
  session->last_heard = shard_.clock().now();
  ++reconnects_running_;
  tasks_.spawn(reconnect_session(session, std::move(body->caps), !body->more, message.budget_hold));
}

Task<Result<>> Server::find_for_reconnect(const msg::CapReconnect cap) {
  if (tree_.find(Ino{cap.ino})) co_return Result<>{};
  if (cap.path_base) {
    if (!tree_.find(Ino{cap.path_base})) (void)co_await find(Ino{cap.path_base});
    Inode* dir = tree_.find(Ino{cap.path_base});
    const bool is_name = !cap.path.empty() && cap.path.find('/') == cap.path.npos;
    if (dir && dir->is_dir() && is_name) (void)co_await load_entry(dir->ino(), cap.path);
    if (tree_.find(Ino{cap.ino})) co_return Result<>{};
  }
  co_return co_await find(Ino{cap.ino});
}

void Server::restore_cap(const SessionRef& session, Inode& inode, const msg::CapReconnect& reported) {
  Cap& cap = inode.caps.add(session->client(), reported.cap_id);
  cap.id = reported.cap_id;
  next_cap_id_ = std::max(next_cap_id_, cap.id + 1);
  cap.wanted = reported.wanted;
  cap.xattr_version = inode.record.xattr_version;
  inode.caps.reestablish(cap, reported.issued);
  // The right to write further may have been given out just before the crash.
  if ((cap.issued & cap::any_file_write) && inode.record.is_file() && !inode.record.writable_size) {
    inode.record.writable_size = writable_size_for(inode.record);
    tree_.changed_quietly(inode);
  }
  session->caps.insert(&inode);
  for (LockRule rule : {LockRule::fcntl, LockRule::flock}) {
    for (msg::FileLockRecord lock : rule == LockRule::fcntl ? reported.fcntl_locks : reported.flock_locks) {
      if (!inode.locks) inode.locks = std::make_unique<FileLocks>();
      lock.client = static_cast<std::uint64_t>(session->client().value);
      (void)inode.locks->set(rule, lock);
      session->locked.insert(inode.ino());
    }
  }
  send_cap(*session, inode, cap, msg::ClientCaps::Op::import);
}

/// What the client has said is kept until we have started; false when that is more than any honest client has to say.
/// Its bound is its own, not the room for messages: there it would keep what others bring back from being read.
bool Server::keep(Session& session, std::size_t bytes) {
  if (session.evicting || session.state == Session::State::closing) return false;
  session.kept_bytes += bytes;
  kept_bytes_ += bytes;
  Session* greedy = nullptr;
  if (session.kept_bytes > limits::session_kept_bytes_max) {
    greedy = &session;
  } else if (kept_bytes_ > limits::kept_bytes_max) {
    auto of = [](const auto& entry) { return entry.second->kept_bytes; };
    greedy = std::ranges::max_element(sessions_, {}, of)->second.get();
  }
  if (!greedy) return true;
  forget_kept(*greedy);
  tasks_.spawn(evict_in_background(greedy->client(), "has more to say after our restart than it can have"));
  return greedy != &session;
}

/// Nobody waits for an answer any more.
void Server::forget_kept(Session& session) {
  auto its = [&](const auto& kept) { return kept.session.get() == &session; };
  for (auto* requests : {&replayed_, &early_})
    std::erase_if(*requests, [&](const RequestRef& request) { return its(*request); });
  for (auto& [ino, messages] : early_caps_) std::erase_if(messages, its);
  std::erase_if(early_caps_, [](const auto& entry) { return entry.second.empty(); });
  session.unmatched.clear();
  kept_bytes_ -= std::exchange(session.kept_bytes, 0);
}

/// Holds the message's share of the room for messages: what a client brings back is read as fast as it is looked up.
Task<> Server::reconnect_session(SessionRef session, std::vector<msg::CapReconnect> caps, bool last,
                                 std::shared_ptr<void>) {
  for (const msg::CapReconnect& reported : caps) {
    Result<> found = co_await find_for_reconnect(reported);
    Inode* inode = tree_.find(Ino{reported.ino});
    if (session->state == Session::State::closing) break;
    if (found && inode)
      restore_cap(session, *inode, reported);
    else if (keep(*session, bytes_of(reported)))
      session->unmatched[Ino{reported.ino}] = reported;
  }
  --reconnects_running_;
  reconnected_.wake_all();
  session->reported += caps.size();
  if (!last || session->state == Session::State::closing) co_return;
  session->reconnected = true;
  session->state = Session::State::open;
  send_session(session, Op::open);
}

/// Caps on inodes that are nowhere: the client must not go on believing in them. An export to nobody takes them away
/// (Linux: handle_cap_export; the peer's rank is where a truncation's size is).
void Server::refuse_unmatched(const SessionRef& session) {
  for (const auto& [ino, reported] : std::exchange(session->unmatched, {})) {
    if (!session->connection) continue;
    msg::ClientCaps body;
    body.op = msg::ClientCaps::Op::export_;
    body.ino = ino.value;
    body.realm = 1;
    body.cap_id = reported.cap_id;
    body.truncate_size = ~std::uint64_t{0};
    ++figures_.cap_messages;
    session->connection->send(msg::make_message(body));
  }
}

/// A client that came back with no caps and then asks for nothing was leaving: whoever has something mounted holds its
/// root at least. Its request to close went down with the MDS before; libcephfs does not send it again and would wait
/// for the answer (client_shutdown_timeout, 30 s).
Task<> Server::let_go_of_idle() {
  if (!co_await shard_.clock().sleep(idle_after_restart_max)) co_return;
  std::vector<SessionRef> idle;
  for (const auto& [client, session] : sessions_)
    if (session->reconnected && !session->reported && !session->requests && session->caps.empty())
      idle.push_back(session);
  for (const SessionRef& session : idle) {
    log_info("mds", "client.{} came back with nothing: closed", session->client().value);
    close_session(session);
  }
}

// --- silence
// -----------------------------------------------------------------------------------------------------------

Task<Result<bool>> Server::evict(ClientId client) {
  auto it = sessions_.find(client);
  if (it == sessions_.end()) co_return false;
  SessionRef session = it->second;
  if (blocklist_) {
    // Before its caps go to others it must not reach the OSDs any more.
    auto epoch = co_await blocklist_(session->info.address);
    if (!epoch) co_return epoch.error();
    raise_osd_epoch_barrier(*epoch);
  }
  if (session->state == Session::State::closing) co_return true;
  drop_session(session, false);
  if (session->connection) session->connection->close();
  session->connection.reset();
  co_return true;
}

Task<> Server::evict_in_background(ClientId client, std::string why) {
  auto it = sessions_.find(client);
  if (it == sessions_.end() || it->second->evicting) co_return;
  SessionRef session = it->second;
  session->evicting = true;
  log_warning("mds", "evicting client.{}: {}", client.value, why);
  Result<bool> done = co_await evict(client);
  session->evicting = false;
  if (!done) log_warning("mds", "client.{} cannot be evicted now: {}", client.value, done.error().message());
}

/// Time in which clients could not reach us does not count against them.
void Server::forgive_silence() {
  const MonotonicTime now = shard_.clock().now();
  for (const auto& [client, session] : sessions_) {
    session->last_heard = now;
    for (Inode* inode : session->caps)
      if (Cap* cap = inode->caps.find(client); cap && cap->revoking()) cap->revoked_at = now;
  }
}

Task<> Server::watch_sessions() {
  MonotonicTime watched_last = shard_.clock().now();
  for (;;) {
    if (!co_await shard_.clock().sleep(watch_interval)) co_return;
    const MonotonicTime now = shard_.clock().now();
    // We were held up ourselves (a stopped process, a paused machine): what clients said waits in the sockets.
    bool late = now - watched_last > 2 * watch_interval;
    watched_last = now;
    if (late || !listening_()) {
      forgive_silence();
      continue;
    }
    std::map<ClientId, std::string> out;
    for (const auto& [client, session] : sessions_) {
      Duration silence = now - session->last_heard;
      if (session->state == Session::State::open && silence > options_.session_timeout) {
        session->state = Session::State::stale;
        send_session(session, Op::stale);
      }
      if (silence > options_.session_autoclose) out[client] = "silent for too long";
    }
    // Somebody waits for caps that a client does not give back.
    for (const auto& [ino, waiters] : cap_waiters_) {
      Inode* inode = tree_.find(ino);
      if (!inode || waiters->empty()) continue;
      for (const Cap& cap : inode->caps.all()) {
        if (!cap.revoking()) continue;
        Session* holder = session_of(cap.client);
        bool stale = holder && holder->state == Session::State::stale;
        if (stale || now - cap.revoked_at > options_.revoke_timeout)
          out[cap.client] = "does not give back caps that others need";
      }
    }
    for (auto& [client, why] : out) tasks_.spawn(evict_in_background(client, why));
  }
}

std::string Server::sessions_json() const {
  using boost::json::object;
  boost::json::array list;
  for (const auto& [client, session] : sessions_) {
    const SessionInfo& info = session->info;
    object metadata{{"client_features", {{"feature_bits", fmt::format("{:#018x}", info.features)}}}};
    for (const auto& [key, value] : info.metadata) metadata[key] = value;
    constexpr const char* states[] = {"opening", "open", "stale", "closing", "reconnecting"};
    const msg::Address address = info.address.empty() ? msg::Address() : info.address.addresses.front();
    const std::string where = address.has_endpoint ? address.endpoint.describe() : "-";
    object name{{"type", "client"}, {"num", client.value}};
    list.push_back(
        {{"id", client.value},
         {"entity", {{"name", name}, {"addr", {{"type", "any"}, {"addr", where}, {"nonce", address.nonce}}}}},
         {"state", states[static_cast<int>(session->state)]},
         {"num_leases", 0},
         {"num_caps", session->caps.size()},
         {"uptime", std::chrono::duration<double>(shard_.clock().now() - session->begun).count()},
         {"requests_in_flight", session->in_progress.size()},
         {"num_completed_requests", session->done.size()},
         {"num_completed_flushes", session->flushed.size()},
         {"reconnecting", session->state == Session::State::absent},
         {"delegated_inos", boost::json::array()},
         {"inst", fmt::format("client.{} {}/{}", client.value, where, address.nonce)},
         {"client_metadata", metadata}});
  }
  return boost::json::serialize(list);
}

}  // namespace spirula::mds
