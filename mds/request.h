#pragma once
#include <optional>

#include "base/clock.h"
#include "mds/server.h"

namespace spirula::mds {

/// A client's request, from its message to its last reply. Inside the server only.
struct Server::Request {
  std::shared_ptr<Session> session;
  std::uint64_t tid = 0;
  msg::ClientRequest body;
  std::size_t bytes = 0;  ///< of its message, and its own
  std::shared_ptr<void> budget_hold;
  std::optional<msg::BudgetHold> waits_of_session, waits;  ///< its room among those that wait for others
  MonotonicTime started{};
  bool completed_before = false;
  Ino made_before;                                       ///< by the earlier run of the same request
  bool number_is_known = false, number_is_free = false;  ///< the inode number it names, after a restart
  Attempt attempt;
  /// Claims it has on inodes until it is done.
  std::vector<std::pair<Ino, Claim>> held;
  const char* waiting_for = "";  ///< for the list of requests under way
};

}  // namespace spirula::mds
