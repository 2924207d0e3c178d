#pragma once
#include <string>
#include <vector>

namespace spirula::mon {

/// Columns of text, two blanks apart, as Ceph's plain output has them (src/common/TextTable.h).
class TextTable {
 public:
  enum class Align { left, right };
  struct Column {
    std::string heading;
    Align heading_align = Align::left;
    Align cell_align = Align::right;
  };
  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// Missing cells at the end are blank.
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string print() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// "12 KiB", as Ceph prints bytes: at most three or four digits, cut, not rounded, until the value is small enough.
std::string print_bytes(std::uint64_t bytes);
/// "1.2k": the same with powers of 1000.
std::string print_count(std::uint64_t count);
/// "5m", "3h", "2w": an age, as Ceph's timespan_str prints it.
std::string print_age(double seconds);

}  // namespace spirula::mon
