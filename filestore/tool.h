#pragma once
#include <cstdio>
#include <string>
#include <vector>

namespace spirula::filestore {

/// filestore-tool: a look into a store that no daemon has open. mkfs, import and rebuild-index write; nothing else
/// does. The exit status: 0, 1 when it failed and said why, 2 when `words` make no sense.
int run_tool(const std::vector<std::string>& words, std::FILE* out, std::FILE* error);

}  // namespace spirula::filestore
