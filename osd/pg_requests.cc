#include <algorithm>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "msg/receive_budget.h"
#include "osd/interpreter.h"
#include "osd/placement_group.h"

/// The life of a client's request in its PG: queued at its object, decided, written, answered. What can be done at
/// once is done without a coroutine.
namespace spirula::osd {

struct PlacementGroup::Writing {
  ClientOpRef op;
  ObjectContext* object;
  Hold hold;
  Outcome outcome;
  Version at;
  std::uint64_t user_version;
};

std::string ClientOp::describe() const {
  std::string text =
      fmt::format("osd_op({}.{} {} {} [", object.id.client.describe(), tid, wire.pg.pg.describe(), wire.object);
  for (std::size_t i = 0; i < object.ops.size(); ++i) text += (i ? "," : "") + object.ops[i].describe();
  return text + "])";
}

/// As far as the request tells: a length of 0 is all that there is, and longer than most objects are many ask for to be
/// sure to get all.
void ClientOp::begin_reading() {
  if (!budget_hold || read_bytes > 0) return;
  for (const OsdOp& op : object.ops) {
    if (op.code != OpCode::read && op.code != OpCode::sync_read && op.code != OpCode::sparse_read) continue;
    std::uint64_t length = op.extent().length;
    read_bytes += length == 0 ? limits::read_size_counted_max : std::min(length, limits::read_size_counted_max);
  }
  if (read_bytes > 0) static_cast<msg::BudgetHold*>(budget_hold.get())->add(read_bytes);
}

void ClientOp::take_back_reading() {
  if (read_bytes > 0) static_cast<msg::BudgetHold*>(budget_hold.get())->take_back(std::exchange(read_bytes, 0));
}

bool ClientOp::is_room_short() const {
  return budget_hold && static_cast<msg::BudgetHold*>(budget_hold.get())->budget->is_half_used();
}

void PlacementGroup::submit(ClientOpRef op) {
  if (stopping_ || info_.removing || !primary_) return;         // a newer map tells the client whom to ask
  if (backoffs_.hold(op->connection, op->object.head)) return;  // it will be sent again
  if (op->arrival == 0) op->arrival = ++arrivals_;
  if (!active_ || resetting_) {
    if (is_to_back_off(*op, waiting_for_active_.size())) return back_off(*op);
    op->stage = "waiting for peering";
    if (waiting_for_active_.size() >= limits::waiting_operations_max) waiting_for_active_.pop_front();
    waiting_for_active_.push_back(std::move(op));
    return;
  }
  in_flight_.emplace(op.get(), op);
  if (op->nature.is_listing) {
    if (!missing_.empty()) {
      op->stage = "waiting for missing objects";
      waiting_for_objects_.push_back(std::move(op));
      return;
    }
    work_->spawn(list(std::move(op)));
    return;
  }
  ObjectContext& object = objects_.get(op->object.head);
  op->stage = "waiting for its object";
  object.queue.push_back(std::move(op));
  start_queued(object);
}

/// What waits must leave room for others. `waiting`: how many wait for the same.
bool PlacementGroup::is_to_back_off(const ClientOp& op, std::size_t waiting) const {
  if (!op.connection || !Backoffs::understood_by(*op.connection)) return false;
  return host_.backs_off_at_once() || waiting >= limits::waiting_together_max || op.is_room_short();
}

void PlacementGroup::begin_backoff(const ClientOp& op, const ObjectId& object) {
  backoffs_.begin(op.connection, object, op.wire.pg, host_.epoch(), host_.next_notify_id());
  host_.count_backoff();
}

void PlacementGroup::back_off(const ClientOp& op) {
  msg::ConnectionRef connection = op.connection;
  begin_backoff(op, Backoffs::whole_pg);
  std::erase_if(waiting_for_active_, [&](const ClientOpRef& each) { return each->connection == connection; });
}

/// Of what was under way when the interval ended, which may be more than half of all that there is room for.
void PlacementGroup::back_off_waiting() {
  std::erase_if(waiting_for_active_,
                [this](const ClientOpRef& op) { return backoffs_.hold(op->connection, op->object.head); });
  for (;;) {
    auto found = std::ranges::find_if(
        waiting_for_active_, [this](const ClientOpRef& op) { return is_to_back_off(*op, waiting_for_active_.size()); });
    if (found == waiting_for_active_.end()) return;
    back_off(**found);
  }
}

/// Of what waits for an object that nobody has.
void PlacementGroup::back_off_queued(ObjectContext& object) {
  for (;;) {
    auto found = std::ranges::find_if(object.queue,
                                      [&](const ClientOpRef& op) { return is_to_back_off(*op, object.queue.size()); });
    if (found == object.queue.end()) return;
    msg::ConnectionRef connection = (*found)->connection;
    begin_backoff(**found, object.head);
    drop_queued(object, connection);
  }
}

void PlacementGroup::drop_queued(ObjectContext& object, const msg::ConnectionRef& connection) {
  std::erase_if(object.queue, [&](const ClientOpRef& op) {
    if (op->connection != connection) return false;
    in_flight_.erase(op.get());
    return true;
  });
}

Hold PlacementGroup::hold_for(const ClientOp& op, const ObjectContext& object) const {
  if (!object.loaded) return Hold::alone;
  if (!op.nature.changes) return Hold::read;
  return op.nature.depends_on_content || host_.is_cautious() ? Hold::alone : Hold::change;
}

void PlacementGroup::start_queued(ObjectContext& object) {
  if (object.starting) return;
  object.starting = true;
  while (!object.queue.empty()) {
    ClientOp& next = *object.queue.front();
    if (must_wait(object.head, next.nature.changes)) {
      next.stage = "waiting for its object's recovery";
      wanted_.push_back(object.head);
      recovery_wanted_.set();
      if (is_unfound(object.head)) back_off_queued(object);
      break;
    }
    if (waits_for_room(next)) {
      next.stage = "waiting for the space that commits give back";
      break;
    }
    Hold hold = hold_for(next, object);
    if (!object.may_start(hold)) break;
    object.take(hold);
    ClientOpRef op = std::move(object.queue.front());
    object.queue.pop_front();
    begin(op, object, hold);
  }
  object.starting = false;
  objects_.release(object);
}

void PlacementGroup::finish(const ClientOpRef& op, ObjectContext& object, Hold hold) {
  in_flight_.erase(op.get());
  object.release(hold);
  start_queued(object);  // `object` may be gone after this
}

void PlacementGroup::begin(const ClientOpRef& op, ObjectContext& object, Hold hold) {
  if (op->connection && op->connection->closed()) return finish(op, object, hold);  // it will be sent again
  if (op->nature.changes && answer_repeated(op)) return finish(op, object, hold);
  op->begin_reading();
  if (!object.loaded) {
    auto attributes = host_.store().get_attributes_now(object.head);
    if (!attributes) {
      op->stage = "reading the object's info";
      work_->spawn(load_and_decide(op, object, hold));
      return;
    }
    if (!take_loaded(op, object, hold, *attributes)) return;
  }
  Inputs inputs;
  Outcome outcome = interpret(op->object, object.state, object.snaps, host_.classes(), inputs);
  if (inputs.incomplete() && inputs.fetch_now(host_.store()))
    outcome = interpret(op->object, object.state, object.snaps, host_.classes(), inputs);
  if (inputs.incomplete()) {
    op->stage = "reading";
    work_->spawn(fetch_and_decide(op, object, hold, std::move(inputs)));
    return;
  }
  act(op, object, hold, std::move(outcome));
}

/// False: what the store has of the object cannot be used, and the request is answered.
bool PlacementGroup::take_loaded(const ClientOpRef& op, ObjectContext& object, Hold& hold,
                                 const Result<Attributes>& attributes) {
  auto state = decode_state(attributes);
  auto snaps = decode_snaps(attributes);
  if (!state || !snaps) {
    log_error("osd", "pg {}: info of {}: {}", id_.describe(), object.head.describe(),
              attributes ? "missing or does not decode" : attributes.error().message());
    reply_result(*op, -EIO, {}, 0);
    finish(op, object, hold);
    return false;
  }
  object.state = std::move(*state);
  object.snaps = std::move(*snaps);
  object.loaded = true;
  if (!object.state.info.watchers.empty()) {
    object.watches.restore(object.state.info, host_.shard().clock().now());
    watched_.insert(&object);
  }
  // From "alone" down to what the request needs.
  object.release(hold);
  hold = hold_for(*op, object);
  object.take(hold);
  return true;
}

Task<> PlacementGroup::load_and_decide(ClientOpRef op, ObjectContext& object, Hold hold) {
  auto attributes = co_await host_.store().get_attributes(object.head);
  if (halted()) co_return;
  if (!take_loaded(op, object, hold, attributes)) co_return;
  object.starting = true;  // keeps it alive while begin() may already finish
  begin(op, object, hold);
  object.starting = false;
  start_queued(object);
}

Task<> PlacementGroup::fetch_and_decide(ClientOpRef op, ObjectContext& object, Hold hold, Inputs inputs) {
  Outcome outcome;
  for (unsigned pass = 0;; ++pass) {
    co_await inputs.fetch(host_.store(), collection());
    if (halted()) co_return;
    if (inputs.too_large()) {
      outcome = Outcome{};
      outcome.result = -E2BIG;
      break;
    }
    outcome = interpret(op->object, object.state, object.snaps, host_.classes(), inputs);
    if (!inputs.incomplete()) break;
    if (pass >= limits::passes_max) {
      outcome = Outcome{};
      outcome.result = -ELOOP;
      break;
    }
  }
  act(op, object, hold, std::move(outcome));
}

void PlacementGroup::act(const ClientOpRef& op, ObjectContext& object, Hold hold, Outcome outcome) {
  if (outcome.result >= 0 && outcome.changes) return write(op, object, hold, std::move(outcome));
  if (outcome.result >= 0) apply_effects(*op, object, outcome);
  ++usage_.reads;
  auto answer = [this, op, &object, outcome = std::move(outcome)]() mutable {
    reply(*op, outcome, {}, outcome.after.info.user_version, false);
    start_notifies(*op, object, outcome);
  };
  // If it was decided on changes that are not durable yet, whoever learns of them must be able to rely on them.
  if (object.submitted == object.completed)
    answer();
  else
    object.after_commit.emplace_back(object.submitted, std::move(answer));
  finish(op, object, hold);
}

namespace {
bool goes_when_full(const ClientOp& op) {
  return op.nature.shrinks_only || op.from_mds || (op.wire.flags & msg::request_flag::full_force);
}
}  // namespace

/// A full store may have room again after its next commits: nobody is refused before they were tried.
bool PlacementGroup::waits_for_room(ClientOp& op) {
  if (!op.nature.changes || goes_when_full(op) || !host_.is_full()) return false;
  if (op.room_attempt == 0) op.room_attempt = host_.make_room();
  return host_.room_attempts() < op.room_attempt;
}

void PlacementGroup::on_room() {
  objects_.for_each_waiting([this](ObjectContext& object) { start_queued(object); });
}

std::int32_t PlacementGroup::refuse_full(const ClientOp& op, const Outcome& outcome) const {
  bool pool_full = pool_->has(maps::Pool::full), quota = pool_->has(maps::Pool::full_quota);
  bool grows = outcome.delta.bytes > 0 || outcome.delta.objects > 0;
  if (goes_when_full(op)) return 0;
  if (!pool_full && !quota && !map_->has(maps::map_flag::full))
    return op.room_attempt != 0 && host_.is_full() ? -ENOSPC : 0;
  if (!grows) return 0;
  if (op.wire.flags & msg::request_flag::full_try) return quota ? -EDQUOT : -ENOSPC;
  return -EAGAIN;
}

void PlacementGroup::write(const ClientOpRef& op, ObjectContext& object, Hold hold, Outcome outcome) {
  if (std::int32_t full = refuse_full(*op, outcome)) {
    // Without FULL_TRY the client waits for a map without the flag, and sends again then.
    if (full != -EAGAIN) reply_result(*op, full, {}, object.state.info.user_version);
    return finish(op, object, hold);
  }
  auto writing = std::make_shared<Writing>();
  writing->op = op;
  writing->object = &object;
  writing->at = {map_->epoch, ++version_};
  if (outcome.user_changes) user_version_ = std::max(user_version_, outcome.after.info.user_version) + 1;
  writing->user_version = outcome.user_changes ? user_version_ : outcome.after.info.user_version;

  Transaction transaction;
  using msg::request_flag::full_force, msg::request_flag::full_try;
  if (op->nature.shrinks_only || op->from_mds || (op->wire.flags & (full_force | full_try)))
    transaction.space = filestore::Space::reserve;
  ++usage_.writes;
  usage_.written_bytes += op->nature.input_bytes;
  seal(outcome, op->object, object.state, writing->at, writing->user_version, transaction);
  PgLogEntry entry;
  entry.kind = outcome.after.exists() ? PgLogEntry::Kind::modify : PgLogEntry::Kind::remove;
  entry.object = op->object.head;
  entry.at = writing->at;
  entry.prior = object.state.info.changed;
  entry.user_version = writing->user_version;
  entry.request = op->object.id;
  entry.modified = op->object.modified;
  entry.stored = outcome.after.stored;
  Version previous = log_.head();
  Version keep_from = log_.append(entry, outcome.delta, host_.log_entries_max(), transaction);

  object.state = outcome.after;
  object.snaps = outcome.snaps;
  if (!object.state.stored) object.state.info.changed = writing->at;
  ++object.submitted;
  undurable_.insert(writing->at);
  if (op->object.id.client.number >= 0) unstable_.emplace(op->object.id, op);
  op->stage = "writing";
  if (hold == Hold::alone && !host_.is_cautious()) {
    object.release(hold);
    hold = Hold::change;
    object.take(hold);
  }
  writing->hold = hold;
  writing->outcome = std::move(outcome);
  // It takes its place in the collection's order here; the next change may be decided at once.
  Task<Result<>> stored = commit(entry, previous, keep_from, std::move(transaction));
  bool outermost = !std::exchange(object.starting, true);  // a store may answer at once: keep the object
  work_->spawn(complete(std::move(writing), std::move(stored)));
  if (!outermost) return;
  object.starting = false;
  start_queued(object);
}

Task<> PlacementGroup::complete(std::shared_ptr<Writing> writing, Task<Result<>> stored) {
  Result<> result = co_await std::move(stored);
  if (halted()) co_return;
  ClientOp& op = *writing->op;
  ObjectContext& object = *writing->object;
  unstable_.erase(op.object.id);
  ++object.completed;
  note_durable(writing->at);
  if (!result) {
    object.loaded = false;  // what we remember is not what the store has
    log_.retract(op.object.id, writing->at, writing->outcome.delta);
    bool refused = result.error() == make_error_code(Errc::no_space) ||
                   result.error() == make_error_code(Errc::too_large) ||
                   result.error() == make_error_code(Errc::name_too_long);
    if (refused && !replicas_.empty()) {
      // Replicas may have it all the same: start over from what is stored.
      reply_result(op, to_wire(result.error()), {}, 0);
      begin_interval();
      co_return;
    }
    if (refused) {
      reply_result(op, to_wire(result.error()), {}, 0);
      for (auto& again : op.duplicates) reply_result(*again, to_wire(result.error()), {}, 0);
    } else {
      log_error("osd", "pg {}: {} failed: {}", id_.describe(), op.describe(), result.error().message());
      host_.store_failed(result.error());
      co_return;
    }
  } else {
    apply_effects(op, object, writing->outcome);
    reply(op, writing->outcome, writing->at, writing->user_version, true);
    start_notifies(op, object, writing->outcome);
    for (auto& again : op.duplicates) reply_result(*again, 0, writing->at, writing->user_version);
  }
  while (!object.after_commit.empty() && object.after_commit.front().first <= object.completed) {
    auto answer = std::move(object.after_commit.front().second);
    object.after_commit.pop_front();
    answer();
  }
  finish(writing->op, object, writing->hold);
}

bool PlacementGroup::answer_repeated(const ClientOpRef& op) {
  if (op->object.id.client.number < 0) return false;  // our own: they have no ids
  auto unstable = unstable_.find(op->object.id);
  if (unstable != unstable_.end()) {
    unstable->second->duplicates.push_back(op);
    return true;
  }
  auto answer = log_.find(op->object.id);
  if (!answer) return false;
  reply_result(*op, 0, answer->at, answer->user_version);
  return true;
}

void PlacementGroup::apply_effects(ClientOp& op, ObjectContext& object, Outcome& outcome) {
  if (outcome.watches.empty() && outcome.notifies.empty() && outcome.acknowledgements.empty()) return;
  MonotonicTime now = host_.shard().clock().now();
  for (const WatchEffect& effect : outcome.watches) {
    switch (effect.kind) {
      case WatchEffect::Kind::connect:
        object.watches.connect(effect, op.connection, now);
        break;
      case WatchEffect::Kind::ping:
        if (!object.watches.ping(effect.key, now)) outcome.result = -ETIMEDOUT;
        break;
      case WatchEffect::Kind::disconnect:
        object.watches.remove(effect.key, false);
        break;
      case WatchEffect::Kind::removed_with_object:
        object.watches.remove(effect.key, true);
        break;
    }
  }
  for (const NotifyAckEffect& ack : outcome.acknowledgements) object.watches.acknowledge(ack, op.object.client);
  for (NotifyEffect& effect : outcome.notifies) {
    effect.id = host_.next_notify_id();
    outcome.ops.at(effect.op).output = encode(effect.id);
  }
  // An object nobody watches may be let go at any time: tick() must not find it here.
  if (object.watches.empty())
    watched_.erase(&object);
  else
    watched_.insert(&object);
}

void PlacementGroup::start_notifies(ClientOp& op, ObjectContext& object, Outcome& outcome) {
  MonotonicTime now = host_.shard().clock().now();
  for (NotifyEffect& effect : outcome.notifies) {
    ObjectWatches::Notify notify;
    notify.id = effect.id;
    notify.cookie = effect.cookie;
    notify.notifier = op.connection;
    notify.notifier_id = static_cast<std::uint64_t>(op.object.client.number);
    notify.payload = effect.payload;
    notify.deadline = now + std::chrono::seconds(effect.timeout_seconds);
    if (!object.watches.start(std::move(notify), object.state.info))
      log_warning("osd", "{}: too many notifies at once", object.head.describe());
  }
  if (!object.watches.empty()) watched_.insert(&object);
}

void PlacementGroup::reply(ClientOp& op, Outcome& outcome, Version at, std::uint64_t user_version, bool wrote) {
  msg::OsdReply reply;
  reply.result = outcome.result;
  bool keep_output = !wrote;
  if (wrote) {
    keep_output = op.wire.flags & msg::request_flag::return_vector;
    reply.result = keep_output ? outcome.result : 0;
  }
  reply.ops = std::move(op.object.ops);
  for (std::size_t i = 0; i < reply.ops.size(); ++i) {
    OsdOp& each = reply.ops[i];
    each.input.clear();
    if (i >= outcome.ops.size()) continue;
    OpResult& result = outcome.ops[i];
    each.result = result.result;
    if (keep_output) {
      usage_.read_bytes += result.output.size();
      each.output = std::move(result.output);
    }
    if (result.length >= 0) each.extent().length = static_cast<std::uint64_t>(result.length);
  }
  reply.version = at;
  reply.user_version = user_version;
  host_.reply(op, std::move(reply));
}

void PlacementGroup::reply_result(ClientOp& op, std::int32_t result, Version at, std::uint64_t user_version) {
  Outcome outcome;
  outcome.result = result;
  reply(op, outcome, at, user_version, false);
}

Task<> PlacementGroup::list(ClientOpRef op) {
  Inputs inputs;
  Outcome outcome;
  do {
    op->stage = "listing";
    co_await inputs.fetch(host_.store(), collection());
    if (halted()) co_return;
    outcome = interpret_listing(op->object, id_.seed, bits_, inputs);
  } while (inputs.incomplete());
  ++usage_.reads;
  // What it shows must be there after a crash.
  auto answer = [this, op, outcome = std::move(outcome), at = log_.head(),
                 user_version = log_.last_user_version()]() mutable {
    reply(*op, outcome, at, user_version, false);
    in_flight_.erase(op.get());
  };
  op->stage = "waiting for changes to be durable";
  after_durable(std::move(answer));
}

/// Once all changes decided so far are durable.
void PlacementGroup::after_durable(std::move_only_function<void()> action) {
  if (undurable_.empty()) return action();
  after_durable_.emplace_back(*undurable_.rbegin(), std::move(action));
}

void PlacementGroup::note_durable(Version at) {
  undurable_.erase(at);
  while (!after_durable_.empty() && (undurable_.empty() || after_durable_.front().first < *undurable_.begin())) {
    auto action = std::move(after_durable_.front().second);
    after_durable_.pop_front();
    action();
  }
}

}  // namespace spirula::osd
