#include "appliance/options.h"

namespace spirula::appliance {

std::span<const Option> options() {
  static constexpr Option table[] = {
      {"state", OptionType::text, "/var/lib/spirula", "folder for the configuration, keys and stores"},
      {"page_address", OptionType::text, "[::]:443", "where the page is served"},
      {"console_file", OptionType::text, "", "keep what the console should show in this file"},
      {"help", OptionType::boolean, "false", "print this"},
  };
  return table;
}

}  // namespace spirula::appliance
