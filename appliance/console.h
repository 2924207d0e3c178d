#pragma once
#include <string>

#include "appliance/access_api.h"
#include "appliance/box.h"
#include "base/task_group.h"

namespace spirula::appliance {

/// A file with what the screen of the box should show, one "WORD VALUE" a line, kept up to date: `page` (its address),
/// `fingerprint`, `code` until the box is claimed, and `mount` lines where that is wished. Lives on one shard.
class Console {
 public:
  struct Fixed {
    std::string file, page, fingerprint;
    bool mounts = false;
  };
  Console(Shard& shard, Fixed fixed, AccessApi& access, DocumentStore& documents, Box& box);
  void start();
  Task<> stop();

 private:
  Task<> watch();
  Task<std::string> text();

  Shard& shard_;
  Fixed fixed_;
  AccessApi& access_;
  DocumentStore& documents_;
  Box& box_;
  TaskGroup tasks_;
};

}  // namespace spirula::appliance
