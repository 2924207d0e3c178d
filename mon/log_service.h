#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/codec.h"
#include "msg/types.h"

namespace spirula::mon {

/// CLOG_* of Ceph (src/common/LogEntry.h).
enum class LogPriority : std::uint16_t { debug = 0, info = 1, security = 2, warning = 3, error = 4 };
/// "DBG", "INF", "SEC", "WRN", "ERR".
const char* short_name(LogPriority priority);

/// One line of the cluster log.
struct ClusterLogEntry {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::string who;  ///< "mon.a"
  msg::EntityName rank;
  msg::AddressVector address;
  msg::Time when;
  std::uint64_t sequence = 0;  ///< of its sender
  LogPriority priority = LogPriority::info;
  std::string channel = "cluster";
  std::string text;
  static void fields(auto& self, auto& wire) {
    wire(self.who, 1024);
    wire(self.rank);
    wire(self.address);
    wire(self.when);
    wire(self.sequence);
    wire(self.priority);
    wire(self.channel, 256);
    wire(self.text, 65'536);
  }
  /// As `ceph log last` prints it.
  std::string describe() const;
};

/// The newest lines of the cluster log, per channel. A service of mon/state.h.
class LogService {
 public:
  static constexpr std::uint8_t service_id = 7;
  static constexpr std::uint8_t version = 1, compat = 1;
  struct Change {
    static constexpr std::uint8_t version = 1, compat = 1;
    std::vector<ClusterLogEntry> entries;
    static void fields(auto& self, auto& wire) { wire(self.entries); }
  };
  Result<> apply(const Change& change);

  using Channel = std::deque<std::shared_ptr<const ClusterLogEntry>>;
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
