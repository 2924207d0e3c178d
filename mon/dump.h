#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "maps/fs_map.h"
#include "maps/mon_map.h"
#include "maps/osd_map.h"
#include "mon/state.h"

/// The maps as JSON and text, with the field names and order of the stock commands.
namespace spirula::mon {

JsonObject dump(const msg::AddressVector& addresses);
std::string print_address(const msg::Address& address);           ///< "127.0.0.1:6800/32420"
std::string print_protocol_address(const msg::Address& address);  ///< "v2:127.0.0.1:6800/32420"

JsonObject dump(const maps::MonMap& map);
std::string print(const maps::MonMap& map);

std::vector<std::string> map_flag_names(std::uint32_t flags);
/// "noout,full": of the map's flags those that not every map has.
std::string print_notable_flags(const maps::OsdMap& map);
std::optional<std::uint32_t> map_flag_by_name(std::string_view name);
std::vector<std::string> osd_state_names(std::uint32_t state);
std::vector<std::string> pool_flag_names(std::uint64_t flags);
JsonObject dump_pool(std::int64_t id, const std::string& name, const maps::Pool& pool, bool as_listed);
std::string print_pool(std::int64_t id, const std::string& name, const maps::Pool& pool);
JsonObject dump(const maps::OsdMap& map);
std::string print(const maps::OsdMap& map);

JsonObject dump(const maps::CompatSet& set);
JsonObject dump(const maps::MdsMap& map);
JsonObject dump(const maps::FsMap& map);
std::string print(const maps::MdsMap& map);
std::string print(const maps::FsMap& map);
/// "cfs:1 {0=x=up:active} 1 up:standby"
std::string summarize(const maps::FsMap& map);

JsonObject dump(const msg::LogEntry& entry);

std::string release_name(unsigned release);  ///< 16 -> "pacific"
std::optional<std::uint8_t> release_by_name(std::string_view name);

std::string join(const std::vector<std::string>& words, std::string_view separator);
template <class Range>
std::string join_numbers(const Range& numbers, std::string_view separator = ",") {
  std::string text;
  for (auto number : numbers) text += (text.empty() ? std::string() : std::string(separator)) + std::to_string(number);
  return text;
}

}  // namespace spirula::mon
