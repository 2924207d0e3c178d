#include "appliance/console.h"

#include <fmt/format.h>

#include "appliance/files.h"
#include "base/coroutine.h"
#include "base/log.h"

namespace spirula::appliance {

Console::Console(Shard& shard, Fixed fixed, AccessApi& access, DocumentStore& documents, Box& box)
    : shard_(shard), fixed_(std::move(fixed)), access_(access), documents_(documents), box_(box), tasks_(shard) {}

void Console::start() {
  tasks_.spawn(watch());
}
Task<> Console::stop() {
  co_await tasks_.stop();
}

Task<> Console::watch() {
  std::string shown;
  do {
    std::string now = co_await text();
    if (now == shown) continue;
    if (write_file(fixed_.file, now, 0600))
      shown = std::move(now);
    else
      log_warning("page", "cannot write {}", fixed_.file);
  } while (co_await shard_.clock().sleep(std::chrono::milliseconds(500)));
}

Task<std::string> Console::text() {
  std::string text = fmt::format("page {}\nfingerprint {}\n", fixed_.page, fixed_.fingerprint);
  if (!access_.claim_code().empty()) text += fmt::format("code {}\n", access_.claim_code());
  if (!fixed_.mounts || !box_.link()) co_return text;
  const std::vector<ShareRecord> shares = documents_.current().shares;
  for (const ShareRecord& share : shares) {
    auto key = co_await box_.share_key(share);
    if (key) text += fmt::format("mount {}\n", mount_lines(share, *key, box_.options().places).kernel);
  }
  co_return text;
}

}  // namespace spirula::appliance
