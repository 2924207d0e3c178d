#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "msg/messenger.h"
#include "msg/osd_messages.h"
#include "osd/request.h"

namespace spirula::osd {

/// A client's request from its arrival to its reply. Lives on the shard of its PG.
struct ClientOp {
  msg::ConnectionRef connection;  ///< nullptr only in tests
  std::uint64_t tid = 0;
  msg::OsdRequest wire;  ///< its operations have moved into `object`
  ObjectRequest object;
  RequestNature nature;
  bool from_mds = false;
  Epoch checked;                    ///< the map by which its sender may make it; 0: not checked yet
  std::uint64_t waiting_bytes = 0;  ///< counted in its session while it waits for a map
  MonotonicTime received{};
  std::uint64_t arrival = 0;       ///< its place in the order in which the PG got them
  std::uint64_t room_attempt = 0;  ///< the attempt to make room that it waits or waited for; 0: none
  const char* stage = "received";  ///< where it waits, for people
  std::shared_ptr<void> budget_hold;
  std::size_t read_bytes = 0;  ///< counted in it for what answering will hold in memory, once that has begun
  /// Of our own requests, which have no connection: gets the reply.
  std::move_only_function<void(msg::OsdReply)> done;
  /// The same request sent again while this one is being worked on; they get the same answer.
  std::vector<std::shared_ptr<ClientOp>> duplicates;

  std::string describe() const;
  void begin_reading();
  void take_back_reading();
  /// Half of what requests may take is taken.
  bool is_room_short() const;
};
using ClientOpRef = std::shared_ptr<ClientOp>;

}  // namespace spirula::osd
