#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "crush/bucket.h"

/// For tests only: the stock `crushtool` (Debian package ceph-base) and a folder for the files it reads and writes.
namespace spirula::crush::testing {

class StockTool {
 public:
  StockTool();
  ~StockTool();
  StockTool(const StockTool&) = delete;
  StockTool& operator=(const StockTool&) = delete;

  /// `crushtool -c`; empty if the tool refuses the text.
  Buffer compile(const std::string& text);
  /// `crushtool -d`; empty if the tool refuses the map.
  std::string decompile(const Buffer& map);
  /// `crushtool -i map ARGUMENTS -o result`; empty if it fails.
  Buffer edit(const Buffer& map, const std::string& arguments);
  /// What `crushtool -i map ARGUMENTS` prints.
  std::string show(const Buffer& map, const std::string& arguments);
  /// `crushtool -i map --test --show-mappings ARGUMENTS`: x -> items.
  std::map<std::uint32_t, std::vector<ItemId>> mappings(const Buffer& map, const std::string& arguments);

 private:
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  /// True if the command exits with 0; its output, errors included, goes to `output`.
  bool run(const std::string& command, std::string& output);

  std::string folder_;
};

}  // namespace spirula::crush::testing
