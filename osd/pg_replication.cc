#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "base/promise.h"
#include "filestore/record.h"
#include "osd/placement_group.h"

/// Between the copies of a PG: questions and answers, and every change.
namespace spirula::osd {

using Kind = PeerRequest::Kind;

struct PlacementGroup::Question {
  std::int32_t osd;
  Promise<Buffer> answer;
};

Task<Result<Buffer>> PlacementGroup::ask(std::int32_t osd, Kind kind, Buffer payload, BufferList data,
                                         Duration patience) {
  PeerRequest request;
  request.pg = id_;
  request.epoch = map_->epoch;
  request.from = host_.whoami();
  request.kind = kind;
  request.tid = ++last_question_;
  request.payload = std::move(payload);
  request.data = std::move(data);
  auto question = std::make_shared<Question>();
  question->osd = osd;
  questions_.emplace(request.tid, question);
  std::uint64_t tid = request.tid;
  host_.send_to_osd(osd, msg::make_message(request));
  Clock& clock = host_.shard().clock();
  auto deadline = clock.now() + patience;
  Result<Buffer> answer = co_await question->answer.get_until(clock, deadline);
  questions_.erase(tid);
  co_return answer;
}

void PlacementGroup::tell(std::int32_t osd, Kind kind, Buffer payload) {
  PeerRequest request;
  request.pg = id_;
  request.epoch = map_->epoch;
  request.from = host_.whoami();
  request.kind = kind;
  request.payload = std::move(payload);
  host_.send_to_osd(osd, msg::make_message(request));
}

void PlacementGroup::on_reply(PeerReply reply) {
  auto found = questions_.find(reply.tid);
  if (halted() || found == questions_.end() || found->second->osd != reply.from) return;
  Promise<Buffer> answer = found->second->answer;
  if (reply.result < 0)
    answer.set(reply.result == -ENODATA ? Errc::no_data : Errc::io);
  else
    answer.set(std::move(reply.payload));
}

void PlacementGroup::on_request(PeerRequest request) {
  if (stopping_ || info_.removing) return;
  if (resetting_) {
    after_reset_.push_back([this, request = std::move(request)]() mutable { on_request(std::move(request)); });
    return;
  }
  if (request.epoch < info_.interval_since) return;  // of an interval that is over, as its sender will see
  switch (request.kind) {
    case Kind::notify: {
      auto copy = decode<CopyInfo>(request.payload);
      if (!copy || !primary_) return;
      // Who follows us and started over has lost what was under way.
      if (activation_ && copy->followed == activation_) return begin_interval();
      copies_[request.from] = std::move(*copy);
      std::erase_if(denied_, [&](const auto& each) { return each.first == request.from; });
      if (active_ && is_clean() && info_.up == info_.acting) return tell(request.from, Kind::remove, {});
      map_changed_.set();
      recovery_wanted_.set();
      return;
    }
    case Kind::remove:
      if (request.from != info_.members.primary) return;
      for (const auto* set : {&info_.up, &info_.acting})
        if (std::ranges::find(*set, host_.whoami()) != set->end()) return;
      unwanted_ = true;
      return;
    default:
      work_->spawn(serve(std::move(request)));
  }
}

Task<> PlacementGroup::serve(PeerRequest request) {
  Result<Buffer> result = co_await answer(request);
  if (halted() || request.tid == 0) co_return;
  PeerReply reply;
  reply.pg = id_;
  reply.epoch = map_->epoch;
  reply.from = host_.whoami();
  reply.tid = request.tid;
  if (result)
    reply.payload = std::move(*result);
  else
    reply.result = result.error() == make_error_code(Errc::no_data) ? -ENODATA : -EIO;
  host_.send_to_osd(request.from, msg::make_message(reply));
}

Task<Result<Buffer>> PlacementGroup::answer(PeerRequest& request) {
  switch (request.kind) {
    case Kind::info:
      co_return encode(copy_info());
    case Kind::log: {
      LogPayload log;
      CO_TRY(log.entries, co_await read_log());
      log.tail = log_.tail();
      log.missing = missing_;
      co_return encode(log);
    }
    case Kind::activate: {
      CO_TRY(auto activation, decode<Activation>(request.payload));
      if (primary_ || request.from != info_.members.primary) co_return Errc::invalid;
      CO_TRY(auto activated, co_await follow(std::move(activation)));
      co_return encode(activated);
    }
    case Kind::pull: {
      CO_TRY(auto order, decode<PullOrder>(request.payload));
      if ((missing_.contains(order.head) && !order.older) || !info_.covers(order.head)) co_return Errc::no_data;
      if (order.exact) {
        Result<Version> have = co_await version_of(order.head);
        if (!have || *have != order.at) co_return Errc::no_data;
      }
      CO_TRY(co_await send_family(request.from, std::move(order.head), order.older));
      co_return Buffer{};
    }
    case Kind::push_begin: {
      CO_TRY(auto family, decode<FamilyPayload>(request.payload));
      CO_TRY(auto here, co_await read_family(family.head));
      FamilyPayload same;
      same.head = family.head;
      // The head of a missing object is not what its version says.
      for (const auto& [object, at] : here.members)
        if (auto wanted = family.members.find(object); wanted != family.members.end() && wanted->second == at)
          same.members.emplace(object, at);
      if (missing_.contains(family.head)) same.members.erase(family.head);
      co_return encode(same);
    }
    case Kind::push_chunk: {
      CO_TRY(auto chunk, decode<ChunkPayload>(request.payload));
      CO_TRY(co_await take_chunk(std::move(chunk), std::move(request.data)));
      co_return Buffer{};
    }
    case Kind::push_end: {
      CO_TRY(auto family, decode<FamilyPayload>(request.payload));
      CO_TRY(co_await take_family(std::move(family)));
      co_return Buffer{};
    }
    case Kind::list: {
      CO_TRY(auto order, decode<RangeOrder>(request.payload));
      CO_TRY(auto range, co_await list_range(std::move(order)));
      co_return encode(range);
    }
    case Kind::filled: {
      CO_TRY(auto filled, decode<FilledPayload>(request.payload));
      if (primary_ || activation_ == 0) co_return Errc::invalid;
      info_.complete = filled.complete;
      info_.cursor = std::move(filled.cursor);
      CO_TRY(co_await save_info());
      co_return Buffer{};
    }
    case Kind::clean: {
      if (primary_ || activation_ == 0) co_return Errc::invalid;
      info_.last_clean = request.epoch;
      info_.past.clear();
      CO_TRY(co_await save_info());
      co_return Buffer{};
    }
    case Kind::notify:
    case Kind::remove:
      break;
  }
  co_return Errc::invalid;
}

void PlacementGroup::on_peer_reset(std::int32_t osd) {
  if (stopping_ || info_.removing || !map_) return;
  bool concerned = primary_ ? peers_.contains(osd) || !questions_.empty() : osd == info_.members.primary;
  if (concerned) begin_interval();
}

/// May a request on this head not start yet, because a copy of it is not what it should be?
bool PlacementGroup::must_wait(const ObjectId& head, bool changes) const {
  if (!missing_.empty() && missing_.contains(head)) return true;
  if (!changes) return false;
  for (const auto& [osd, peer] : peers_) {
    if (!peer.missing.empty() && peer.missing.contains(head)) return true;
    if (peer.in_range(head) && (!peer.compared || peer.differing.contains(head))) return true;
  }
  return false;
}

namespace {
/// What a copy takes of a change to an object that it will only get later: the log.
Transaction only_log(const Transaction& whole) {
  Transaction log;
  log.space = whole.space;
  for (const auto& operation : whole.operations()) {
    const auto* on_all = std::get_if<Transaction::CollectionOperation>(&operation);
    if (!on_all) continue;
    if (const auto* set = std::get_if<Transaction::CollectionSet>(on_all)) {
      std::map<std::string, Buffer> kept;
      for (const auto& [key, value] : set->values)
        if (key.starts_with(PgLog::entries_first) || key == PgLog::tail_key) kept.emplace(key, value);
      if (!kept.empty()) log.collection_set(std::move(kept));
    } else if (const auto* range = std::get_if<Transaction::CollectionRemoveRange>(on_all)) {
      log.add(*range);
    }
  }
  return log;
}
}  // namespace

Task<Result<>> PlacementGroup::commit(const PgLogEntry& entry, Version previous, Version keep_from,
                                      Transaction transaction) {
  if (replicas_.empty()) return host_.store().submit(collection(), std::move(transaction));
  // What one copy refuses for want of room, others may have taken: the last reserve is for that.
  transaction.space = filestore::Space::reserve;
  ObjectId head = head_of(entry.object);
  ReplicaWrite write;
  write.pg = id_;
  write.epoch = map_->epoch;
  write.from = host_.whoami();
  write.activation = activation_;
  write.previous = previous;
  write.keep_from = keep_from;
  write.entry = entry;
  auto record = filestore::encode_record(collection(), transaction);
  Awaiting awaiting;
  awaiting.done = std::make_shared<Event>();
  for (auto& [osd, peer] : peers_) {
    awaiting.osds.insert(osd);
    if (peer.in_range(head) && !peer.compared) peer.touched.insert(head);
    if (peer.follows(head)) {
      write.description = record.description;
      write.data = record.payload;
    } else {
      auto log = filestore::encode_record(collection(), only_log(transaction));
      write.description = log.description;
      write.data = log.payload;
    }
    host_.send_to_osd(osd, msg::make_message(write));
  }
  awaiting_.emplace(entry.at, std::move(awaiting));
  Task<Result<>> local = host_.store().submit(collection(), std::move(transaction));
  return wait_for_replicas(entry.at, std::move(local));
}

Task<Result<>> PlacementGroup::wait_for_replicas(Version at, Task<Result<>> local) {
  Result<> stored = co_await std::move(local);
  CO_TRY(stored);
  auto found = awaiting_.find(at);
  if (found == awaiting_.end()) co_return stored;
  auto done = found->second.done;
  co_return co_await done->wait();
}

void PlacementGroup::on_ack(ReplicaAck ack) {
  if (halted() || ack.activation != activation_) return;
  if (ack.refused) {
    log_warning("osd", "pg {}: osd.{} does not follow at {}: peering again", id_.describe(), ack.from,
                ack.at.describe());
    return begin_interval();
  }
  auto found = awaiting_.find(ack.at);
  if (found == awaiting_.end()) return;
  found->second.osds.erase(ack.from);
  if (!found->second.osds.empty()) return;
  auto done = found->second.done;
  awaiting_.erase(found);
  done->set();
}

void PlacementGroup::on_write(ReplicaWrite write) {
  if (halted() || primary_ || activation_ == 0 || write.activation != activation_) return;
  ReplicaAck ack;
  ack.pg = id_;
  ack.epoch = map_->epoch;
  ack.from = host_.whoami();
  ack.activation = write.activation;
  ack.at = write.entry.at;
  auto record = filestore::decode_record(write.description, write.data);
  bool fits =
      record && record->collection == collection() && write.previous == log_.head() && write.entry.at > log_.head();
  if (fits)
    for (const auto& operation : record->transaction.operations()) {
      const auto* on = std::get_if<Transaction::OnObject>(&operation);
      const auto* data = on ? std::get_if<Transaction::Write>(&on->operation) : nullptr;
      if (data && data->staged) fits = false;  // names a place on its sender's disk
    }
  if (!fits) {
    log_error("osd", "pg {}: {} from osd.{} does not follow {}", id_.describe(), write.entry.at.describe(), write.from,
              log_.head().describe());
    ack.refused = true;
    activation_ = 0;
    host_.send_to_osd(write.from, msg::make_message(ack));
    return;
  }
  log_.follow(write.entry, write.keep_from);
  note_missing(record->transaction);
  Task<Result<>> stored = host_.store().submit(collection(), std::move(record->transaction));
  work_->spawn(acknowledge(ack, write.from, std::move(stored)));
}

/// What a change says of objects that are missing from now on (give_up()).
void PlacementGroup::note_missing(const Transaction& transaction) {
  for (const auto& operation : transaction.operations()) {
    const auto* on_all = std::get_if<Transaction::CollectionOperation>(&operation);
    const auto* set = on_all ? std::get_if<Transaction::CollectionSet>(on_all) : nullptr;
    if (!set) continue;
    for (auto it = set->values.lower_bound(missing_first); it != set->values.end() && it->first < missing_end; ++it) {
      auto missing = read_missing(it->first, it->second);
      if (missing) missing_.insert_or_assign(std::move(missing->first), missing->second);
    }
  }
}

Task<> PlacementGroup::acknowledge(ReplicaAck ack, std::int32_t to, Task<Result<>> stored) {
  Result<> result = co_await std::move(stored);
  if (halted()) co_return;
  if (!result) {
    // The primary counts on it, and so may have others.
    log_error("osd", "pg {}: {}: {}", id_.describe(), ack.at.describe(), result.error().message());
    host_.store_failed(result.error());
    co_return;
  }
  host_.send_to_osd(to, msg::make_message(ack));
}

}  // namespace spirula::osd
