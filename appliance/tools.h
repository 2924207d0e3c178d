#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"

namespace spirula::appliance {

struct ToolResult {
  int status = 0;      ///< its exit status; 128 plus the signal that ended it
  std::string output;  ///< what it printed
  std::string words;   ///< what it complained, at most limits::tool_output_bytes_max, as the output
  bool fine() const { return status == 0; }
};

/// Runs a program of the system and waits for it; blocks. No shell is involved: arguments are taken as they are.
/// Errc::timed_out (it was killed), or why it could not be started.
Result<ToolResult> run_tool(const std::vector<std::string>& argv,
                            std::chrono::seconds timeout = std::chrono::seconds(60));
/// The same, where anything but success is an error: Errc::io, and `words` says what the tool said.
Result<std::string> need_tool(const std::vector<std::string>& argv, std::string& words,
                              std::chrono::seconds timeout = std::chrono::seconds(60));

}  // namespace spirula::appliance
