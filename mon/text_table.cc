#include "mon/text_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace spirula::mon {

std::string TextTable::print() const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = columns_[i].heading.size();
    for (const auto& row : rows_)
      if (i < row.size()) width = std::max(width, row[i].size());
    widths.push_back(width);
  }
  std::string text;
  auto cell = [&](std::size_t i, const std::string& value, Align align) {
    if (i) text += "  ";
    text += align == Align::left ? fmt::format("{:<{}}", value, widths[i]) : fmt::format("{:>{}}", value, widths[i]);
  };
  for (std::size_t i = 0; i < columns_.size(); ++i) cell(i, columns_[i].heading, columns_[i].heading_align);
  text += '\n';
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < columns_.size(); ++i) cell(i, i < row.size() ? row[i] : "", columns_[i].cell_align);
    text += '\n';
  }
  return text;
}

namespace {

/// Ceph: format_u in src/include/types.h. One decimal below 100, two below 10; a multiple of the unit prints none.
std::string scaled(std::uint64_t value, std::uint64_t base, const char* const* units) {
  std::uint64_t whole = value;
  int index = 0;
  while (whole >= base && index < 6) {
    whole /= base;
    ++index;
  }
  std::uint64_t unit = 1;
  for (int i = 0; i < index; ++i) unit *= base;
  if (index == 0 || value % unit == 0) return fmt::format("{}{}", whole, units[index]);
  double exact = static_cast<double>(value) / static_cast<double>(unit);
  for (int precision = 2; precision >= 0; --precision) {
    std::string text = fmt::format("{:.{}f}", exact, precision);
    if (text.size() <= 3 || precision == 0) return text + units[index];
  }
  return {};
}

}  // namespace

std::string print_bytes(std::uint64_t bytes) {
  static constexpr const char* units[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
  return scaled(bytes, 1024, units);
}

std::string print_count(std::uint64_t count) {
  static constexpr const char* units[] = {"", "k", "M", "G", "T", "P", "E"};
  return scaled(count, 1000, units);
}

std::string print_age(double seconds) {
  // Ceph changes the unit when the next one would show at least two (src/common/ceph_time.cc: timespan_str).
  auto whole = static_cast<std::uint64_t>(std::max(0.0, seconds));
  struct Unit {
    std::uint64_t seconds;
    const char* name;
  };
  static constexpr Unit units[] = {{365 * 86400, "y"}, {30 * 86400, "M"}, {7 * 86400, "w"},
                                   {86400, "d"},       {3600, "h"},       {60, "m"}};
  for (const Unit& unit : units)
    if (whole >= unit.seconds * 2) return fmt::format("{}{}", whole / unit.seconds, unit.name);
  return fmt::format("{}s", whole);
}

}  // namespace spirula::mon
