#include "filestore/space.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <type_traits>

#include "filestore/limits.h"

namespace spirula::filestore {
namespace {

using T = Transaction;
using limits::block_bytes;

/// A row of the index is in RocksDB's log, in a table, and in another while a compaction runs.
constexpr std::uint64_t copies_in_index = 3;
/// Keys, and the onode that an operation rewrites.
constexpr std::uint64_t row_bytes = 512;
/// A leaf of the subvolume's tree and one of the extent tree.
constexpr std::uint64_t metadata_bytes_each = 32 << 10;

std::uint64_t index_bytes(std::uint64_t bytes) {
  return (bytes + row_bytes) * copies_in_index;
}
std::uint64_t sum(const std::map<std::string, Buffer>& values) {
  std::uint64_t bytes = 0;
  for (const auto& [name, value] : values) bytes += name.size() + value.size() + 64;
  return bytes;
}
std::uint64_t name_bytes(const ObjectId& id) {
  return id.name_space.size() + id.key.size() + id.name.size();
}
/// What a write of these bytes covers, in whole blocks.
std::uint64_t blocks(std::uint64_t offset, std::uint64_t length) {
  if (length == 0) return 0;
  return ((offset + length + block_bytes - 1) / block_bytes - offset / block_bytes) * block_bytes;
}

/// The least that both sorts of room allow, as bytes of data.
std::uint64_t limit(std::int64_t room) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(room, 0));
}

}  // namespace

SpaceCharge charge_of(const T& transaction) {
  SpaceCharge charge;
  bool file = false;
  for (const T::Operation& each : transaction.operations()) {
    const auto* on = std::get_if<T::OnObject>(&each);
    if (!on) {
      const auto* set = std::get_if<T::CollectionSet>(&std::get<T::CollectionOperation>(each));
      charge.data += index_bytes(set ? sum(set->values) : 0);
      continue;
    }
    // The key of its row, and what the record of its slot's owner says.
    charge.data += name_bytes(on->object) * (copies_in_index + 1);
    // An object may outgrow its slot now, and what it had there is written again.
    auto outgrown = [](std::uint64_t end) { return end > limits::slab_bytes_max ? limits::slab_bytes_max : 0; };
    std::visit(
        [&]<class Operation>(const Operation& o) {
          if constexpr (std::is_same_v<Operation, T::Write>) {
            std::uint64_t length = o.length();
            bool small = o.offset + length <= limits::inline_bytes_max;
            // An object of the index may become a file now.
            charge.data += small ? index_bytes(o.offset + length) + block_bytes
                                 : blocks(o.offset, length) + 2 * block_bytes + index_bytes(length / 256);
            charge.data += outgrown(o.offset + length);
            charge.metadata += metadata_bytes_each * (1 + length / (1 << 20));
            file = true;
          } else if constexpr (std::is_same_v<Operation, T::SetAttributes>) {
            charge.data += index_bytes(sum(o.values));
          } else if constexpr (std::is_same_v<Operation, T::OmapSet>) {
            charge.data += index_bytes(sum(o.values));
          } else if constexpr (std::is_same_v<Operation, T::OmapSetHeader>) {
            charge.data += index_bytes(o.value.size());
          } else if constexpr (std::is_same_v<Operation, T::Clone> || std::is_same_v<Operation, T::CloneRange>) {
            // Shared blocks; head and tail are copied, checksums and omap too.
            charge.data += index_bytes(64 << 10) + 2 * block_bytes + 2 * limits::slab_bytes_max;
            charge.metadata += 4 * metadata_bytes_each;
            file = true;
          } else if constexpr (std::is_same_v<Operation, T::Zero> || std::is_same_v<Operation, T::Truncate> ||
                               std::is_same_v<Operation, T::Rename>) {
            charge.data += index_bytes(0) + 2 * block_bytes + limits::slab_bytes_max;
            file = true;
          } else {
            charge.data += index_bytes(0);
            if constexpr (std::is_same_v<Operation, T::Remove>) file = true;
          }
        },
        on->operation);
  }
  if (file) charge.metadata += metadata_bytes_each;
  return charge;
}

