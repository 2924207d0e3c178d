#include "base/coroutine.h"
#include "base/log.h"
#include "librados/objecter_impl.h"

namespace spirula::librados {

using namespace std::chrono_literals;

namespace {

std::uint32_t whole_seconds(Duration time) {
  return static_cast<std::uint32_t>(std::chrono::ceil<std::chrono::seconds>(time).count());
}

}  // namespace

/// Registers, pings or ends a watch. A ping makes nothing known: on a new connection it fails, and says so.
Task<Result<OperationResult>> Objecter::Impl::tell_watch(LingerRef linger, msg::WatchOp what) {
  msg::OsdOp op(msg::OpCode::watch);
  op.as<msg::WatchOperand>() = {linger->cookie, 0, what, linger->generation, whole_seconds(linger->timeout)};
  Operation operation;
  operation.add(std::move(op));
  operation.timeout = linger->timeout;
  Target to = linger->target;
  if (what == msg::WatchOp::ping) co_return co_await submit(std::move(to), std::move(operation));
  linger->disturbed.reset();
  co_return co_await submit(std::move(to), std::move(operation), linger);
}

Task<> Objecter::Impl::keep_watch(LingerRef linger) {
  while (!linger->closing && !stopping) {
    Result<> quiet = co_await linger->disturbed.wait_until(shard.clock(), shard.clock().now() + linger->timeout / 4);
    if (linger->closing || stopping) co_return;
    if (!quiet && quiet.error() == make_error_code(Errc::cancelled)) co_return;
    bool moved = quiet.has_value();
    if (moved) ++linger->generation;
    auto told = co_await tell_watch(linger, moved ? msg::WatchOp::reconnect : msg::WatchOp::ping);
    if (linger->closing || stopping) co_return;
    Result<> outcome = told ? told->outcome() : Result<>(told.error());
    if (!outcome && !moved && linger->disturbed.is_set()) continue;  // the ping met an OSD that does not know us yet
    if (!outcome) co_return give_up(linger, outcome.error());
  }
}

void Objecter::Impl::give_up(const LingerRef& linger, std::error_code why) {
  if (lingers.erase(linger->cookie) == 0) return;
  linger->closing = true;
  linger->disturbed.set();
  log_info("objecter", "the watch on {} is lost: {}", linger->object.describe(), why.message());
  if (linger->events.on_lost) linger->events.on_lost(why);
}

/// While it is being made known, the operation that does so finds its own way.
void Objecter::Impl::disturb(Linger& linger) {
  if (!linger.known) return;
  linger.disturbed.set();
  if (!linger.is_watch) linger.completion.set(Errc::again);
}

void Objecter::Impl::connection_closed(const msg::Connection* connection) {
  for (auto& [cookie, linger] : lingers)
    if (linger->known_on.lock().get() == connection) disturb(*linger);
}

void Objecter::Impl::lingers_follow(const maps::OsdMap& map) {
  std::vector<LingerRef> gone;
  for (auto& [cookie, linger] : lingers) {
    auto change = linger->target.update(map, Operation{});
    if (change == Target::Change::moved) disturb(*linger);
    if (change == Target::Change::pool_gone) gone.push_back(linger);
  }
  for (const LingerRef& linger : gone) {
    linger->completion.set(Errc::not_found);
    if (linger->is_watch) give_up(linger, make_error_code(Errc::not_found));
  }
}

Task<> Objecter::Impl::acknowledge(LingerRef linger, std::uint64_t notify_id, Buffer reply) {
  msg::OsdOp op(msg::OpCode::notify_ack);
  op.input = encode(msg::NotifyAckInput{notify_id, linger->cookie, std::move(reply)});
  Operation operation;
  operation.add(std::move(op));
  operation.timeout = linger->timeout;
  Target to = linger->target;
  auto result = co_await submit(std::move(to), std::move(operation));
  if (!result) log_debug("objecter", "acknowledging a notification: {}", result.error().message());
}

void Objecter::Impl::take_watch_notify(const msg::Message& message) {
  auto body = msg::read_message<msg::WatchNotify>(message);
  if (!body) return;
  auto at = lingers.find(body->cookie);
  if (at == lingers.end()) return;
  LingerRef linger = at->second;
  switch (body->kind) {
    case msg::WatchNotify::Kind::notify: {
      if (!linger->is_watch) return;
      Buffer reply = linger->events.on_notify ? linger->events.on_notify(body->notifier, body->payload) : Buffer{};
      return tasks.spawn(acknowledge(linger, body->notify_id, std::move(reply)));
    }
    case msg::WatchNotify::Kind::notify_complete:
      if (!linger->is_watch) linger->completion.set(std::move(*body));
      return;
    case msg::WatchNotify::Kind::disconnect:
      if (linger->is_watch) give_up(linger, make_error_code(Errc::closed));
      return;
  }
}

Task<Result<std::uint64_t>> Objecter::watch(ObjectRef object, WatchEvents events, Duration timeout) {
  if (impl_->stopping) co_return Errc::cancelled;
  auto linger = std::make_shared<Impl::Linger>();
  linger->cookie = ++impl_->last_cookie;
  linger->object = object;
  linger->target = Target(std::move(object));
  linger->events = std::move(events);
  linger->timeout = timeout;
  linger->is_watch = true;
  impl_->lingers.emplace(linger->cookie, linger);
  auto told = co_await impl_->tell_watch(linger, msg::WatchOp::watch);
  Result<> outcome = told ? told->outcome() : Result<>(told.error());
  if (!outcome) {
    impl_->lingers.erase(linger->cookie);
    co_return outcome.error();
  }
  impl_->tasks.spawn(impl_->keep_watch(linger));
  co_return linger->cookie;
}

Task<Result<>> Objecter::unwatch(std::uint64_t cookie) {
  auto at = impl_->lingers.find(cookie);
  if (at == impl_->lingers.end() || !at->second->is_watch) co_return Errc::not_found;
  Impl::LingerRef linger = at->second;
  impl_->lingers.erase(at);
  linger->closing = true;
  auto told = co_await impl_->tell_watch(linger, msg::WatchOp::unwatch);
  linger->disturbed.set();
  if (!told) co_return told.error();
  co_return told->outcome();
}

Task<Result<msg::NotifyResponse>> Objecter::notify(ObjectRef object, Buffer payload, Duration timeout) {
  constexpr Duration patience = 10s;  // beyond the notification's own time, for the way there and back
  MonotonicTime deadline = impl_->shard.clock().now() + timeout + patience;
  // Every attempt is a notification of its own: an answer to an earlier one must not end it.
  while (impl_->shard.clock().now() < deadline && !impl_->stopping) {
    auto linger = std::make_shared<Impl::Linger>();
    linger->cookie = ++impl_->last_cookie;
    linger->object = object;
    linger->target = Target(object);
    linger->timeout = timeout;
    msg::OsdOp op(msg::OpCode::notify);
    op.as<msg::NotifyOperand>().cookie = linger->cookie;
    op.input = encode(msg::NotifyInput{1, whole_seconds(timeout), payload});
    Operation operation;
    operation.add(std::move(op));
    operation.timeout = timeout + patience;
    impl_->lingers.emplace(linger->cookie, linger);
    Target to = linger->target;
    auto sent = co_await impl_->submit(std::move(to), std::move(operation), linger);
    Result<> outcome = sent ? sent->outcome() : Result<>(sent.error());
    Result<msg::WatchNotify> done = Errc::cancelled;
    if (outcome) done = co_await linger->completion.get_until(impl_->shard.clock(), deadline);
    impl_->lingers.erase(linger->cookie);
    if (!outcome) co_return outcome.error();
    if (!done && done.error() == make_error_code(Errc::again)) continue;
    if (!done) co_return done.error();
    // Watchers that did not answer are listed, not an error.
    if (done->return_code < 0 && from_wire(done->return_code) != make_error_code(Errc::timed_out))
      co_return from_wire(done->return_code);
    Buffer answers = done->data.flatten();
    if (answers.empty()) co_return msg::NotifyResponse{};
    co_return decode<msg::NotifyResponse>(answers);
  }
  co_return Errc::timed_out;
}

}  // namespace spirula::librados
