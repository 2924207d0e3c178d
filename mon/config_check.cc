#include <fmt/format.h>

#include <algorithm>

#include "base/config_text.h"
#include "mon/ceph_options.h"

namespace spirula::mon {
namespace {

/// What a client needs before it can ask us, and what a daemon is started with. Ceph: Option::FLAG_NO_MON_UPDATE.
constexpr std::string_view kept_in_files[] = {
    "fsid",    "mon_host", "keyring",  "key",      "keyfile",          "host",
    "monmap",  "mon_data", "osd_data", "mds_data", "mon_dns_srv_name", "mkfs",
    "cluster", "name",     "id",       "conf",     "osd_integrity",    "osd_mkfs_force",
    "help"};

/// Of our OSDs and MDSs alone (osd/options.cc, mds/mds.cc), which the monitor does not link.
constexpr CephOptions daemons_options[] = {
    {OptionType::duration,
     "mds_cap_revoke_timeout mds_log_flush_interval mds_write_back_interval osd_verify_interval "},
    {OptionType::integer, "osd_shards "},
    {OptionType::size, "mds_log_bytes_max osd_verify_bytes_per_second "},
    {OptionType::text, "osd_class "},
};

const Option* own_option(std::span<const Option> own, std::string_view name) {
  auto found = std::ranges::find_if(own, [&](const Option& row) { return name == row.name; });
  return found == own.end() ? nullptr : &*found;
}

bool holds(std::string_view names, std::string_view name) {
  for (auto at = names.find(name); at != names.npos; at = names.find(name, at + 1))
    if ((at == 0 || names[at - 1] == ' ') && names[at + name.size()] == ' ') return true;
  return false;
}

}  // namespace

std::optional<OptionType> find_option(std::span<const Option> own, std::string_view name) {
  if (const auto* row = own_option(own, name)) return row->type;
  for (const auto& all : {ceph_options(), std::span<const CephOptions>(daemons_options)})
    for (const auto& [type, names] : all)
      if (holds(names, name)) return type;
  for (std::string_view family : {"debug_", "rgw_", "mgr/"})
    if (name.starts_with(family) && name.size() > family.size()) return OptionType::text;
  return std::nullopt;
}

std::string normal_value(std::span<const Option> own, std::string_view name, const std::string& value) {
  using namespace config_text;
  switch (find_option(own, name).value_or(OptionType::text)) {
    case OptionType::boolean:
      if (auto parsed = parse_boolean(value)) return *parsed ? "true" : "false";
      break;
    case OptionType::integer:
      if (auto parsed = parse_integer(value)) return std::to_string(*parsed);
      break;
    case OptionType::real:
      if (auto parsed = parse_real(value)) return fmt::format("{:f}", *parsed);
      break;
    case OptionType::size:
      if (auto parsed = parse_size(value)) return std::to_string(*parsed);
      break;
    default:
      break;
  }
  return value;
}

std::optional<std::string> refuse_option(std::span<const Option> own, const std::string& name, const std::string& value,
                                         bool force) {
  if (std::ranges::find(kept_in_files, name) != std::end(kept_in_files))
    return fmt::format("{} is special and cannot be stored by the mon", name);
  auto type = find_option(own, name);
  if (!type) return force ? std::nullopt : std::optional(fmt::format("unrecognized config option '{}'", name));
  const auto* known = own_option(own, name);
  Option row = known ? *known : Option{name.c_str(), *type};
  row.letter = 0;
  Config trial("mon", "x");
  if (!trial.knows(name)) trial.add({&row, 1});
  if (trial.set(name, value)) return std::nullopt;
  return fmt::format("error parsing value: '{}' is no value for {}", value, name);
}

}  // namespace spirula::mon
