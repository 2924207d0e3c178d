#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace spirula::appliance {

/// What a disk says about itself.
struct DiskHealth {
  bool passed = true;
  std::optional<int> celsius;
  std::optional<long> hours;  ///< powered on
  /// "healthy, 31 °C, 4,000 hours on", or what to do about it.
  std::string describe() const;
};

/// The output of `smartctl --json --health --attributes`; nothing for a disk that does not say.
std::optional<DiskHealth> parse_smartctl(std::string_view text);
/// Blocks for up to ten seconds; does not wake a disk that sleeps.
std::optional<DiskHealth> ask_disk(const std::string& path);

}  // namespace spirula::appliance