bool only_frees(const T& transaction) {
  for (const T::Operation& each : transaction.operations()) {
    if (const auto* on = std::get_if<T::OnObject>(&each)) {
      if (!std::holds_alternative<T::Remove>(on->operation) &&
          !std::holds_alternative<T::RemoveAttribute>(on->operation) &&
          !std::holds_alternative<T::RemoveAllAttributes>(on->operation) &&
          !std::holds_alternative<T::OmapRemove>(on->operation) &&
          !std::holds_alternative<T::OmapRemoveRange>(on->operation) &&
          !std::holds_alternative<T::OmapClear>(on->operation))
        return false;
    } else {
      const auto& operation = std::get<T::CollectionOperation>(each);
      if (!std::holds_alternative<T::RemoveCollection>(operation) &&
          !std::holds_alternative<T::CollectionRemove>(operation) &&
          !std::holds_alternative<T::CollectionRemoveRange>(operation))
        return false;
    }
  }
  return true;
}

struct SpaceLedger::State {
  mutable std::mutex mutex;
  btrfs::Space space;
  std::uint64_t reserve_data = 0, reserve_metadata = 0;
  SpaceCharge pending;       ///< taken, and not yet known to be in `space`
  SpaceCharge promised;      ///< reservations
  SpaceCharge applied_open;  ///< applied since the last mark()
  std::deque<std::pair<std::uint64_t, SpaceCharge>> marks;
  std::uint64_t last_mark = 0;

  void set_reserves() {
    reserve_data = std::clamp<std::uint64_t>(space.total / 20, 64 << 20, std::uint64_t{4} << 30);
    reserve_metadata = std::clamp<std::uint64_t>(space.total / 32, 28 << 20, 512 << 20);
  }
  struct Room {
    std::int64_t data, metadata;
  };
  /// Above the reserves.
  Room room() const { return room_of(space); }
  Room room_of(const btrfs::Space& of) const {
    // Leaves are copied once a cycle, however many transactions touch them: a long cycle takes less than their sum.
    std::uint64_t metadata = std::min(pending.metadata, reserve_metadata) + promised.metadata;
    std::uint64_t data = pending.data + promised.data;
    // Data that does not fit the chunks that data have takes the unallocated space, a chunk at a time, from metadata.
    std::uint64_t over = data + reserve_data > of.data_free ? data + reserve_data - of.data_free : 0;
    if (over) over = (over / of.chunk_bytes + 1) * of.chunk_bytes;
    std::uint64_t unallocated = of.unallocated > over ? of.unallocated - over : 0;
    std::uint64_t metadata_free = of.metadata_free + unallocated / of.metadata_copies;
    return {static_cast<std::int64_t>(of.available) - static_cast<std::int64_t>(data + reserve_data),
            static_cast<std::int64_t>(metadata_free) - static_cast<std::int64_t>(metadata + reserve_metadata)};
  }
  /// What of the reserves this kind may take besides.
  Room extra(Space kind, bool frees) const {
    if (kind == Space::ordinary) return {0, 0};
    // Of metadata more is left alone: btrfs reserves a multiple of what a commit or a snapshot then takes.
    return {static_cast<std::int64_t>(reserve_data / 16 * (frees ? 14 : 12)),
            static_cast<std::int64_t>(reserve_metadata / 16 * (frees ? 10 : 8))};
  }
  bool fits(const SpaceCharge& charge, Space kind, bool frees) const {
    Room left = room(), more = extra(kind, frees);
    return left.data + more.data >= static_cast<std::int64_t>(charge.data) &&
           left.metadata + more.metadata >= static_cast<std::int64_t>(charge.metadata);
  }
};

namespace {

void subtract(std::uint64_t& from, std::uint64_t amount) {
  from -= std::min(from, amount);
}
void subtract(SpaceCharge& from, const SpaceCharge& amount) {
  subtract(from.data, amount.data);
  subtract(from.metadata, amount.metadata);
}

}  // namespace

/// The part of a promise that is not redeemed yet.
class SpaceReservation::Impl {
 public:
  std::shared_ptr<SpaceLedger::State> state;
  SpaceCharge left;
};

