#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"

/// The text side of the configuration: ceph.conf's syntax and the forms of values. Ceph: src/common/ConfUtils.cc,
/// doc/rados/configuration/ceph-conf.rst.
namespace spirula::config_text {

/// "Mon Host", "mon-host" and "mon_host" are one name: "mon_host".
std::string normalise(std::string_view name);

struct Line {
  std::string section, name, value;
};
/// The assignments of a file in order; what comes before any [section] belongs to "global". Comments start with # or ;,
/// a backslash at the end of a line continues it, a value may be quoted. Returns what is wrong, or nothing.
std::string split(std::string_view text, std::vector<Line>& lines);

/// Why `value` cannot be the value of `row`; empty if it can. Values with $variables are taken on trust for text only.
std::string check(const Option& row, std::string_view value);

std::optional<std::int64_t> parse_integer(std::string_view text);
std::optional<double> parse_real(std::string_view text);
std::optional<bool> parse_boolean(std::string_view text);

}  // namespace spirula::config_text
