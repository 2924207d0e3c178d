#include "librados/objecter.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "base/promise.h"
#include "base/task_group.h"
#include "base/wait.h"
#include "librados/op_target.h"
#include "maps/mon_client.h"
#include "msg/mon_messages.h"

namespace spirula::librados {

using namespace std::chrono_literals;
using msg::ConnectionRef;
using msg::EntityType;
using msg::Message;
using msg::PgId;

namespace {

constexpr std::uint16_t client_op_priority = 63;  // Ceph: osd_client_op_priority
constexpr std::size_t backoffs_per_session_max = 4096;
constexpr Duration reconnect_pause_max = 1s;
constexpr Duration latest_map_timeout = 30s;

}  // namespace

struct Objecter::Impl {
  struct Session;

  struct Op {
    std::uint64_t tid = 0;
    Operation operation;
    Target target;
    Session* session = nullptr;
    std::int32_t attempts = 0;
    MonotonicTime submitted;
    Promise<OperationResult> done;
  };
  using OpRef = std::shared_ptr<Op>;

  struct Backoff {
    std::uint64_t id = 0;
    msg::HObject begin, end;
  };

  /// One OSD. Its connection is lossy: when it breaks another is made and everything is sent again.
  struct Session {
    std::int32_t osd = -1;
    msg::AddressVector address;
    ConnectionRef connection;
    std::map<std::uint64_t, OpRef> ops;
    std::map<PgId, std::map<msg::HObject, Backoff>> backoffs;
    std::size_t backoff_count = 0;
    unsigned failures = 0;
    Clock::TimerId reconnect = 0;
  };

  Impl(Shard& s, msg::Messenger& m, maps::MonClient& mons, maps::OsdMapFeed& f, ObjecterOptions o)
      : shard(s),
        messenger(m),
        monitors(mons),
        feed(f),
        options(o),
        op_budget(o.ops_in_flight_max),
        byte_budget(o.bytes_in_flight_max) {}

  Shard& shard;
  msg::Messenger& messenger;
  maps::MonClient& monitors;
  maps::OsdMapFeed& feed;
  ObjecterOptions options;
  Budget op_budget, byte_budget;
  bool stopping = false;
  std::uint64_t last_tid = 0;
  std::map<std::uint64_t, OpRef> ops;
  std::map<std::int32_t, std::unique_ptr<Session>> sessions;
  Figures figures;
  WaitList drained;  // submit() calls under way
  std::size_t calls = 0;

  // --- sessions
  // -------------------------------------------------------------------------------------------------------

