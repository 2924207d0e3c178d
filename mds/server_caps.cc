#include <algorithm>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "mds/request.h"

namespace spirula::mds {

using cap::Bits;
using cap::Group;
using msg::ClientCaps;

namespace {
bool is_before(std::uint32_t one, std::uint32_t two) {
  return static_cast<std::int32_t>(one - two) < 0;
}
constexpr std::uint64_t root_realm = 1;
}  // namespace

std::uint64_t Server::writable_size(const Inode& inode, const Cap& cap) const {
  return cap.wanted & cap::any_file_write ? inode.record.writable_size : 0;
}

ClientCaps Server::cap_message(const Inode& inode, const Cap& cap, ClientCaps::Op op) const {
  const InodeRecord& record = inode.record;
  ClientCaps body;
  body.op = op;
  body.ino = record.ino.value;
  body.realm = root_realm;
  body.cap_id = cap.id;
  body.sequence = cap.sequence;
  body.issue_sequence = cap.issue_sequence;
  body.caps = cap.pending;
  body.wanted = cap.wanted;
  body.uid = record.uid;
  body.gid = record.gid;
  body.mode = record.mode;
  body.links = record.links;
  body.xattr_version = record.xattr_version;
  body.size = record.size;
  body.size_max = writable_size(inode, cap);
  body.truncate_size = record.truncate_size;
  body.truncate_sequence = record.truncate_sequence;
  body.mtime = record.mtime;
  body.atime = record.atime;
  body.ctime = record.ctime;
  body.layout = record.layout;
  body.time_warp_sequence = record.time_warp_sequence;
  body.osd_epoch_barrier = osd_epoch_barrier_;
  body.btime = record.btime;
  body.change_attribute = record.change_attribute;
  body.files = record.files;
  body.subdirs = record.subdirs;
  return body;
}

void Server::send_cap(Session& session, Inode& inode, Cap& cap, ClientCaps::Op op) {
  if (!session.connection) return;
  CHECK(op == ClientCaps::Op::import || may_see(inode, session.client()), "nobody sees what is not durable");
  ClientCaps body = cap_message(inode, cap, op);
  if ((cap.pending & cap::xattr_shared) && cap.xattr_version < inode.record.xattr_version) {
    body.middle = encode(inode.record.xattrs);
    cap.xattr_version = inode.record.xattr_version;
  }
  if (op == ClientCaps::Op::import) body.snap_trace = encode(msg::SnapRealm{});
  ++figures_.cap_messages;
  session.connection->send(msg::make_message(body));
}

void Server::wake(Ino ino) {
  auto it = cap_waiters_.find(ino);
  if (it != cap_waiters_.end()) it->second->wake_all();
}

/// Every cap message shows the inode: to others only what is durable.
bool Server::may_see(const Inode& inode, ClientId client) const {
  return !inode.recovering && (inode.changed_in <= journal_.committed() || inode.changed_by == client);
}

/// Brings the caps of an inode in line with what holds now, and tells the clients.
void Server::evaluate(Inode& inode, std::optional<ClientId> replying_to) {
  std::optional<ClientId> only;
  if (inode.recovering) {
    only = ClientId{};  // nobody, until recover() has found out what there is to see
  } else if (inode.changed_in > journal_.committed()) {
    only = inode.changed_by;
    if (inode.caps.anybody_is_due(*only)) {
      hurry();
      on_commit(inode.changed_in, [this, ino = inode.ino()] {
        if (Inode* later = tree_.find(ino)) evaluate(*later);
      });
    }
  }
  for (const InodeCaps::Change& change : inode.caps.evaluate(shard_.clock().now(), only)) {
    Session* session = session_of(change.client);
    Cap* cap = inode.caps.find(change.client);
    if (!change.revokes && change.client == replying_to) continue;  // the reply carries it
    if (session && cap)
      send_cap(*session, inode, *cap, change.revokes ? ClientCaps::Op::revoke : ClientCaps::Op::grant);
  }
}

/// What the client has, said anew: as soon as it may see the inode.
void Server::regrant(Ino ino, ClientId client) {
  Inode* inode = tree_.find(ino);
  Session* session = session_of(client);
  Cap* cap = inode && session ? inode->caps.find(client) : nullptr;
  if (!cap || inode->recovering) return;  // when that is over, everybody is told
  if (!may_see(*inode, client)) {
    hurry();
    on_commit(inode->changed_in, [this, ino, client] { regrant(ino, client); });
    return;
  }
  ++cap->sequence;
  send_cap(*session, *inode, *cap, ClientCaps::Op::grant);
}

/// Once nobody writes or wants to, the size is what it is.
void Server::settle_writing(Inode& inode) {
  if (!inode.record.writable_size || inode.recovering || inode.caps.anybody_has(cap::any_file_write)) return;
  if (std::ranges::any_of(inode.caps.all(), [](const Cap& cap) { return cap.wanted & cap::any_file_write; })) return;
  inode.record.writable_size = 0;
  tree_.changed_quietly(inode);
}

void Server::remove_cap(Session& session, Inode& inode) {
  inode.caps.remove(session.client());
  session.caps.erase(&inode);
  tree_.count(inode);
  settle_writing(inode);
  evaluate(inode);
  wake(inode.ino());
  purge_if_unused(inode);
}

/// What the client changed under its caps. True if there was anything. It may have given them back with the very flush
/// that a restart of ours swallowed, so that what it holds now says nothing; its key does.
bool Server::apply_flush(Session& session, Inode& inode, const ClientCaps& body) {
  constexpr cap::Bits changes = cap::auth_exclusive | cap::xattr_exclusive | cap::file_exclusive | cap::file_write;
  const cap::Bits dirty = body.dirty & changes;
  if (!dirty || !may_change(session, inode)) return false;
  InodeRecord& record = inode.record;
  const RecursiveStats before = record.contribution();
  if (dirty & cap::auth_exclusive) {
    record.uid = body.uid;
    record.gid = body.gid;
    record.mode = (record.mode & 0170000) | (body.mode & 07777);
    if (body.btime != Time{}) record.btime = body.btime;
  }
  if ((dirty & cap::xattr_exclusive) && body.xattr_version > record.xattr_version && !body.middle.empty()) {
    auto xattrs = decode<decltype(record.xattrs)>(body.middle);
    std::size_t bytes = 0;
    if (xattrs)
      for (const auto& [name, value] : *xattrs) bytes += name.size() + value.size();
    if (xattrs && bytes <= limits::xattrs_bytes_max) {
      record.xattrs = *std::move(xattrs);
      record.xattr_version = body.xattr_version;
    }
  }
  if (dirty & (cap::file_exclusive | cap::file_write)) {
    const bool exclusive = dirty & cap::file_exclusive;
    if (exclusive ? body.mtime != record.mtime : body.mtime > record.mtime) record.mtime = body.mtime;
    // (The kernel leaves the truncation it knows out of this message; who may write has seen the newest.)
    if (record.is_file() && body.size > record.size) record.size = std::min(body.size, limits::file_bytes_max);
    if (exclusive) record.atime = body.atime;
    if (exclusive && is_before(record.time_warp_sequence, body.time_warp_sequence))
      record.time_warp_sequence = body.time_warp_sequence;
  }
  record.ctime = std::max(record.ctime, body.ctime);
  record.change_attribute = std::max(record.change_attribute, body.change_attribute);
  tree_.changed(inode, before, {session.client(), current_batch(), record.ctime});
  return true;
}

/// What waits: while we start, for the inode (which a request sent again may have to make first); later, for room in
/// the journal. What a client says about one inode stays in order.
void Server::handle_caps(CapsMessage message) {
  const Ino ino = message.ino();
  const bool too_early = phase_ != Phase::active && (phase_ != Phase::replaying || early_caps_.contains(ino) ||
                                                     (!message.release && !tree_.find(ino)));
  if (too_early) {
    if (!keep(*message.session, sizeof message + message.bytes)) return;
    message.budget_hold.reset();  // what others have to say for us to get ready must not wait for it
    early_caps_[ino].push_back(std::move(message));
    return;
  }
  if (phase_ == Phase::active && (is_full() || !deferred_caps_.empty())) {
    deferred_caps_.push_back(std::move(message));
    return;
  }
  work_on_caps(message);
}

void Server::deliver_early(Ino ino) {
  auto it = early_caps_.find(ino);
  if (it == early_caps_.end()) return;
  std::vector<CapsMessage> messages = std::move(it->second);
  early_caps_.erase(it);
  for (const CapsMessage& message : messages) work_on_caps(message);
}

void Server::deliver_deferred() {
  while (!deferred_caps_.empty() && !is_full()) {
    CapsMessage message = std::move(deferred_caps_.front());
    deferred_caps_.pop_front();
    work_on_caps(message);
  }
}

void Server::work_on_caps(const CapsMessage& message) {
  if (message.release)
    release_cap(message.session, *message.release);
  else
    update_cap(message.session, message.body, message.flush_tid);
  seal_if_full();
}

/// What it may want: a key that only reads gets no cap to change things with.
Bits Server::wanted_by(const Session& session, const Inode& inode, Bits wanted) const {
  constexpr Bits changes =
      cap::any_file_write | cap::file_extend | cap::auth_exclusive | cap::link_exclusive | cap::xattr_exclusive;
  return !(wanted & changes) || may_change(session, inode) ? wanted : wanted & ~changes;
}

/// The key allows some user to change this. Which one did is not known here: kernels do not say.
bool Server::may_change(const Session& session, const Inode& inode) const {
  if (session.access.allows_all() || inode.is_stray()) return true;
  const std::string path = session.access.is_path_restricted() ? Tree::path_of(inode).substr(1) : std::string();
  return session.access.allows_somebody(options_.file_system, path, msg::MdsCaps::read | msg::MdsCaps::write);
}

void Server::update_cap(const SessionRef& session, const ClientCaps& body, std::uint64_t flush_tid) {
  if (session->state == Session::State::closing) return;
  auto acknowledge = [this, session, ino = body.ino, dirty = body.dirty, flush_tid] {
    if (!session->connection) return;
    ClientCaps ack;  // says nothing of the inode, as Ceph's
    ack.op = ClientCaps::Op::flush_ack;
    ack.ino = ino;
    ack.dirty = dirty;
    Inode* inode = tree_.find(Ino{ino});
    if (const Cap* cap = inode ? inode->caps.find(session->client()) : nullptr) {
      ack.cap_id = cap->id;
      ack.sequence = cap->sequence;
      ack.caps = cap->pending;
    }
    ++figures_.cap_messages;
    session->connection->send(msg::make_message(ack, flush_tid));
  };
  if (body.oldest_flush_tid > session->oldest_flush) {
    session->oldest_flush = body.oldest_flush_tid;
    auto first_kept = session->flushed.lower_bound(body.oldest_flush_tid);
    if (first_kept != session->flushed.begin()) {
      session->flushed.erase(session->flushed.begin(), first_kept);
      SessionUpdate update;
      update.kind = SessionUpdate::Kind::forget_flushes;
      update.client = session->client();
      update.tid = body.oldest_flush_tid;
      note(std::move(update));
    }
  }
  const bool flushes = body.dirty && flush_tid && body.op != ClientCaps::Op::flush_snap;
  if (body.op == ClientCaps::Op::flush_snap) return;  // no snapshots, so nothing of theirs can be dirty
  auto flushed_before = session->flushed.find(flush_tid);
  Inode* inode = tree_.find(Ino{body.ino});
  Cap* cap = inode ? inode->caps.find(session->client()) : nullptr;
  if (cap && cap->id != body.cap_id) cap = nullptr;
  if (!cap) {
    // The inode (or the cap) is gone and with it whatever this was about.
    if (flushes) acknowledge();
    return;
  }
  if (flushes) {
    const bool known = flushed_before != session->flushed.end();
    if (!known && session->flushed.size() >= limits::session_completed_max) {
      tasks_.spawn(evict_in_background(session->client(), "never says which flushes it saw acknowledged"));
      return;
    }
    BatchId batch = known ? flushed_before->second : current_batch();
    if (!known) {
      apply_flush(*session, *inode, body);
      session->flushed[flush_tid] = batch;
      SessionUpdate update;
      update.kind = SessionUpdate::Kind::flush_done;
      update.client = session->client();
      update.tid = flush_tid;
      note(std::move(update));
    }
    on_commit(batch, std::move(acknowledge));
    if (body.flags & ClientCaps::flag_sync) hurry();
  }
  const bool answered_revocation = cap->revoking();
  inode->caps.confirm(*cap, body.sequence, body.caps);
  const Bits wanted = wanted_by(*session, *inode, body.wanted);
  cap->wanted = body.issue_sequence == cap->issue_sequence ? wanted : cap->wanted | wanted;
  // More room to write: asked for, or needed soon.
  bool more_room = false;
  if ((cap->wanted & cap::any_file_write) && inode->record.is_file()) {
    std::uint64_t size = writable_size_for(inode->record);
    if (body.size_max > size) size = std::min(std::max(size, body.size_max), limits::file_bytes_max);
    if (size > inode->record.writable_size) {
      inode->record.writable_size = size;
      tree_.changed_quietly(*inode);
      journal_soon();
      more_room = (cap->pending & cap::file_write) != 0;
    }
  }
  settle_writing(*inode);
  const std::uint32_t sequence = cap->sequence;
  evaluate(*inode);
  cap = inode->caps.find(session->client());
  if (more_room && cap && cap->sequence == sequence) regrant(inode->ino(), session->client());
  if (answered_revocation || flushes) wake(inode->ino());
}

void Server::release_cap(const SessionRef& session, const msg::ClientCapRelease::Item& item) {
  Inode* inode = tree_.find(Ino{item.ino});
  Cap* cap = inode ? inode->caps.find(session->client()) : nullptr;
  if (!cap || cap->id != item.cap_id) return;
  if (is_before(item.sequence, cap->issue_sequence)) return;  // we issued it anew meanwhile
  remove_cap(*session, *inode);
}

}  // namespace spirula::mds
