#pragma once
#include <string>

#include "base/shard.h"
#include "mon/decider.h"
#include "msg/mon_messages.h"

namespace spirula::mon {

/// The monitor's own lines in the cluster log.
class ClusterLog {
 public:
  ClusterLog(Shard& shard, Decider& decider, std::string id) : shard_(shard), decider_(decider), id_(std::move(id)) {}
  void set_address(msg::AddressVector address) { address_ = std::move(address); }

  msg::LogEntry entry(msg::LogPriority priority, std::string text, std::string channel = "cluster");
  /// Decided with whatever else is; lost if that fails.
  void add(msg::LogPriority priority, std::string text, std::string channel = "cluster");
  void info(std::string text) { add(msg::LogPriority::info, std::move(text)); }
  void warn(std::string text) { add(msg::LogPriority::warning, std::move(text)); }

 private:
  Shard& shard_;
  Decider& decider_;
  std::string id_;
  msg::AddressVector address_;
  std::uint64_t sequence_ = 0;
};

}  // namespace spirula::mon
