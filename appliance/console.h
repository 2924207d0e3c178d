#pragma once
#include <functional>
#include <string>

#include "appliance/access_api.h"
#include "appliance/box.h"
#include "base/task_group.h"

namespace spirula::appliance {

/// Files with what the screen of the box should show, kept up to date. Lives on one shard.
/// `file`: one "WORD VALUE" a line: `page` (its address), `fingerprint`, `code` until the box is claimed, and `mount`
/// lines where that is wished. `issue`: the same for people, as agetty shows it above its login prompt, with a QR code.
class Console {
 public:
  struct Fixed {
    std::string file, issue, page;
    std::function<std::string()> fingerprint;  ///< of the certificate in use
    std::string notice;                        ///< something the owner should know, or empty
    bool mounts = false;
  };
  Console(Shard& shard, Fixed fixed, AccessApi& access, DocumentStore& documents, Box& box, BlockingPool& workers);
  void start();
  Task<> stop();

 private:
  Task<> watch();
  Task<std::string> text();
  Task<> show_issue();

  Shard& shard_;
  Fixed fixed_;
  AccessApi& access_;
  DocumentStore& documents_;
  Box& box_;
  BlockingPool& workers_;
  TaskGroup tasks_;
};

}  // namespace spirula::appliance
