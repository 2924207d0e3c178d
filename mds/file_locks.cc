#include "mds/file_locks.h"

#include <algorithm>

namespace spirula::mds {

namespace {

constexpr std::uint64_t forever = ~std::uint64_t{0};

std::uint64_t end_of(const FileLockRecord& lock) {
  return lock.length == 0 || lock.start + lock.length < lock.start ? forever : lock.start + lock.length;
}
bool overlap(const FileLockRecord& one, const FileLockRecord& two) {
  return one.start < end_of(two) && two.start < end_of(one);
}
/// Kernel clients set the owner's top bit to say that it alone names the owner; otherwise the process counts too.
bool same_owner(const FileLockRecord& one, const FileLockRecord& two) {
  if (one.client != two.client || one.owner != two.owner) return false;
  return (one.owner >> 63) || one.pid == two.pid;
}
bool conflicts(const FileLockRecord& held, const FileLockRecord& wanted) {
  return overlap(held, wanted) && !same_owner(held, wanted) &&
         (held.type == FileLockRecord::exclusive || wanted.type == FileLockRecord::exclusive);
}
void set_range(FileLockRecord& lock, std::uint64_t start, std::uint64_t end) {
  lock.start = start;
  lock.length = end == forever ? 0 : end - start;
}

/// Takes `range` away from the owner's locks.
void cut(std::vector<FileLockRecord>& held, const FileLockRecord& range) {
  std::vector<FileLockRecord> kept;
  for (FileLockRecord& lock : held) {
    if (!same_owner(lock, range) || !overlap(lock, range)) {
      kept.push_back(lock);
      continue;
    }
    FileLockRecord part = lock;
    if (lock.start < range.start) {
      set_range(part, lock.start, range.start);
      kept.push_back(part);
    }
    if (end_of(range) < end_of(lock)) {
      set_range(part, end_of(range), end_of(lock));
      kept.push_back(part);
    }
  }
  held = std::move(kept);
}

/// Adds a lock, joining it with the owner's neighbours of the same type.
void insert(std::vector<FileLockRecord>& held, FileLockRecord lock) {
  cut(held, lock);
  for (auto it = held.begin(); it != held.end();) {
    bool touches = it->start <= end_of(lock) && lock.start <= end_of(*it);
    if (touches && it->type == lock.type && same_owner(*it, lock)) {
      set_range(lock, std::min(lock.start, it->start), std::max(end_of(lock), end_of(*it)));
      it = held.erase(it);
    } else {
      ++it;
    }
  }
  held.push_back(lock);
}

}  // namespace

std::optional<FileLockRecord> FileLocks::conflict(LockRule rule, const FileLockRecord& lock) const {
  for (const FileLockRecord& held : set_of(rule).held)
    if (conflicts(held, lock)) return held;
  return std::nullopt;
}

Result<> FileLocks::set(LockRule rule, const FileLockRecord& lock) {
  if (conflict(rule, lock)) return Errc::again;
  insert(set_of(rule).held, lock);
  return {};
}

bool FileLocks::blocked_in_circle(const Set& set, const FileLockRecord& lock) {
  // Follow who waits for whom, from the holders in our way; a way back to us never ends.
  std::vector<FileLockRecord> asking{lock};
  for (std::size_t i = 0; i < asking.size() && i < 64; ++i) {
    for (const FileLockRecord& held : set.held) {
      if (!conflicts(held, asking[i])) continue;
      for (const Waiter& waiter : set.waiting) {
        if (!same_owner(waiter.lock, held)) continue;
        for (const FileLockRecord& next : set.held)
          if (conflicts(next, waiter.lock) && same_owner(next, lock)) return true;
        if (std::ranges::find(asking, waiter.lock) == asking.end()) asking.push_back(waiter.lock);
      }
    }
  }
  return false;
}

Result<bool> FileLocks::set_or_wait(LockRule rule, const FileLockRecord& lock, std::uint64_t tid) {
  if (set(rule, lock)) return true;
  Set& locks = set_of(rule);
  if (rule == LockRule::fcntl && blocked_in_circle(locks, lock)) return Errc::would_deadlock;
  locks.waiting.push_back({lock, tid});
  return false;
}

void FileLocks::unlock(LockRule rule, const FileLockRecord& range) {
  cut(set_of(rule).held, range);
}

bool FileLocks::cancel(LockRule rule, const FileLockRecord& lock, std::uint64_t* tid) {
  auto& waiting = set_of(rule).waiting;
  auto it = std::ranges::find_if(waiting, [&](const Waiter& waiter) {
    return same_owner(waiter.lock, lock) && waiter.lock.start == lock.start && waiter.lock.length == lock.length;
  });
  if (it == waiting.end()) return false;
  *tid = it->tid;
  waiting.erase(it);
  return true;
}

std::vector<FileLocks::Waiter> FileLocks::take_granted() {
  std::vector<Waiter> granted;
  for (LockRule rule : {LockRule::fcntl, LockRule::flock}) {
    Set& locks = set_of(rule);
    for (auto it = locks.waiting.begin(); it != locks.waiting.end();) {
      if (set(rule, it->lock)) {
        granted.push_back(*it);
        it = locks.waiting.erase(it);
      } else {
        ++it;
      }
    }
  }
  return granted;
}

void FileLocks::drop(ClientId client) {
  auto of_client = [&](const FileLockRecord& lock) { return lock.client == static_cast<std::uint64_t>(client.value); };
  for (Set& locks : sets_) {
    std::erase_if(locks.held, of_client);
    std::erase_if(locks.waiting, [&](const Waiter& waiter) { return of_client(waiter.lock); });
  }
}

bool FileLocks::has(ClientId client) const {
  auto of_client = [&](const FileLockRecord& lock) { return lock.client == static_cast<std::uint64_t>(client.value); };
  return std::ranges::any_of(sets_, [&](const Set& locks) {
    return std::ranges::any_of(locks.held, of_client) || std::ranges::any_of(locks.waiting, of_client, &Waiter::lock);
  });
}

std::size_t FileLocks::size() const {
  std::size_t sum = 0;
  for (const Set& locks : sets_) sum += locks.held.size() + locks.waiting.size();
  return sum;
}

bool FileLocks::empty() const {
  return std::ranges::all_of(sets_, [](const Set& locks) { return locks.held.empty() && locks.waiting.empty(); });
}

}  // namespace spirula::mds
