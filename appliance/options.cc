#include "appliance/options.h"

namespace spirula::appliance {

std::span<const Option> options() {
  static constexpr Option table[] = {
      {"state", OptionType::text, "/var/lib/spirula", "folder for the configuration, keys and stores"},
      {"page_address", OptionType::text, "[::]:443", "where the page is served"},
      {"door_address", OptionType::text, "", "where plain HTTP shows the way to the page; empty: nowhere"},
      {"address", OptionType::text, "127.0.0.1", "where the daemons serve; auto: this machine's, also when it changes"},
      {"mon_port", OptionType::integer, "3300", "port of the monitor", 1, 65535},
      {"daemon_port", OptionType::integer, "0",
       "first port of metadata servers and OSDs, which take one each; 0: whatever is free", 0, 60000},
      {"disks", OptionType::text, "", "offer only these, separated by commas; empty: every disk but loop devices"},
      {"programs", OptionType::text, "", "folder of cmon, cosd and cmds; empty: where this program is"},
      {"supervisor", OptionType::text, "children",
       "who runs the daemons: children (of this process, ending with it) or systemd"},
      {"console_mounts", OptionType::boolean, "false",
       "shares' mount lines, which hold keys, go to the console file too"},
      {"console_file", OptionType::text, "", "keep what the console should show in this file"},
      {"issue_file", OptionType::text, "", "and in this one for agetty, with a QR code"},
      {"network_folder", OptionType::text, "",
       "where systemd-networkd reads what the owner decides; empty: the network is not ours"},
      {"set_clock", OptionType::boolean, "false", "the machine's clock is ours to set"},
      {"set_name", OptionType::boolean, "false", "the machine takes the box's name, for mDNS"},
      {"setup_file", OptionType::text, "", "settings that were put on the boot disk before the first start"},
      {"boot_file", OptionType::text, "", "what the boot menu was asked, from the initial RAM disk"},
  };
  return table;
}

}  // namespace spirula::appliance
