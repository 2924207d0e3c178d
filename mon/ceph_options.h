#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/config.h"

/// The options that Ceph's daemons and clients have, beside our own: the central configuration is for stock clients as
/// well, and a name that nobody has is most likely a slip of the pen.
namespace spirula::mon {

/// Names of one type, each followed by a space.
struct CephOptions {
  OptionType type;
  std::string_view names;
};
std::span<const CephOptions> ceph_options();

/// The type of an option that somebody has: ours, by name, or "debug_<anything>", "rgw_<anything>",
/// "mgr/<module>/<name>".
std::optional<OptionType> find_option(std::span<const Option> own, std::string_view name);
/// A value in the form in which Ceph keeps and shows it (Option::parse_value): "1G" as bytes, "yes" as "true", a real
/// number with six decimals. Text, and what is no value of the option's type, stays as it is.
std::string normal_value(std::span<const Option> own, std::string_view name, const std::string& value);
/// Why an option cannot be kept with a value, in the words that the user shall read; nothing if it can. Names that
/// nobody has pass with `force`.
std::optional<std::string> refuse_option(std::span<const Option> own, const std::string& name, const std::string& value,
                                         bool force);

}  // namespace spirula::mon