  Session* session_for(std::int32_t osd) {
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

  void open(Session& session) {
    log_debug("objecter", "connecting to osd.{} {}", session.osd, session.address.describe());
    session.connection = messenger.connect(shard, EntityType::osd, session.address);
  }

  void close(Session& session) {
    shard.clock().cancel(session.reconnect);
    if (session.connection) std::exchange(session.connection, nullptr)->close();
    session.backoffs.clear();
    session.backoff_count = 0;
  }

  Session* session_of(const ConnectionRef& connection) {
    for (auto& [osd, session] : sessions)
      if (session->connection == connection) return session.get();
    return nullptr;
  }

  void connection_lost(Session& session) {
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

  bool backed_off(const Session& session, const Op& op) const {
    auto pg = session.backoffs.find(op.target.pg);
    if (pg == session.backoffs.end()) return false;
    msg::HObject place = op.target.place(op.operation.snap);
    auto after = pg->second.upper_bound(place);
    if (after == pg->second.begin()) return false;
    const Backoff& backoff = std::prev(after)->second;
    return place < backoff.end || place == backoff.begin;
  }

  void send(Op& op) {
    Session* session = op.session;
    if (!session || !session->connection || op.target.paused || backed_off(*session, op)) return;
    msg::OsdRequest request = op.target.request(op.operation, *feed.current());
    if (op.attempts > 0) {
      request.flags |= msg::request_flag::retry;
      ++figures.resent;
    }
    request.retry_attempt = op.attempts++;
    if (!op.operation.mtime) request.mtime = msg::Time::from(shard.clock().wall());
    ++figures.sent;
    Message message = msg::make_osd_request(std::move(request), op.tid);
    message.priority = client_op_priority;
    session->connection->send(std::move(message));
  }

  void assign(const OpRef& op) {
    Session* session = op->target.primary >= 0 ? session_for(op->target.primary) : nullptr;
    if (session == op->session) return;
    if (op->session) op->session->ops.erase(op->tid);
    op->session = session;
    if (session) session->ops.emplace(op->tid, op);
  }

  void finish(const OpRef& op) {
    if (op->session) op->session->ops.erase(op->tid);
    op->session = nullptr;
    ops.erase(op->tid);
  }

  void map_changed() {
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

  void take_reply(Session& session, const Message& message) {
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

  void take_backoff(Session& session, const Message& message) {
    auto body = msg::read_message<msg::OsdBackoff>(message);
    if (!body) return connection_lost(session);
    auto& of_pg = session.backoffs[body->pg.pg];
    if (body->kind == msg::OsdBackoff::Kind::block) {
      if (session.backoff_count >= backoffs_per_session_max) return connection_lost(session);
      if (of_pg.insert_or_assign(body->begin, Backoff{body->id, body->begin, body->end}).second)
        ++session.backoff_count;
      msg::OsdBackoff acknowledgement = *body;
      acknowledgement.kind = msg::OsdBackoff::Kind::ack_block;
      acknowledgement.epoch = feed.epoch();
      session.connection->send(msg::make_message(acknowledgement));
      return;
    }
    if (body->kind != msg::OsdBackoff::Kind::unblock) return;
    session.backoff_count -= std::erase_if(of_pg, [&](const auto& each) { return each.second.id == body->id; });
    if (of_pg.empty()) session.backoffs.erase(body->pg.pg);
    for (auto& [tid, op] : session.ops) {
      msg::HObject place = op->target.place(op->operation.snap);
      if (op->target.pg == body->pg.pg && place >= body->begin && (place < body->end || place == body->begin))
        send(*op);
    }
  }

  // --- submitting
  // -----------------------------------------------------------------------------------------------------

  Task<Result<OperationResult>> submit(Target target, Operation operation) {
    if (stopping) co_return Errc::cancelled;
    std::uint64_t bytes = operation.bytes();
    ++calls;
    auto result = co_await within_budget(std::move(target), std::move(operation), bytes);
    if (--calls == 0) drained.wake_all();
    co_return result;
  }

  Task<Result<OperationResult>> within_budget(Target target, Operation operation, std::uint64_t bytes) {
    CO_TRY(co_await op_budget.acquire(1));
    Result<> room = co_await byte_budget.acquire(bytes);
    Result<OperationResult> result = Errc::cancelled;
    if (room) {
      result = co_await run(std::move(target), std::move(operation));
      byte_budget.release(bytes);
    }
    op_budget.release(1);
    co_return result;
  }

  Task<Result<OperationResult>> run(Target target, Operation operation) {
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
};

Objecter::Objecter(Shard& shard, msg::Messenger& messenger, maps::MonClient& monitors, maps::OsdMapFeed& maps,
                   ObjecterOptions options)
    : impl_(std::make_unique<Impl>(shard, messenger, monitors, maps, options)) {
  maps.on_change([this](const maps::OsdMapFeed::MapRef&) {
    if (!impl_->stopping) impl_->map_changed();
  });
}

Objecter::~Objecter() {
  CHECK(impl_->calls == 0, "stop() first");
}

Task<> Objecter::stop() {
  impl_->stopping = true;
  for (auto& [tid, op] : impl_->ops) op->done.set(Errc::cancelled);
  for (auto& [osd, session] : impl_->sessions) impl_->close(*session);
  while (impl_->calls > 0)
    if (!co_await impl_->drained.wait()) break;
}

Task<Result<OperationResult>> Objecter::submit(ObjectRef object, Operation operation) {
  co_return co_await impl_->submit(Target(std::move(object)), std::move(operation));
}

Task<Result<OperationResult>> Objecter::execute(ObjectRef object, Operation operation) {
  CO_TRY(OperationResult result, co_await impl_->submit(Target(std::move(object)), std::move(operation)));
  CO_TRY(result.outcome());
  co_return result;
}

Task<Result<BufferList>> Objecter::read(ObjectRef object, std::uint64_t offset, std::uint64_t length) {
  Operation operation;
  operation.read(offset, length);
  CO_TRY(OperationResult result, co_await execute(std::move(object), std::move(operation)));
  co_return result.data(0);
}

namespace {

Task<Result<>> modify(Objecter& objecter, ObjectRef object, Operation operation, msg::SnapContext snaps) {
  operation.snap_context = std::move(snaps);
  CO_TRY(co_await objecter.execute(std::move(object), std::move(operation)));
  co_return Result<>{};
}

}  // namespace

Task<Result<>> Objecter::write(ObjectRef object, std::uint64_t offset, BufferList data, msg::SnapContext snaps) {
  Operation operation;
  operation.write(offset, std::move(data));
  co_return co_await modify(*this, std::move(object), std::move(operation), std::move(snaps));
}
Task<Result<>> Objecter::write_full(ObjectRef object, BufferList data, msg::SnapContext snaps) {
  Operation operation;
  operation.write_full(std::move(data));
  co_return co_await modify(*this, std::move(object), std::move(operation), std::move(snaps));
}
Task<Result<>> Objecter::append(ObjectRef object, BufferList data, msg::SnapContext snaps) {
  Operation operation;
  operation.append(std::move(data));
  co_return co_await modify(*this, std::move(object), std::move(operation), std::move(snaps));
}
Task<Result<>> Objecter::truncate(ObjectRef object, std::uint64_t size, msg::SnapContext snaps) {
  Operation operation;
  operation.truncate(size);
  co_return co_await modify(*this, std::move(object), std::move(operation), std::move(snaps));
}
Task<Result<>> Objecter::remove(ObjectRef object, msg::SnapContext snaps) {
  Operation operation;
  operation.remove();
  co_return co_await modify(*this, std::move(object), std::move(operation), std::move(snaps));
}

Task<Result<msg::StatOutput>> Objecter::stat(ObjectRef object) {
  Operation operation;
  operation.stat();
  CO_TRY(OperationResult result, co_await execute(std::move(object), std::move(operation)));
  co_return result.stat(0);
}

Task<Result<OmapValues>> Objecter::omap_all(ObjectRef object) {
  constexpr std::uint64_t page = 1024;
  OmapValues all;
  std::string after;
  for (bool more = true; more;) {
    Operation operation;
    operation.omap_get(after, page);
    CO_TRY(OperationResult result, co_await execute(object, std::move(operation)));
    CO_TRY(OperationResult::Omap part, result.omap(0));
    more = part.more && !part.values.empty();
    if (!part.values.empty()) after = part.values.rbegin()->first;
    all.merge(part.values);
  }
  co_return all;
}

Task<Result<Objecter::Page>> Objecter::list(PgId pg, std::string name_space, msg::HObject from,
                                            std::uint64_t count_max) {
  Operation operation;
  msg::OsdOp op(msg::OpCode::pgnls);
  op.as<msg::ListingOperand>() = {count_max, impl_->feed.epoch()};
  op.input = encode(from);
  operation.add(std::move(op));
  operation.flags |= msg::request_flag::ignore_overlay;
  operation.snap = msg::snap_head;
  CO_TRY(OperationResult result,
         co_await impl_->submit(Target(pg, std::move(name_space), from.hash), std::move(operation)));
  CO_TRY(BufferList bytes, result.data(0));
  CO_TRY(auto output, decode<msg::ListingOutput>(bytes.flatten()));
  co_return Page{std::move(output.entries), std::move(output.handle), result.result == 1};
}

Task<Result<>> Objecter::wait_for_map(Epoch epoch, Duration timeout) {
  co_return co_await impl_->feed.wait_for(epoch, timeout);
}

std::shared_ptr<const maps::OsdMap> Objecter::map() const {
  return impl_->feed.current();
}

Objecter::Figures Objecter::figures() const {
  Figures now = impl_->figures;
  now.in_flight = impl_->ops.size();
  now.sessions = impl_->sessions.size();
  return now;
}

std::vector<std::string> Objecter::describe_in_flight() const {
  std::vector<std::string> lines;
  MonotonicTime now = impl_->shard.clock().now();
  for (const auto& [tid, op] : impl_->ops) {
    std::string what;
    for (const msg::OsdOp& each : op->operation.ops) what += (what.empty() ? "" : ",") + each.describe();
    lines.push_back(fmt::format("tid {} pg {} osd.{} {} [{}] attempt {} for {} ms{}", tid, op->target.pg.describe(),
                                op->target.primary, op->target.object.describe(), what, op->attempts,
                                std::chrono::duration_cast<std::chrono::milliseconds>(now - op->submitted).count(),
                                op->target.paused ? " paused" : ""));
  }
  return lines;
}

void Objecter::on_message(ConnectionRef connection, Message message) {
  Impl::Session* session = impl_->session_of(connection);
  if (!session || impl_->stopping) return;
  switch (message.type) {
    case msg::OsdReply::message_type:
      return impl_->take_reply(*session, message);
    case msg::OsdBackoff::message_type:
      return impl_->take_backoff(*session, message);
    case msg::OsdMapMessage::message_type:
      if (auto maps = msg::read_message<msg::OsdMapMessage>(message)) impl_->feed.take(*maps);
      return;
    default:
      return;
  }
}

void Objecter::on_connect(ConnectionRef connection) {
  if (Impl::Session* session = impl_->session_of(connection)) session->failures = 0;
}

void Objecter::on_reset(ConnectionRef connection) {
  Impl::Session* session = impl_->session_of(connection);
  if (session && !impl_->stopping) impl_->connection_lost(*session);
}

}  // namespace spirula::librados
