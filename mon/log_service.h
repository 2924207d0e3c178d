#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/codec.h"
#include "msg/mon_messages.h"

namespace spirula::mon {

/// "DBG", "INF", "SEC", "WRN", "ERR".
const char* short_name(msg::LogPriority priority);
/// One line, as `ceph log last` prints it.
std::string describe(const msg::LogEntry& entry);

/// The newest lines of the cluster log, per channel. A service of mon/state.h.
class LogService {
 public:
  static constexpr std::uint8_t service_id = 7;
  static constexpr std::uint8_t version = 1, compat = 1;
  struct Change {
    static constexpr std::uint8_t version = 1, compat = 1;
    std::vector<msg::LogEntry> entries;
    static void fields(auto& self, auto& wire) { wire(self.entries); }
  };
  Result<> apply(const Change& change);

  using Channel = std::deque<std::shared_ptr<const msg::LogEntry>>;
  const std::map<std::string, Channel>& channels() const { return channels_; }
  /// Counts every line there ever was.
  std::uint64_t number() const { return number_; }

  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);

 private:
  std::map<std::string, Channel> channels_;
  std::uint64_t number_ = 0;
};

namespace limits {
inline constexpr std::size_t log_entries_per_channel = 1000;
inline constexpr std::size_t log_channels_max = 16;  ///< lines for further channels go to "cluster"
}  // namespace limits

}  // namespace spirula::mon
