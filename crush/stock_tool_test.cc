// The part of the tests that runs the stock tool; a *_test.cc so that it stays out of the library.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "crush/stock_tool_for_tests.h"

namespace spirula::crush::testing {
namespace {

void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

StockTool::StockTool() {
  std::string pattern = std::filesystem::temp_directory_path() / "spirula-crush-XXXXXX";
  EXPECT_NE(mkdtemp(pattern.data()), nullptr);
  folder_ = pattern;
}

StockTool::~StockTool() {
  std::filesystem::remove_all(folder_);
}

bool StockTool::run(const std::string& command, std::string& output) {
  output.clear();
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (!pipe) return false;
  char chunk[4096];
  while (const auto size = fread(chunk, 1, sizeof chunk, pipe)) output.append(chunk, size);
  return pclose(pipe) == 0;
}

Buffer StockTool::compile(const std::string& text) {
  write_file(path("map.txt"), text);
  std::string output;
  if (!run(fmt::format("crushtool -c {} -o {}", path("map.txt"), path("compiled")), output)) {
    ADD_FAILURE() << output.substr(0, 400);
    return {};
  }
  return Buffer::copy_of(read_file(path("compiled")));
}

std::string StockTool::decompile(const Buffer& map) {
  write_file(path("map"), map.text());
  std::string output;
  return run(fmt::format("crushtool -d {}", path("map")), output) ? output : std::string();
}

Buffer StockTool::edit(const Buffer& map, const std::string& arguments) {
  write_file(path("map"), map.text());
  std::filesystem::remove(path("edited"));
  std::string output;
  if (!run(fmt::format("crushtool -i {} {} -o {}", path("map"), arguments, path("edited")), output)) return {};
  return Buffer::copy_of(read_file(path("edited")));
}

std::string StockTool::show(const Buffer& map, const std::string& arguments) {
  write_file(path("map"), map.text());
  std::string output;
  EXPECT_TRUE(run(fmt::format("crushtool -i {} {}", path("map"), arguments), output)) << output;
  return output;
}

std::map<std::uint32_t, std::vector<ItemId>> StockTool::mappings(const Buffer& map, const std::string& arguments) {
  // Lines are "CRUSH rule 0 x 12 [3,4,2147483647]".
  std::map<std::uint32_t, std::vector<ItemId>> result;
  std::istringstream lines(show(map, "--test --show-mappings " + arguments));
  for (std::string line; std::getline(lines, line);) {
    unsigned rule = 0, x = 0;
    int at = 0;
    if (sscanf(line.c_str(), "CRUSH rule %u x %u %n", &rule, &x, &at) != 2 || at == 0) continue;
    std::istringstream list(line.substr(static_cast<std::size_t>(at) + 1));
    auto& items = result[x];
    for (ItemId item; list >> item; list.ignore(1)) items.push_back(item);
  }
  return result;
}

}  // namespace spirula::crush::testing
