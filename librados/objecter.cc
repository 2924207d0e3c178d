#include <fmt/format.h>

#include "base/check.h"
#include "base/coroutine.h"
#include "librados/objecter_impl.h"
#include "msg/mon_messages.h"

namespace spirula::librados {

using msg::ConnectionRef;
using msg::Message;
using msg::PgId;

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
  for (auto& [cookie, linger] : impl_->lingers) linger->completion.set(Errc::cancelled);
  for (auto& [osd, session] : impl_->sessions) impl_->close(*session);
  co_await impl_->tasks.stop();
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
    case msg::WatchNotify::message_type:
      return impl_->take_watch_notify(message);
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
