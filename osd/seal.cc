#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "base/codec.h"
#include "osd/execution.h"

/// From a decision to a transaction: snapshots, the object's info, and what the store keeps of them.
namespace spirula::osd {

ObjectId clone_id(const ObjectId& head, SnapId clone) {
  ObjectId id = head;
  id.snap = clone.value;
  return id;
}

std::string snap_key_prefix(SnapId snap) {
  return fmt::format("snap.{:016x}.", snap.value);
}

std::string snap_key(SnapId snap, SnapId clone, const ObjectId& head) {
  return fmt::format("{}{:016x}.{}", snap_key_prefix(snap), clone.value, encode(head).text());
}

/// Keeps a SnapSet as small as it must be. That two clones share bytes may be forgotten; the oldest ones first.
static bool fit(SnapSet& snaps) {
  constexpr std::size_t clone_bytes = 40, snap_bytes = 8, range_bytes = 16;
  std::size_t size = 0;
  for (const Clone& each : snaps.clones)
    size += clone_bytes + each.snaps.size() * snap_bytes + each.overlap.count() * range_bytes;
  for (Clone& each : snaps.clones) {
    if (size <= limits::snap_set_size_max) return true;
    size -= each.overlap.count() * range_bytes;
    each.overlap = {};
  }
  return size <= limits::snap_set_size_max;
}

/// Ceph: make_writeable(). Before the first change after a snapshot the head as it is becomes a clone.
std::int32_t Execution::make_writeable() {
  const SnapContext& context = request_.snap_context;
  SnapSet& snaps = out_.snaps;
  if (before_.exists() && may_clone_) {
    Clone clone;
    clone.id = context.sequence;
    for (SnapId snap : context.snaps)
      if (snap > snaps.sequence) clone.snaps.push_back(snap);
    // What could not be read again must not be made.
    if (snaps.clones.size() >= limits::clones_max || clone.snaps.size() > limits::clones_max) return -E2BIG;
    clone.size = before_.info.size;
    clone.overlap.insert(0, clone.size);
    out_.clone_info = before_.info;
    out_.clone_info.watchers.clear();
    ++out_.delta.objects;
    ++out_.delta.clones;
    out_.delta.bytes += static_cast<std::int64_t>(clone.size);
    out_.new_clone = clone;
    snaps.clones.push_back(std::move(clone));
    out_.snaps_changed = true;
  }
  if (context.sequence > snaps.sequence) {
    snaps.sequence = context.sequence;
    out_.snaps_changed = true;
  }
  if (!snaps.clones.empty() && !modified_.empty()) {
    IntervalSet& newest = snaps.clones.back().overlap;
    auto before = newest.total();
    newest.erase(modified_);
    if (newest.total() != before) out_.snaps_changed = true;
  }
  return out_.snaps_changed && !fit(snaps) ? -E2BIG : 0;
}

void seal(Outcome& outcome, const ObjectRequest& request, const ObjectState& before, Version at,
          std::uint64_t user_version, Transaction& transaction) {
  const ObjectId& head = request.head;
  ObjectState& after = outcome.after;
  if (outcome.new_clone) {
    const Clone& clone = *outcome.new_clone;
    ObjectId id = clone_id(head, clone.id);
    outcome.clone_info.prior = before.info.changed;
    outcome.clone_info.changed = at;
    transaction.clone(head, id);
    transaction.set_attribute(id, info_attribute, encode(outcome.clone_info));
    transaction.remove_attribute(id, snap_set_attribute);
    std::map<std::string, Buffer> keys;
    for (SnapId snap : clone.snaps) keys.emplace(snap_key(snap, clone.id, head), Buffer{});
    transaction.collection_set(std::move(keys));
  }
  // What replaces an object takes its attributes away: the SnapSet is written anew.
  bool replaced = !before.stored || std::ranges::any_of(outcome.operations, [](const auto& operation) {
    return std::holds_alternative<Transaction::Remove>(operation) ||
           std::holds_alternative<Transaction::Clone>(operation);
  });
  for (auto& operation : outcome.operations) transaction.add(head, std::move(operation));
  outcome.operations.clear();
  after.info.prior = before.info.changed;
  after.info.changed = at;
  after.info.last_request = request.id;
  if (outcome.user_changes) {
    after.info.user_version = user_version;
    if (request.modified != Time{}) after.info.modified = request.modified;
  }
  if (!after.stored) return;
  std::map<std::string, Buffer> attributes;
  attributes.emplace(info_attribute, encode(after.info));
  // A SnapSet that says nothing is not stored.
  if ((outcome.snaps_changed || replaced) && outcome.snaps != SnapSet{})
    attributes.emplace(snap_set_attribute, encode(outcome.snaps));
  transaction.set_attributes(head, std::move(attributes));
}

Result<ObjectState> decode_state(const Result<Attributes>& attributes) {
  if (!attributes) {
    if (attributes.error() == make_error_code(Errc::not_found)) return ObjectState{};
    return attributes.error();
  }
  auto found = attributes->find(info_attribute);
  if (found == attributes->end()) return Errc::io;
  auto info = decode<ObjectInfo>(found->second);
  if (!info) return Errc::io;
  return ObjectState{true, std::move(*info)};
}

Result<SnapSet> decode_snaps(const Result<Attributes>& attributes) {
  if (!attributes) return SnapSet{};
  auto found = attributes->find(snap_set_attribute);
  if (found == attributes->end()) return SnapSet{};
  auto snaps = decode<SnapSet>(found->second);
  if (!snaps) return Errc::io;
  return std::move(*snaps);
}

bool plan_trim(const ObjectId& head, SnapId clone, SnapId snap, ObjectState& state, SnapSet& snaps, Version at,
               PgTotals& delta, Transaction& transaction) {
  transaction.collection_remove({snap_key(snap, clone, head)});
  Clone* found = snaps.find(clone);
  if (!found || !std::erase(found->snaps, snap)) return false;
  if (found->snaps.empty()) {
    // The next older clone shared with this one what this one shared with its successor.
    auto place = snaps.clones.begin() + (found - snaps.clones.data());
    if (place != snaps.clones.begin()) std::prev(place)->overlap.keep_only(place->overlap);
    transaction.add(clone_id(head, clone), Transaction::Remove{});
    --delta.objects;
    --delta.clones;
    delta.bytes -= static_cast<std::int64_t>(found->size);
    snaps.clones.erase(place);
  }
  if (state.stored && !state.exists() && snaps.clones.empty()) {
    // A deleted head has been kept only for its clones.
    transaction.add(head, Transaction::Remove{});
    --delta.objects;
    state = ObjectState{};
    return true;
  }
  state.info.prior = state.info.changed;
  state.info.changed = at;
  transaction.set_attributes(head, {{info_attribute, encode(state.info)}, {snap_set_attribute, encode(snaps)}});
  return true;
}

unsigned pg_bits(std::uint32_t seed, std::uint32_t pg_num) {
  CHECK(pg_num > 0);
  // With 2^n <= pg_num < 2^(n+1), the first PGs have been split one bit further than the rest.
  unsigned low = static_cast<unsigned>(std::bit_width(pg_num)) - 1;
  std::uint32_t mask = (std::uint32_t{1} << low) - 1;
  return (seed & mask) < (pg_num & mask) ? low + 1 : low;
}

}  // namespace spirula::osd
