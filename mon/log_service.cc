#include "mon/log_service.h"

#include <fmt/format.h>

namespace spirula::mon {

const char* short_name(msg::LogPriority priority) {
  static constexpr const char* names[] = {"DBG", "INF", "SEC", "WRN", "ERR"};
  auto index = static_cast<std::size_t>(priority);
  return index < std::size(names) ? names[index] : "UNK";
}

std::string describe(const msg::LogEntry& entry) {
  return fmt::format("{} {} ({}) {} : {} [{}] {}", entry.stamp.describe(), entry.name.describe(), entry.rank.describe(),
                     entry.sequence, entry.channel, short_name(entry.priority), entry.text);
}

Result<> LogService::apply(const Change& change) {
  for (msg::LogEntry entry : change.entries) {
    if (!channels_.contains(entry.channel) && channels_.size() >= limits::log_channels_max) entry.channel = "cluster";
    auto& channel = channels_[entry.channel];
    channel.push_back(std::make_shared<const msg::LogEntry>(std::move(entry)));
    if (channel.size() > limits::log_entries_per_channel) channel.pop_front();
    ++number_;
  }
  return {};
}

void LogService::encode(Encoder& encoder) const {
  encoder.envelope(version, compat, [&] {
    encoder(number_);
    encoder(static_cast<std::uint32_t>(channels_.size()));
    for (const auto& [name, channel] : channels_) {
      encoder(name);
      encoder(static_cast<std::uint32_t>(channel.size()));
      for (const auto& entry : channel) encoder(*entry);
    }
  });
}

void LogService::decode(Decoder& decoder) {
  channels_.clear();
  decoder.envelope(version, [&] {
    decoder(number_);
    for (auto channels = decoder.read<std::uint32_t>(); channels-- > 0 && !decoder.failed();) {
      auto name = decoder.read<std::string>();
      auto& channel = channels_[name];
      for (auto entries = decoder.read<std::uint32_t>(); entries-- > 0 && !decoder.failed();)
        channel.push_back(std::make_shared<const msg::LogEntry>(decoder.read<msg::LogEntry>()));
    }
  });
}

}  // namespace spirula::mon