SpaceReservation::SpaceReservation(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SpaceReservation::~SpaceReservation() {
  if (!impl_->state) return;
  std::lock_guard lock(impl_->state->mutex);
  subtract(impl_->state->promised, impl_->left);
}
std::shared_ptr<SpaceReservation> SpaceReservation::unlimited() {
  return std::make_shared<SpaceReservation>(std::make_unique<Impl>());
}

SpaceLedger::SpaceLedger() : state_(std::make_shared<State>()) {}
SpaceLedger::~SpaceLedger() = default;

void SpaceLedger::observe(const btrfs::Space& space, std::uint64_t mark) {
  State& s = *state_;
  std::lock_guard lock(s.mutex);
  s.space = space;
  s.set_reserves();
  while (!s.marks.empty() && s.marks.front().first <= mark) {
    subtract(s.pending, s.marks.front().second);
    s.marks.pop_front();
  }
}

void SpaceLedger::observe(const btrfs::Space& space) {
  State& s = *state_;
  std::lock_guard lock(s.mutex);
  State::Room now = s.room_of(space), known = s.room();
  if (now.data >= known.data && now.metadata >= known.metadata) s.space = space;
}

Result<> SpaceLedger::take(const SpaceCharge& charge, Space kind, bool frees, SpaceReservation* reservation) {
  State& s = *state_;
  std::lock_guard lock(s.mutex);
  SpaceCharge promised;
  if (reservation && reservation->impl().state == state_) {
    SpaceCharge& left = reservation->impl().left;
    promised = {std::min(left.data, charge.data), std::min(left.metadata, charge.metadata)};
  }
  SpaceCharge rest{charge.data - promised.data, charge.metadata - promised.metadata};
  if ((rest.data || rest.metadata) && !s.fits(rest, kind, frees)) return Errc::no_space;
  if (promised.data || promised.metadata) {
    subtract(reservation->impl().left, promised);
    subtract(s.promised, promised);
  }
  s.pending += charge;
  return {};
}

void SpaceLedger::give_back(const SpaceCharge& charge) {
  std::lock_guard lock(state_->mutex);
  subtract(state_->pending, charge);
}

void SpaceLedger::applied(const SpaceCharge& charge) {
  std::lock_guard lock(state_->mutex);
  state_->applied_open += charge;
}

std::uint64_t SpaceLedger::mark() const {
  State& s = *state_;
  std::lock_guard lock(s.mutex);
  s.marks.emplace_back(++s.last_mark, std::exchange(s.applied_open, {}));
  return s.last_mark;
}

Result<std::shared_ptr<SpaceReservation>> SpaceLedger::reserve(std::uint64_t bytes, Space kind) {
  // As if written in pieces of the size that needs most beside its data.
  SpaceCharge charge{bytes + bytes / 8 + 16 * block_bytes, metadata_bytes_each * (2 + bytes / (256 << 10))};
  State& s = *state_;
  std::lock_guard lock(s.mutex);
  if (!s.fits(charge, kind, false)) return Errc::no_space;
  s.promised += charge;
  auto impl = std::make_unique<SpaceReservation::Impl>();
  impl->state = state_;
  impl->left = charge;
  return std::make_shared<SpaceReservation>(std::move(impl));
}

std::uint64_t SpaceLedger::available() const {
  std::lock_guard lock(state_->mutex);
  State::Room left = state_->room();
  // Writes of 4 KiB would need eight times their size of metadata; what is told is for larger ones.
  return std::min(limit(left.data), limit(left.metadata) * 8);
}

std::uint64_t SpaceLedger::dirty_bytes_max() const {
  std::lock_guard lock(state_->mutex);
  return std::clamp<std::uint64_t>(state_->reserve_data / 2, 32 << 20, 512 << 20);
}

bool SpaceLedger::low() const {
  std::lock_guard lock(state_->mutex);
  State::Room left = state_->room();
  return left.data < static_cast<std::int64_t>(state_->reserve_data) ||
         left.metadata < static_cast<std::int64_t>(state_->reserve_metadata);
}

bool SpaceLedger::wants_commit() const {
  if (!low()) return false;
  std::lock_guard lock(state_->mutex);
  const State& s = *state_;
  return s.applied_open.data > s.reserve_data / 8 || s.applied_open.metadata > s.reserve_metadata / 8;
}

std::string SpaceLedger::describe() const {
  std::lock_guard lock(state_->mutex);
  const State& s = *state_;
  return fmt::format(
      "of {} KiB {} for data ({} taken, {} promised, reserve {}), {} for metadata ({} taken, reserve {}), "
      "{} unallocated",
      s.space.total >> 10, s.space.available >> 10, s.pending.data >> 10, s.promised.data >> 10, s.reserve_data >> 10,
      s.space.metadata_free >> 10, s.pending.metadata >> 10, s.reserve_metadata >> 10, s.space.unallocated >> 10);
}

btrfs::Space SpaceLedger::last() const {
  std::lock_guard lock(state_->mutex);
  return state_->space;
}

}  // namespace spirula::filestore
