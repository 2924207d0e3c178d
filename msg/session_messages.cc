#include "msg/session.h"

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "msg/limits.h"

namespace spirula::msg {
using namespace std::chrono_literals;

namespace {
constexpr Duration ack_delay = 20ms;  ///< how long an acknowledgement waits for a message to carry it
constexpr int keepalives_unanswered_max = 6;
}  // namespace

namespace {

std::size_t bytes_of(const Message& message) {
  return message.front.size() + message.middle.size() + message.data.size();
}

/// Only what others ask of us counts. Answers and maps come over connections that we made: they let go of what is held,
/// and would wait in a circle. So would what OSDs send each other.
bool is_budgeted(const MessengerCore& core, EntityType peer, bool made_by_us) {
  return !made_by_us && (peer != EntityType::osd || core.options.name.type != EntityType::osd);
}

}  // namespace

// --- sending

void Session::send(Message message) {
  message.sequence = 0;
  message.budget_hold.reset();
  if (shard_.here()) return enqueue(std::move(message));
  shard_.post([self = std::static_pointer_cast<Session>(shared_from_this()), message = std::move(message)]() mutable {
    self->enqueue(std::move(message));
  });
}

void Session::enqueue(Message message) {
  if (closed_) return;
  if (queue_.size() + sent_.size() >= limits::queued_messages_max) {
    log_warning("msg", "{}: takes no messages, {} are waiting; cut off", describe(), queue_.size() + sent_.size());
    return reset("its queue is full");
  }
  unsent_bytes_ += bytes_of(message);
  queue_.push_back(std::move(message));
  if (transport_)
    write_soon();
  else
    changed_.set();
}

void Session::acknowledged(std::uint64_t sequence) {
  while (!sent_.empty() && sent_.front().sequence <= sequence) sent_.pop_front();
}

/// After a break: what had not arrived is sent again, in its old order and under its old numbers.
void Session::requeue_from(std::uint64_t sequence_arrived) {
  acknowledged(sequence_arrived);
  while (!sent_.empty()) {
    unsent_bytes_ += bytes_of(sent_.back());
    queue_.push_front(std::move(sent_.back()));
    sent_.pop_back();
  }
  // A message may have arrived although we never saw it leave: it was in flight when the stream broke.
  while (!queue_.empty() && queue_.front().sequence != 0 && queue_.front().sequence <= sequence_arrived) {
    unsent_bytes_ -= bytes_of(queue_.front());
    queue_.pop_front();
  }
}

/// A fresh session with the same peer: everything not acknowledged goes out anew, numbered from one.
void Session::forget_sequences() {
  requeue_from(0);
  for (Message& message : queue_) message.sequence = 0;
  in_sequence_ = out_sequence_ = connect_sequence_ = 0;
  unacknowledged_ = 0;
}

// --- messages

/// Until the stream ends, from either side.
Task<> Session::pump(std::shared_ptr<Transport> transport) {
  auto self = std::static_pointer_cast<Session>(shared_from_this());
  writing_ = false;
  writable_.set();
  core_.state_of(shard_).tasks.spawn(write_messages(self, transport));
  arm_tick();
  Result<> ended = co_await read_messages(transport);
  reading_ = false;
  if (!ended) {
    auto level = ended.error() == make_error_code(Errc::malformed) || ended.error() == make_error_code(Errc::too_large)
                     ? LogLevel::warning
                     : LogLevel::debug;
    if (!transport->closed()) log_at(level, "msg", "{}: stream ended: {}", describe(), ended.error().message());
  }
  transport->close();
  writable_.set();  // the writer looks up and sees it
}

Task<Result<>> Session::read_messages(std::shared_ptr<Transport> transport) {
  FrameReader& reader = transport->reader();
  while (true) {
    CO_TRY(FrameReader::Step step, reader.next());
    if (step == FrameReader::Step::bytes) {
      reading_ = false;
      write_now();
      CO_TRY(co_await transport->read_more());
      continue;
    }
    if (step == FrameReader::Step::permit) {
      while (lossy_ && unsent_bytes_ > limits::unsent_bytes_max && !transport->closed()) {
        drained_.reset();
        reading_ = false;
        write_now();
        if (unsent_bytes_ > limits::unsent_bytes_max) CO_TRY(co_await drained_.wait());
      }
      std::size_t bytes = reader.announced();
      ReceiveBudget& budget = *core_.budget;
      const bool budgeted = is_budgeted(core_, peer_type_, made_by_us_);
      while (budgeted && !budget.try_take(bytes)) {
        budget.wanted = true;
        if (budget.try_take(bytes)) break;  // room came between the two
        reading_ = false;
        write_now();
        CO_TRY(co_await core_.state_of(shard_).receivers.wait());
      }
      reader.permit();
      continue;
    }
    reading_ = true;
    CO_TRY(handle_frame(*transport));
    // Whatever the dispatcher did in there may have ended this stream.
    if (transport->closed()) co_return Errc::closed;
  }
}

Result<> Session::handle_frame(Transport& transport) {
  switch (transport.reader().frame().tag) {
    case Tag::message:
      return handle_message(transport);
    case Tag::ack: {
      TRY(auto ack, transport.take<wire::Ack>());
      acknowledged(ack.value);
      return {};
    }
    case Tag::keepalive2: {
      TRY(auto keepalive, transport.take<wire::Keepalive>());
      keepalive_answer_ = keepalive.time;
      write_soon();
      return {};
    }
    case Tag::keepalive2_ack:
      return {};
    default:
      return Errc::malformed;
  }
}

Result<> Session::handle_message(Transport& transport) {
  Frame& frame = transport.reader().frame();
  if (frame.control.size() != MessageHeader::wire_size) return Errc::malformed;
  MessageHeader header = MessageHeader::get(frame.control.data());
  std::size_t bytes = frame.segments[0].size() + frame.segments[1].size() + frame.segments[2].size();
  std::shared_ptr<void> hold;
  if (bytes && is_budgeted(core_, peer_type_, made_by_us_)) hold = std::make_shared<BudgetHold>(core_.budget, bytes);
  acknowledged(header.ack_sequence);
  if (header.sequence <= in_sequence_) return {};  // it came over an earlier stream already
  if (header.sequence != in_sequence_ + 1 && !lossy_)
    log_debug("msg", "{}: message {} after {}: the peer took some back", describe(), header.sequence, in_sequence_);
  in_sequence_ = header.sequence;
  if (!lossy_) note_ack();
  Message message;
  message.type = header.type;
  message.version = header.version;
  message.compat = header.compat;
  message.priority = header.priority;
  message.tid = header.tid;
  message.sequence = header.sequence;
  message.data_offset = header.data_offset;
  message.front = std::move(frame.segments[0]);
  message.middle = std::move(frame.segments[1]);
  if (!frame.segments[2].empty()) message.data.append(std::move(frame.segments[2]));
  message.budget_hold = std::move(hold);
  core_.dispatcher.on_message(shared_from_this(), std::move(message));
  return {};
}

void Session::note_ack() {
  if (++unacknowledged_ >= limits::ack_messages_max) {
    ack_now_ = true;
    write_soon();
  } else if (unacknowledged_ == 1) {
    auto weak = std::weak_ptr<Connection>(weak_from_this());
    ack_timer_ = shard_.clock().call_after(ack_delay, [weak] {
      auto self = std::static_pointer_cast<Session>(weak.lock());
      if (!self || self->unacknowledged_ == 0) return;
      self->ack_now_ = true;
      self->write_soon();
    });
  }
}

void Session::put_message(Transport& transport, Message message) {
  if (message.sequence == 0) message.sequence = ++out_sequence_;
  MessageHeader header;
  header.sequence = message.sequence;
  header.tid = message.tid;
  header.type = message.type;
  header.priority = message.priority;
  header.version = message.version;
  header.compat = message.compat;
  header.data_offset = message.data_offset;
  header.ack_sequence = in_sequence_;
  if (unacknowledged_) {
    unacknowledged_ = 0;
    ack_now_ = false;
    shard_.clock().cancel(ack_timer_);
  }
  transport.writer().message(header, message, transport.batch());
  if (!lossy_) sent_.push_back(std::move(message));
}

/// Gathers the next write; false if there is nothing to say.
bool Session::fill(Transport& transport) {
  WriteBatch& batch = transport.batch();
  FrameWriter& writer = transport.writer();
  if (writer.is_busy()) {
    writer.resume(batch);
    if (writer.is_busy()) return true;
  }
  if (keepalive_answer_) {
    transport.put(wire::KeepaliveAck{*keepalive_answer_});
    keepalive_answer_.reset();
  }
  if (std::exchange(keepalive_due_, false)) transport.put(wire::Keepalive{Time::from(shard_.clock().wall())});
  while (!queue_.empty() && !batch.is_full() && !writer.is_busy()) {
    Message message = std::move(queue_.front());
    queue_.pop_front();
    unsent_bytes_ -= bytes_of(message);
    if (unsent_bytes_ <= limits::unsent_bytes_max) drained_.set();
    put_message(transport, std::move(message));
  }
  if (ack_now_ && !writer.is_busy()) {
    ack_now_ = false;
    unacknowledged_ = 0;
    transport.put(wire::Ack{in_sequence_});
  }
  return !batch.empty();
}

/// After what is running now, so that everything queued meanwhile goes out with one call of the kernel.
void Session::write_soon() {
  if (reading_ || writing_ || write_posted_) return;
  write_posted_ = true;
  shard_.post([self = std::static_pointer_cast<Session>(shared_from_this())] {
    self->write_posted_ = false;
    self->write_now();
  });
}

/// What the stream takes without waiting; write_messages() waits for the rest.
void Session::write_now() {
  if (!transport_ || writing_) return;
  Transport& transport = *transport_;
  while (!transport.closed() && (!transport.batch().empty() || fill(transport))) {
    auto done = transport.try_flush();
    if (!done) {
      drained_.set();
      return transport.close();
    }
    if (!*done) return writable_.set();
  }
  transport.batch().clear(true);
}

Task<> Session::write_messages(SessionRef self, std::shared_ptr<Transport> transport) {
  while (!transport->closed() && self->transport_ == transport) {
    self->writable_.reset();
    if (!transport->batch().empty() || self->fill(*transport)) {
      self->writing_ = true;
      Result<> written = co_await transport->flush();
      if (self->transport_ == transport) self->writing_ = false;
      if (!written) break;
      continue;
    }
    transport->batch().clear(true);
    Result<> woken = co_await self->writable_.wait();
    if (!woken) break;
  }
  transport->close();
  self->drained_.set();  // the reader looks up and sees it
}

// --- time

void Session::arm_tick() {
  shard_.clock().cancel(tick_timer_);
  auto weak = std::weak_ptr<Connection>(weak_from_this());
  tick_timer_ = shard_.clock().call_after(core_.options.keepalive_interval, [weak] {
    if (auto self = std::static_pointer_cast<Session>(weak.lock())) self->tick();
  });
}

/// Keepalives on the connections we made; an end to streams that have been silent for too long.
void Session::tick() {
  if (closed_ || !transport_) return;
  Duration silent = shard_.clock().now() - transport_->last_read();
  bool dead = made_by_us_ ? silent > core_.options.keepalive_interval * keepalives_unanswered_max
                          : silent > core_.options.idle_max;
  if (dead) {
    log_info("msg", "{}: silent for too long, closed", describe());
    transport_->close();
    return;
  }
  if (made_by_us_) {
    keepalive_due_ = true;
    write_soon();
  }
  arm_tick();
}

}  // namespace spirula::msg
