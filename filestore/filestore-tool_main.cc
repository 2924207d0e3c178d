#include "filestore/tool.h"

int main(int count, char** values) {
  return spirula::filestore::run_tool(std::vector<std::string>(values + 1, values + count), stdout, stderr);
}
