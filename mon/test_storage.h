#pragma once
#include <algorithm>
#include <map>
#include <string>

#include "mon/log_storage.h"

namespace spirula::mon {

/// Files in memory that several DecisionLogs in a row can open, as a directory over restarts; with faults.
class MemoryStorage : public LogStorage {
 public:
  struct Disk {
    std::map<std::string, std::string> files;
    std::size_t room = SIZE_MAX;  // bytes that may still be appended
    bool sync_fails = false;
  };
  explicit MemoryStorage(Disk& disk) : disk_(disk) {}
  bool blocks() const override { return false; }
  Result<std::vector<std::string>> list() override {
    std::vector<std::string> names;
    for (auto& [name, bytes] : disk_.files) names.push_back(name);
    return names;
  }
  Result<Buffer> read(const std::string& name) override { return Buffer::copy_of(disk_.files[name]); }
  Result<> append(const std::string& name, std::uint64_t size, ByteView bytes) override {
    auto& file = disk_.files[name];
    file.resize(size);
    std::size_t fits = std::min(bytes.size(), disk_.room);
    file += as_text(bytes.first(fits));
    disk_.room -= disk_.room == SIZE_MAX ? 0 : fits;
    if (fits < bytes.size()) return Errc::no_space;
    if (disk_.sync_fails) return Errc::outcome_unknown;
    return {};
  }
  Result<> truncate(const std::string& name, std::uint64_t size) override {
    disk_.files[name].resize(size);
    return {};
  }
  Result<> write_whole(const std::string& name, ByteView bytes) override {
    disk_.files[name] = as_text(bytes);
    return {};
  }
  Result<> remove(const std::string& name) override {
    disk_.files.erase(name);
    return {};
  }

 private:
  Disk& disk_;
};

}  // namespace spirula::mon
