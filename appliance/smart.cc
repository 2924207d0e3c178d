#include "appliance/smart.h"

#include <fmt/format.h>
#include <boost/json/parse.hpp>

#include "appliance/tools.h"

namespace spirula::appliance {
namespace json = boost::json;

std::string DiskHealth::describe() const {
  std::string text = passed ? "healthy" : "about to fail by its own account: copy its files elsewhere and replace it";
  if (celsius) text += fmt::format(", {} °C", *celsius);
  if (hours) text += fmt::format(", {} hours on", *hours);
  return text;
}

std::optional<DiskHealth> parse_smartctl(std::string_view text) {
  boost::system::error_code error;
  json::value parsed = json::parse(text, error);
  if (error) return {};
  auto at = [&](const char* pointer) -> const json::value* {
    boost::system::error_code missing;
    return parsed.find_pointer(pointer, missing);
  };
  const json::value* passed = at("/smart_status/passed");
  if (!passed || !passed->is_bool()) return {};
  DiskHealth health{.passed = passed->get_bool()};
  if (auto* value = at("/temperature/current"); value && value->is_int64())
    health.celsius = static_cast<int>(value->get_int64());
  if (auto* value = at("/power_on_time/hours"); value && value->is_int64()) health.hours = value->get_int64();
  return health;
}

std::optional<DiskHealth> ask_disk(const std::string& path) {
  auto done =
      run_tool({"smartctl", "--json", "--health", "--attributes", "--nocheck=standby", path}, std::chrono::seconds(10));
  // Its exit status is a set of bits, most of which are about the disk: only what it printed counts.
  return done ? parse_smartctl(done->output) : std::nullopt;
}

}  // namespace spirula::appliance
