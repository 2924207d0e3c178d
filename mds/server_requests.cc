#include <boost/json.hpp>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "mds/request.h"

namespace spirula::mds {

using msg::ClientReply;
using msg::ClientRequest;
using msg::MdsOp;

void Server::handle_request(const SessionRef& session, msg::Message message) {
  auto body = msg::read_message<ClientRequest>(message);
  if (!body) {
    log_warning("mds", "client.{}: a request that does not decode", session->client().value);
    return;
  }
  auto request = std::make_shared<Request>();
  request->session = session;
  request->tid = message.tid;
  request->bytes = sizeof(Request) + message.front.size() + message.middle.size() + message.data.size();
  request->body = *std::move(body);
  request->budget_hold = std::move(message.budget_hold);
  if (phase_ != Phase::active) {  // what the client had an early reply for comes before everything else
    if (request->body.is_replay()) {
      if (!keep(*session, request->bytes)) return;
      request->budget_hold.reset();
      replayed_.push_back(std::move(request));
    } else if (may_wait(*request)) {
      early_.push_back(std::move(request));
    } else {
      reply_bare(*request, make_error_code(Errc::busy));
    }
    return;
  }
  start_request(std::move(request));
}

/// Its early reply leaves room for those that its client and all clients may have to send again. One always may.
bool Server::may_be_unsafe(const Request& request) const {
  auto has_room = [&](std::size_t used, std::size_t max) { return !used || used + request.bytes <= max; };
  return has_room(request.session->unsafe_bytes, limits::session_unsafe_bytes_max) &&
         has_room(unsafe_bytes_, limits::unsafe_bytes_max);
}

/// Takes room among the requests that wait for what other clients have to say: were there no bound to it, what they say
/// would not be read any more.
bool Server::may_wait(Request& request) {
  if (request.waits) return true;
  auto& of_session = request.session->waiting;
  if (!request.waits_of_session) {
    if (!of_session->try_take(request.bytes)) return false;
    request.waits_of_session.emplace(of_session, request.bytes);
  }
  if (!waiting_->try_take(request.bytes)) return false;
  request.waits.emplace(waiting_, request.bytes);
  return true;
}

void Server::start_request(RequestRef request) {
  Session& session = *request->session;
  const ClientRequest& body = request->body;
  if (session.state == Session::State::closing || !session.in_progress.insert(request->tid).second) return;
  request->started = shard_.clock().now();
  ++session.requests;
  ++figures_.requests;
  if (body.oldest_tid > session.oldest_tid) {
    session.oldest_tid = body.oldest_tid;
    session.done.erase(session.done.begin(), session.done.lower_bound(body.oldest_tid));
  }
  if (log_enabled("mds", LogLevel::trace))
    log_trace("mds", "client.{}:{} {}", session.client().value, request->tid, body.describe());
  if (answer_from_before(request)) return;
  if (!body.is_replay()) handle_releases(session, body);
  if (session.done.size() + session.in_progress.size() > limits::session_completed_max) {
    reply_bare(*request, make_error_code(Errc::busy));
    return finish_request(request);
  }
  if (try_request(request)) return finish_request(request);
  tasks_.spawn(run_request(std::move(request)));
}

/// A request that was done before, by us or before a restart, is answered and not done again.
bool Server::answer_from_before(const RequestRef& request) {
  Session& session = *request->session;
  auto it = session.done.find(request->tid);
  if (it == session.done.end()) return false;
  request->completed_before = true;
  request->made_before = it->second.made;
  const MdsOp op = request->body.op;
  if (!request->body.is_replay() && (op == MdsOp::create || op == MdsOp::open)) return false;  // the caps are wanted
  on_commit(it->second.batch, [this, request] {
    reply_bare(*request, {}, request->made_before);
    finish_request(request);
  });
  hurry();
  return true;
}

void Server::handle_releases(Session& session, const ClientRequest& body) {
  for (const msg::CapRelease& release : body.releases) {
    Inode* inode = tree_.find(Ino{release.ino});
    Cap* cap = inode ? inode->caps.find(session.client()) : nullptr;
    if (!cap || cap->id != release.cap_id) continue;
    inode->caps.confirm(*cap, release.sequence, release.caps);
    const cap::Bits wanted = wanted_by(session, *inode, release.wanted);
    cap->wanted = release.issue_sequence == cap->issue_sequence ? wanted : cap->wanted | wanted;
    settle_writing(*inode);
    wake(inode->ino());
  }
}

Attempt Server::new_attempt(const Request& request) const {
  Attempt attempt;
  attempt.client = request.session->client();
  attempt.batch = current_batch();
  attempt.committed = journal_.committed();
  attempt.now = Time::from(shard_.clock().wall());
  attempt.next_ino = next_ino_;
  if (request.number_is_free) attempt.next_ino = Ino{request.body.ino};
  attempt.default_layout = {4u << 20, 1, 4u << 20, options_.data_pools.empty() ? 0 : options_.data_pools[0], ""};
  attempt.data_pools = &options_.data_pools;
  attempt.pool_by_name = &pool_by_name_;
  attempt.access = &request.session->access;
  attempt.caller = {request.body.uid, request.body.gid, request.body.gids};
  attempt.file_system = options_.file_system;
  attempt.writes = request.body.is_write() && request.body.op != MdsOp::set_file_lock;
  attempt.completed = request.completed_before;
  return attempt;
}

/// True if it is done (or waits for a file lock); false if something stands in the way: request->attempt says what.
bool Server::try_request(const RequestRef& request) {
  if (failed_ || stopping_) return true;
  Attempt& attempt = request->attempt = new_attempt(*request);
  const MdsOp op = request->body.op;
  if (op == MdsOp::set_file_lock || op == MdsOp::get_file_lock) return try_file_lock(request);
  Outcome outcome;
  Listing listing;
  const bool lists = op == MdsOp::readdir || op == MdsOp::list_snaps;
  // What the client told us before comes first, or it would be shown what it has changed itself.
  const bool overtakes = std::ranges::any_of(
      deferred_caps_, [&](const CapsMessage& message) { return message.session == request->session; });
  const bool has_room = !attempt.writes || may_be_unsafe(*request);
  if (!has_room) hurry();
  if (overtakes || !has_room || (attempt.writes && is_full())) {
    attempt.obstacle = Attempt::Obstacle::room;
    return false;
  }
  // What is sent again after a restart keeps the number the client was told, unless somebody has it.
  if (phase_ == Phase::replaying && request->body.is_replay() && !request->number_is_known &&
      request->body.ino >= inos::first.value && request->body.ino < write_back_.next_ino().value) {
    (void)attempt.must_find(Ino{request->body.ino});
    return false;
  }
  // Numbers are given out only as far as the journal has reserved them, or a restart would give them out again.
  if (attempt.writes && attempt.next_ino >= write_back_.next_ino()) {
    (void)attempt.must_commit(current_batch());
    return false;
  }
  Result<> done =
      lists ? list(tree_, request->body, attempt, listing) : operate(tree_, request->body, attempt, outcome);
  if (!done && attempt.obstacle != Attempt::Obstacle::none) return false;
  if (outcome.made_inode && attempt.next_ino == next_ino_) next_ino_ = next_ino_.next();
  if (op == MdsOp::readdir && done) outcome.target = listing.dir;
  if (outcome.changed) {
    commit_request(request, outcome);
  } else {
    reply(*request, done, outcome, lists && done ? &listing : nullptr, true);
  }
  for (Inode* inode : outcome.touched) evaluate(*inode);
  if (outcome.dir) evaluate(*outcome.dir);
  if (outcome.target) evaluate(*outcome.target);
  if (outcome.changed && request->body.is_replay()) {
    // The caps it brought back came with what was before, and the reply says nothing.
    const ClientId client = request->session->client();
    for (Inode* inode : outcome.touched) regrant(inode->ino(), client);
    if (outcome.dir) regrant(outcome.dir->ino(), client);
    if (outcome.target) regrant(outcome.target->ino(), client);
  }
  if (outcome.target) cut_if_needed(*outcome.target);
  if (outcome.unlinked) {
    Ino ino = outcome.unlinked->ino();
    on_commit(outcome.unlinked->changed_in, [this, ino] {
      if (Inode* inode = tree_.find(ino)) announce_links(*inode);
    });
    purge_if_unused(*outcome.unlinked);
  }
  seal_if_full();
  trim_cache();
  return true;
}

/// The request changed something: an early reply now, the safe one when the journal has it.
void Server::commit_request(const RequestRef& request, Outcome& outcome) {
  Session& session = *request->session;
  const BatchId batch = request->attempt.batch;
  const Ino made = outcome.made_inode ? outcome.target->ino() : Ino{};
  session.done[request->tid] = {made, batch};
  note({SessionUpdate::Kind::request_done, session.client(), request->tid, made, {}});
  if (request->body.is_replay()) {
    auto unmatched = session.unmatched.find(made);
    if (outcome.made_inode && unmatched != session.unmatched.end()) {
      restore_cap(request->session, *outcome.target, unmatched->second);
      session.unmatched.erase(unmatched);
    }
    if (outcome.made_inode) deliver_early(made);
  } else {
    ++figures_.replies_early;
    reply(*request, {}, outcome, nullptr, false);
  }
  const std::size_t bytes = request->bytes;
  session.unsafe_bytes += bytes;
  unsafe_bytes_ += bytes;
  on_commit(batch, [this, bytes, session = request->session, tid = request->tid, op = request->body.op] {
    session->unsafe_bytes -= bytes;
    unsafe_bytes_ -= bytes;
    if (!session->connection) return;
    ClientReply safe;
    safe.op = op;
    safe.mdsmap_epoch = mdsmap_epoch_;
    safe.safe = true;
    session->connection->send(msg::make_message(safe, tid));
  });
}

Task<> Server::run_request(RequestRef request) {
  const auto running = running_.insert(running_.end(), request);
  do {
    Result<> removed = co_await remove_obstacle(request);
    if (!removed) {
      std::error_code error = removed.error();
      if (error == Errc::cancelled) break;
      if (error == Errc::malformed || error == Errc::not_found) error = make_error_code(Errc::io);
      reply_bare(*request, error);
      break;
    }
    request->waiting_for = "";
  } while (request->session->state != Session::State::closing && !try_request(request));
  running_.erase(running);
  finish_request(request);
}

Task<Result<>> Server::remove_obstacle(RequestRef request) {
  Attempt& attempt = request->attempt;
  switch (attempt.obstacle) {
    case Attempt::Obstacle::none:
      break;
    case Attempt::Obstacle::load:
      request->waiting_for = "a directory";
      co_return co_await load_entry(attempt.ino, attempt.name);
    case Attempt::Obstacle::list:
      request->waiting_for = "a directory";
      co_return co_await load_after(attempt.ino, attempt.after);
    case Attempt::Obstacle::find:
      request->waiting_for = "an inode";
      if (phase_ == Phase::replaying && attempt.ino == Ino{request->body.ino} && !request->number_is_known) {
        Result<> found = co_await find(attempt.ino);
        request->number_is_known = true;
        request->number_is_free = !found && found.error() == Errc::stale;
        if (found || request->number_is_free) co_return Result<>{};
        co_return found;
      }
      co_return co_await find(attempt.ino);
    case Attempt::Obstacle::recover:
      request->waiting_for = "the size of a file whose writer is gone";
      co_return co_await recovered_.wait();
    case Attempt::Obstacle::cut:
      request->waiting_for = "an earlier truncation";
      co_return co_await wait_for_cut(attempt.ino);
    case Attempt::Obstacle::room:
      request->waiting_for = "room in the journal";
      co_return co_await room_.wait();
    case Attempt::Obstacle::commit:
      request->waiting_for = "the journal";
      co_return co_await wait_for_commit(attempt.wait_for);
    case Attempt::Obstacle::claims: {
      request->waiting_for = "caps of others";
      if (!may_wait(*request)) co_return Errc::busy;
      std::set<Ino> claimed;
      for (const auto& needed : attempt.claims) {
        Inode* inode = tree_.find(needed.first);
        if (!inode || std::ranges::find(request->held, needed) != request->held.end()) continue;
        inode->caps.claim(needed.second);
        request->held.push_back(needed);
        claimed.insert(needed.first);
      }
      for (Ino ino : claimed)
        if (Inode* inode = tree_.find(ino)) evaluate(*inode);
      for (const auto& [ino, claim] : attempt.claims) {
        Inode* inode = tree_.find(ino);
        if (!inode || inode->caps.satisfied(claim)) continue;
        auto& waiters = cap_waiters_[ino];
        if (!waiters) waiters = std::make_unique<WaitList>();
        co_return co_await waiters->wait();
      }
    }
  }
  co_return Result<>{};
}

void Server::finish_request(const RequestRef& request) {
  request->session->in_progress.erase(request->tid);
  finished_.wake_all();
  for (const auto& [ino, claim] : std::exchange(request->held, {})) {
    Inode* inode = tree_.find(ino);
    if (!inode) continue;
    inode->caps.release(claim);
    evaluate(*inode);
    wake(ino);
    if (auto it = cap_waiters_.find(ino); it != cap_waiters_.end() && it->second->empty()) cap_waiters_.erase(it);
    purge_if_unused(*inode);
  }
}

// --- replies
// -----------------------------------------------------------------------------------------------------------

void Server::put_inode(Encoder& encoder, Session& session, Inode& inode, cap::Bits wanted) {
  const InodeRecord& record = inode.record;
  Cap* cap = inode.caps.find(session.client());
  if (!cap) {
    cap = &inode.caps.add(session.client(), next_cap_id_++);
    session.caps.insert(&inode);
  }
  cap->wanted |= wanted;
  evaluate(inode, session.client());  // whoever has to give something up hears of it
  cap = inode.caps.find(session.client());
  inode.caps.issue_with_reply(*cap);
  tree_.touch(inode);
  tree_.count(inode);
  cap->xattr_version = record.xattr_version;

  msg::InodeStat stat;
  stat.ino = record.ino.value;
  stat.rdev = record.rdev;
  stat.version = record.inode_version;
  stat.xattr_version = record.xattr_version;
  stat.cap = {cap->pending, cap->wanted, cap->id, cap->sequence, 0, 1, msg::ReplyCap::flag_auth};
  stat.layout = record.layout;
  stat.ctime = record.ctime;
  stat.mtime = record.mtime;
  stat.atime = record.atime;
  stat.time_warp_sequence = record.time_warp_sequence;
  stat.size = record.size;
  stat.size_max = writable_size(inode, *cap);
  stat.truncate_size = record.truncate_size;
  stat.truncate_sequence = record.truncate_sequence;
  stat.mode = record.mode;
  stat.uid = record.uid;
  stat.gid = record.gid;
  stat.links = record.links;
  stat.files = record.files;
  stat.subdirs = record.subdirs;
  const RecursiveStats sums = record.contribution();
  stat.rbytes = static_cast<std::uint64_t>(sums.bytes);
  stat.rfiles = static_cast<std::uint64_t>(sums.files);
  stat.rsubdirs = static_cast<std::uint64_t>(sums.subdirs);
  stat.rctime = record.is_dir() ? record.rctime : record.ctime;
  stat.symlink = record.symlink;
  if (record.is_dir()) stat.dir_hash = 2;  // rjenkins
  stat.xattrs = encode(record.xattrs);
  stat.btime = record.btime;
  stat.change_attribute = record.change_attribute;
  encoder(stat);
}

void Server::reply(Request& request, Result<> result, Outcome& outcome, const Listing* listing, bool safe) {
  Session& session = *request.session;
  if (!session.connection || session.state == Session::State::closing) return;
  const std::uint64_t features = session.reply_features();
  ClientReply body;
  body.op = request.body.op;
  body.result = result ? 0 : to_wire(result.error());
  body.mdsmap_epoch = mdsmap_epoch_;
  body.safe = safe;
  // libcephfs expects the dentry of a lookup without asking for it, and looks the name up again every time if it gets
  // none.
  const bool wants_dentry = (request.body.flags & ClientRequest::flag_want_dentry) || request.body.op == MdsOp::lookup;
  body.has_dentry = outcome.dir && wants_dentry && (result || result.error() == Errc::not_found);
  body.has_target = result && outcome.target;
  if (body.has_dentry || body.has_target) {
    Encoder trace(features);
    if (body.has_dentry) {
      put_inode(trace, session, *outcome.dir);
      trace(msg::DirStat{});
      trace(outcome.name);
      const bool primary = outcome.target && outcome.target->parent_inode() == outcome.dir &&
                           outcome.target->parent->name() == outcome.name;
      trace(msg::LeaseStat{primary ? msg::LeaseStat::primary_link : std::uint16_t{0}, 0, 0});
    }
    if (body.has_target) put_inode(trace, session, *outcome.target, outcome.wanted);
    body.trace = trace.take();
  }
  if (listing) {
    Encoder extra(features);
    extra(msg::DirStat{});
    extra(static_cast<std::uint32_t>(listing->entries.size()));
    constexpr std::uint16_t end = 1 << 0, complete = 1 << 8, hash_order = 1 << 9, offset_hash = 1 << 10;
    std::uint16_t flags = listing->to_end ? end : 0;
    if (listing->from_start && listing->to_end) flags |= complete;
    if (request.body.readdir().flags & ClientRequest::Readdir::flag_bit_flags) flags |= hash_order | offset_hash;
    extra(flags);
    for (const auto& [dentry, inode] : listing->entries) {
      extra(dentry->name());
      extra(msg::LeaseStat{dentry->is_primary() ? msg::LeaseStat::primary_link : std::uint16_t{0}, 0, 0});
      put_inode(extra, session, *inode);
    }
    body.extra = extra.take();
  } else if (result && body.op == MdsOp::create) {
    const Ino made = outcome.made_inode ? outcome.target->ino() : request.made_before;
    if (made != Ino{}) body.extra = encode(made);
  }
  if (body.has_dentry || body.has_target || listing) body.snap_trace = encode(msg::SnapRealm{});
  session.connection->send(msg::make_message(body, request.tid));
}

void Server::reply_bare(Request& request, std::error_code result, Ino made) {
  Session& session = *request.session;
  if (!session.connection || session.state == Session::State::closing) return;
  ClientReply body;
  body.op = request.body.op;
  body.result = to_wire(result);
  body.mdsmap_epoch = mdsmap_epoch_;
  body.safe = true;
  if (made != Ino{} && body.op == MdsOp::create) body.extra = encode(made);
  session.connection->send(msg::make_message(body, request.tid));
}

/// Everybody who holds a file that lost a name hears how many are left: clients drop deleted files by that.
void Server::announce_links(Inode& inode) {
  for (const Cap& each : inode.caps.all()) {
    Session* session = session_of(each.client);
    Cap* cap = inode.caps.find(each.client);
    if (!session) continue;
    cap::Bits link = cap::link_shared & inode.caps.grantable(each.client);
    if (!(cap->pending & link) && (cap->issued & link)) continue;  // being revoked: asked for again later
    cap->pending |= link;
    cap->issued |= link;
    regrant(inode.ino(), each.client);
  }
}

// --- advisory locks
// ----------------------------------------------------------------------------------------------------

bool Server::try_file_lock(const RequestRef& request) {
  Attempt& attempt = request->attempt;
  Result<Inode*> found = resolve(tree_, request->body.path, attempt);
  if (!found && attempt.obstacle != Attempt::Obstacle::none) return false;
  if (!found) {
    reply_bare(*request, found.error());
    return true;
  }
  Inode& inode = **found;
  const ClientRequest::FileLock args = request->body.file_lock();
  const auto rule = static_cast<LockRule>(args.rule);
  msg::FileLockRecord lock{args.start, args.length, static_cast<std::uint64_t>(request->session->client().value),
                           args.owner, args.pid,    args.type};
  const bool known_type = lock.type == msg::FileLockRecord::shared || lock.type == msg::FileLockRecord::exclusive ||
                          lock.type == msg::FileLockRecord::unlock;
  if (args.rule < 1 || args.rule > 4 || !known_type) {
    reply_bare(*request, make_error_code(Errc::invalid));
    return true;
  }
  if (!inode.locks) inode.locks = std::make_unique<FileLocks>();
  request->session->locked.insert(inode.ino());
  if (request->body.op == MdsOp::get_file_lock) {
    ClientReply body;
    body.op = request->body.op;
    body.mdsmap_epoch = mdsmap_epoch_;
    body.safe = true;
    std::optional<msg::FileLockRecord> in_the_way = inode.locks->conflict(rule, lock);
    lock.type = msg::FileLockRecord::unlock;
    body.extra = encode(in_the_way.value_or(lock));
    if (request->session->connection) request->session->connection->send(msg::make_message(body, request->tid));
    return true;
  }
  const std::pair key{request->session->client(), request->tid};
  if (lock.type == msg::FileLockRecord::unlock) {
    const bool interrupts = rule == LockRule::fcntl_interrupt || rule == LockRule::flock_interrupt;
    std::uint64_t waiting_tid = 0;
    if (interrupts && inode.locks->cancel(rule, lock, &waiting_tid)) {
      auto it = lock_waiters_.find({key.first, waiting_tid});
      if (it != lock_waiters_.end()) {
        RequestRef waiting = std::move(it->second);
        lock_waiters_.erase(it);
        reply_bare(*waiting, std::make_error_code(std::errc::interrupted));
        finish_request(waiting);
      }
    } else {
      inode.locks->unlock(rule, lock);
    }
    reply_bare(*request, {});
    grant_file_locks(inode);
    if (!inode.locks->has(key.first)) request->session->locked.erase(inode.ino());
    if (inode.locks->empty()) inode.locks.reset();
    return true;
  }
  if (inode.locks->size() >= limits::file_locks_max) {
    reply_bare(*request, std::make_error_code(std::errc::no_lock_available));
    return true;
  }
  if (!args.wait) {
    Result<> set = inode.locks->set(rule, lock);
    reply_bare(*request, set ? std::error_code{} : set.error());
    return true;
  }
  if (!may_wait(*request)) {
    reply_bare(*request, std::make_error_code(std::errc::no_lock_available));
    return true;
  }
  Result<bool> set = inode.locks->set_or_wait(rule, lock, request->tid);
  if (set && !*set) {
    request->waiting_for = "a file lock";
    lock_waiters_[key] = request;  // answered by grant_file_locks()
    return true;
  }
  reply_bare(*request, set ? std::error_code{} : set.error());
  return true;
}

void Server::grant_file_locks(Inode& inode) {
  if (!inode.locks) return;
  for (const FileLocks::Waiter& waiter : inode.locks->take_granted()) {
    auto it = lock_waiters_.find({ClientId{static_cast<std::int64_t>(waiter.lock.client)}, waiter.tid});
    if (it == lock_waiters_.end()) continue;
    RequestRef request = std::move(it->second);
    lock_waiters_.erase(it);
    reply_bare(*request, {});
  }
}

std::string Server::requests_json() const {
  boost::json::array list;
  auto add = [&](const Request& request) {
    const std::chrono::duration<double> age = shard_.clock().now() - request.started;
    list.push_back({{"client", request.session->client().value},
                    {"tid", request.tid},
                    {"description", request.body.describe()},
                    {"age", age.count()},
                    {"waiting_for", request.waiting_for}});
  };
  for (const RequestRef& request : running_) add(*request);
  for (const auto& [key, request] : lock_waiters_)
    if (std::ranges::find(running_, request) == running_.end()) add(*request);
  return boost::json::serialize(boost::json::object{{"ops", list}, {"num_ops", list.size()}});
}

}  // namespace spirula::mds
