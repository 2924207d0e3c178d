#pragma once
#include <deque>
#include <map>
#include <set>
#include <string>
#include <unordered_set>

#include "mds/batch.h"
#include "msg/caps_mds.h"
#include "msg/messenger.h"
#include "msg/receive_budget.h"

namespace spirula::mds {

struct Inode;

/// A client's session. It outlives connections, and (by its SessionRecord) this process.
struct Session {
  enum class State : std::uint8_t {
    opening,  ///< its record is on its way to the journal
    open,
    stale,    ///< not heard of for the session timeout; its caps can be taken when somebody needs them
    closing,  ///< its end is on its way to the journal
    absent,   ///< known from the journal, has not reconnected yet
  };
  SessionInfo info;
  State state = State::opening;
  msg::ConnectionRef connection;
  msg::FeatureBits features;
  msg::MdsCaps access;
  MonotonicTime begun{};  ///< in this life of the server
  MonotonicTime last_heard{};
  std::unordered_set<Inode*> caps;
  std::set<Ino> locked;  ///< files on which it may have locks, or wait for one
  /// Requests done since the client last told us its oldest, with what they made; and in which batch they are.
  struct Done {
    Ino made;
    BatchId batch;
  };
  std::map<std::uint64_t, Done> done;
  std::map<std::uint64_t, BatchId> flushed;
  std::set<std::uint64_t> in_progress;  ///< requests being worked on: a resent one waits for the first
  std::uint64_t oldest_tid = 0, oldest_tid_journaled = 0, oldest_flush = 0;
  bool reconnected = false;
  std::size_t reported = 0;  ///< caps it brought back
  bool evicting = false;
  std::shared_ptr<msg::ReceiveBudget> waiting =
      std::make_shared<msg::ReceiveBudget>(limits::session_waiting_bytes_max);  ///< Server::may_wait()
  std::size_t unsafe_bytes = 0;  ///< of its requests that it would send again if we ended now
  std::size_t kept_bytes = 0;    ///< of what it has said that waits until we have started
  /// Caps it brought back for inodes that a request of its own, sent again, has yet to make anew.
  std::map<Ino, msg::CapReconnect> unmatched;
  std::uint64_t requests = 0;

  ClientId client() const { return info.client; }
  /// What tells the reply encoders which layout this client decodes.
  std::uint64_t reply_features() const {
    return features.has(msg::fs_features::reply_encoding) || !connection ? msg::reply_envelopes
                                                                         : connection->peer_features();
  }
};

}  // namespace spirula::mds
