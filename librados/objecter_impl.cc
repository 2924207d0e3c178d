#include "librados/objecter_impl.h"

#include <algorithm>
#include <optional>

#include "base/coroutine.h"
#include "base/log.h"
#include "msg/mon_messages.h"

namespace spirula::librados {

using namespace std::chrono_literals;
using msg::ConnectionRef;
using msg::EntityType;
using msg::Message;

namespace {

constexpr std::uint16_t client_op_priority = 63;  // Ceph: osd_client_op_priority
constexpr std::size_t backoffs_per_session_max = 4096;
constexpr Duration reconnect_pause_max = 1s;
constexpr Duration latest_map_timeout = 30s;

}  // namespace

Objecter::Impl::Impl(Shard& s, msg::Messenger& m, maps::MonClient& mons, maps::OsdMapFeed& f, ObjecterOptions o)
    : shard(s),
      messenger(m),
      monitors(mons),
      feed(f),
      options(o),
      op_budget(o.ops_in_flight_max),
      byte_budget(o.bytes_in_flight_max),
      tasks(s) {}

Objecter::Impl::Session* Objecter::Impl::session_for(std::int32_t osd) {
  const maps::Osd* info = feed.current()->osd(osd);
  if (!info || !info->is_up()) return nullptr;
  auto& session = sessions[osd];
  if (!session) {
    session = std::make_unique<Session>();
    session->osd = osd;
    session->address = info->client;
    open(*session);
  }
  return session.get();
}

void Objecter::Impl::open(Session& session) {
  log_debug("objecter", "connecting to osd.{} {}", session.osd, session.address.describe());
  session.connection = messenger.connect(shard, EntityType::osd, session.address);
}

void Objecter::Impl::close(Session& session) {
  shard.clock().cancel(session.reconnect);
  if (session.connection) {
    ConnectionRef old = std::exchange(session.connection, nullptr);
    old->close();
    connection_closed(old.get());
  }
  session.backoffs.clear();
  session.backoff_count = 0;
}

Objecter::Impl::Session* Objecter::Impl::session_of(const ConnectionRef& connection) {
  for (auto& [osd, session] : sessions)
    if (session->connection == connection) return session.get();
  return nullptr;
}

void Objecter::Impl::connection_lost(Session& session) {
  close(session);
  Duration pause = std::min<Duration>(50ms * (1 << std::min(session.failures, 6u)), reconnect_pause_max);
  if (session.failures++ == 0) pause = {};
  session.reconnect = shard.clock().call_after(pause, [this, &session] {
    open(session);
    for (auto& [tid, op] : session.ops) send(*op);
  });
}

// --- operations
// -----------------------------------------------------------------------------------------------------

bool Objecter::Impl::backed_off(const Session& session, const Op& op) const {
  auto pg = session.backoffs.find(op.target.pg);
  if (pg == session.backoffs.end()) return false;
  return std::ranges::any_of(pg->second,
                             [place = op.target.place()](const auto& each) { return each.second.covers(place); });
}

void Objecter::Impl::send(Op& op) {
  Session* session = op.session;
  if (!session || !session->connection || op.target.paused || backed_off(*session, op)) return;
  msg::OsdRequest request = op.target.request(op.operation, *feed.current());
  if (op.attempts > 0) {
    request.flags |= msg::request_flag::retry;
    ++figures.resent;
  }
  request.retry_attempt = op.attempts++;
  request.client_incarnation = options.incarnation;
  request.id.incarnation = static_cast<std::int32_t>(options.incarnation);  // Ceph's OSD insists on finding it in both
  if (!op.operation.mtime) request.mtime = msg::Time::from(shard.clock().wall());
  ++figures.sent;
  if (op.linger) {
    op.linger->known_on = session->connection;
    op.linger->known = false;
    op.linger->target = op.target;
  }
  Message message = msg::make_osd_request(std::move(request), op.tid);
  message.priority = client_op_priority;
  session->connection->send(std::move(message));
}

void Objecter::Impl::assign(const OpRef& op) {
  Session* session = op->target.primary >= 0 ? session_for(op->target.primary) : nullptr;
  if (session == op->session) return;
  if (op->session) op->session->ops.erase(op->tid);
  op->session = session;
  if (session) session->ops.emplace(op->tid, op);
}

void Objecter::Impl::finish(const OpRef& op) {
  if (op->session) op->session->ops.erase(op->tid);
  op->session = nullptr;
  ops.erase(op->tid);
}

void Objecter::Impl::map_changed() {
  const maps::OsdMap& map = *feed.current();
  for (auto at = sessions.begin(); at != sessions.end();) {
    Session& session = *at->second;
    const maps::Osd* info = map.osd(session.osd);
    if (info && info->is_up() && info->client == session.address) {
      ++at;
      continue;
    }
    log_debug("objecter", "osd.{} is down or elsewhere", session.osd);
    close(session);
    for (auto& [tid, op] : session.ops) op->session = nullptr;
    at = sessions.erase(at);
  }
  lingers_follow(map);
  std::vector<OpRef> gone;
  for (auto& [tid, op] : ops) {
    Session* before = op->session;
    auto change = op->target.update(map, op->operation);
    if (change == Target::Change::pool_gone) {
      gone.push_back(op);
      continue;
    }
    assign(op);
    if (change == Target::Change::moved || op->session != before) send(*op);
  }
  for (const OpRef& op : gone) {
    finish(op);
    op->done.set(Errc::not_found);
  }
}

// --- what OSDs say
// --------------------------------------------------------------------------------------------------

void Objecter::Impl::take_reply(Session& session, const Message& message) {
  auto at = session.ops.find(message.tid);
  if (at == session.ops.end()) return;  // of an attempt that another one has answered
  OpRef op = at->second;
  auto reply = msg::read_osd_reply(message);
  if (!reply) {
    log_warning("objecter", "osd.{}: a reply that does not decode", session.osd);
    return connection_lost(session);
  }
  if (reply->retry_attempt >= 0 && reply->retry_attempt != op->attempts - 1) return;
  ++figures.answered;
  if (op->linger) op->linger->known = true;
  finish(op);
  if (reply->redirect) return op->done.set(Errc::unsupported);
  OperationResult result;
  result.result = reply->result;
  result.version = reply->version;
  result.user_version = reply->user_version;
  result.epoch = reply->epoch;
  result.ops = std::move(reply->ops);
  op->done.set(std::move(result));
}

void Objecter::Impl::take_backoff(Session& session, const Message& message) {
  auto body = msg::read_message<msg::OsdBackoff>(message);
  if (!body) return connection_lost(session);
  auto& of_pg = session.backoffs[body->pg.pg];
  if (body->kind == msg::OsdBackoff::Kind::block) {
    if (session.backoff_count >= backoffs_per_session_max) return connection_lost(session);
    if (of_pg.insert_or_assign(body->begin, *body).second) ++session.backoff_count;
    msg::OsdBackoff acknowledgement = *body;
    acknowledgement.kind = msg::OsdBackoff::Kind::ack_block;
    acknowledgement.epoch = feed.epoch();
    session.connection->send(msg::make_message(acknowledgement));
    return;
  }
  if (body->kind != msg::OsdBackoff::Kind::unblock) return;
  session.backoff_count -= std::erase_if(of_pg, [&](const auto& each) { return each.second.id == body->id; });
  if (of_pg.empty()) session.backoffs.erase(body->pg.pg);
  for (auto& [tid, op] : session.ops)
    if (op->target.pg == body->pg.pg && body->covers(op->target.place())) send(*op);
}

// --- submitting
// -----------------------------------------------------------------------------------------------------

Task<Result<OperationResult>> Objecter::Impl::submit(Target target, Operation operation, LingerRef linger) {
  if (stopping) co_return Errc::cancelled;
  std::uint64_t bytes = operation.bytes();
  ++calls;
  auto result = co_await within_budget(std::move(target), std::move(operation), bytes, std::move(linger));
  if (--calls == 0) drained.wake_all();
  co_return result;
}

Task<Result<OperationResult>> Objecter::Impl::within_budget(Target target, Operation operation, std::uint64_t bytes,
                                                            LingerRef linger) {
  CO_TRY(co_await op_budget.acquire(1));
  Result<> room = co_await byte_budget.acquire(bytes);
  Result<OperationResult> result = Errc::cancelled;
  if (room) {
    result = co_await run(std::move(target), std::move(operation), std::move(linger));
    byte_budget.release(bytes);
  }
  op_budget.release(1);
  co_return result;
}

Task<Result<OperationResult>> Objecter::Impl::run(Target target, Operation operation, LingerRef linger) {
  Duration timeout = operation.timeout != Duration{} ? operation.timeout : options.timeout;
  MonotonicTime now = shard.clock().now();
  std::optional<MonotonicTime> deadline;
  if (timeout != Duration{}) deadline = now + timeout;
  if (!feed.current()) {
    Duration patience = deadline ? timeout : Duration(std::chrono::hours(24 * 365));
    CO_TRY(co_await feed.wait_for(Epoch{1}, patience));
  }
  if (stopping) co_return Errc::cancelled;
  bool writes = operation.writes();
  OpRef op = std::make_shared<Op>();
  op->operation = std::move(operation);
  op->target = std::move(target);
  op->submitted = now;
  op->linger = std::move(linger);
  if (op->target.update(*feed.current(), op->operation) == Target::Change::pool_gone) {
    CO_TRY(co_await feed.wait_for_latest(latest_map_timeout));
    if (stopping) co_return Errc::cancelled;
    if (op->target.update(*feed.current(), op->operation) == Target::Change::pool_gone) co_return Errc::not_found;
  }
  op->tid = ++last_tid;
  ops.emplace(op->tid, op);
  assign(op);
  send(*op);
  Result<OperationResult> result = Errc::cancelled;
  if (deadline)
    result = co_await op->done.get_until(shard.clock(), *deadline);
  else
    result = co_await op->done.get();
  finish(op);
  if (!result && result.error() == make_error_code(Errc::timed_out) && writes && op->attempts > 0)
    co_return Errc::outcome_unknown;
  co_return result;
}

}  // namespace spirula::librados
