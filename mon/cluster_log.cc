#include "mon/cluster_log.h"

#include "base/log.h"

namespace spirula::mon {

msg::LogEntry ClusterLog::entry(msg::LogPriority priority, std::string text, std::string channel) {
  msg::LogEntry line;
  line.name = {static_cast<std::uint32_t>(msg::EntityType::mon), id_};
  line.rank = {msg::EntityType::mon, 0};
  line.address = address_;
  line.stamp = msg::Time::from(shard_.clock().wall());
  line.sequence = ++sequence_;
  line.priority = priority;
  line.channel = std::move(channel);
  line.text = std::move(text);
  return line;
}

void ClusterLog::add(msg::LogPriority priority, std::string text, std::string channel) {
  log_info("mon", "{} [{}] {}", channel, short_name(priority), text);
  LogService::Change change{{entry(priority, std::move(text), std::move(channel))}};
  decider_.submit([change](Draft& draft) { return draft.change<LogService>(change); }, [](Result<>) {});
}

}  // namespace spirula::mon
