#pragma once
#include <deque>
#include <optional>
#include <vector>

#include "mds/types.h"

/// Advisory locks of one file, as fcntl() and flock() take them: two sets of ranges that do not see each other. They
/// live in memory and with the clients, who bring them back when they reconnect. Linux: fs/ceph/locks.c.
namespace spirula::mds {

using msg::FileLockRecord;

enum class LockRule : std::uint8_t { fcntl = 1, flock = 2, fcntl_interrupt = 3, flock_interrupt = 4 };

class FileLocks {
 public:
  /// Who waits for a lock: the request to answer when it is granted.
  struct Waiter {
    FileLockRecord lock;
    std::uint64_t tid = 0;
  };
  /// Takes the lock; Errc::again: somebody else has a conflicting one.
  Result<> set(LockRule rule, const FileLockRecord& lock);
  /// As set(), but queues behind conflicts: false means "later", when take_granted() returns it.
  /// Errc::would_deadlock.
  Result<bool> set_or_wait(LockRule rule, const FileLockRecord& lock, std::uint64_t tid);
  void unlock(LockRule rule, const FileLockRecord& range);
  /// A client interrupted while waiting: it no longer does. True if it was.
  bool cancel(LockRule rule, const FileLockRecord& lock, std::uint64_t* tid);
  /// The lock in the way of this one, or nullopt.
  std::optional<FileLockRecord> conflict(LockRule rule, const FileLockRecord& lock) const;
  /// Waiters that have got their locks since; whoever frees a range calls it.
  std::vector<Waiter> take_granted();
  /// Everything of a client goes.
  void drop(ClientId client);
  bool empty() const;
  bool has(ClientId client) const;
  std::size_t size() const;  ///< locks and waiters
  const std::vector<FileLockRecord>& held(LockRule rule) const { return set_of(rule).held; }

 private:
  struct Set {
    std::vector<FileLockRecord> held;
    std::deque<Waiter> waiting;
  };
  Set& set_of(LockRule rule) { return sets_[rule == LockRule::flock || rule == LockRule::flock_interrupt]; }
  const Set& set_of(LockRule rule) const { return const_cast<FileLocks*>(this)->set_of(rule); }
  static bool blocked_in_circle(const Set& set, const FileLockRecord& lock);

  Set sets_[2];
};

}  // namespace spirula::mds
