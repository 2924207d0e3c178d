#include "appliance/console.h"

#include <fmt/format.h>

#include <filesystem>

#include "appliance/files.h"
#include "appliance/tools.h"
#include "base/coroutine.h"
#include "base/log.h"

namespace spirula::appliance {

Console::Console(Shard& shard, Fixed fixed, AccessApi& access, DocumentStore& documents, Box& box,
                 BlockingPool& workers)
    : shard_(shard),
      fixed_(std::move(fixed)),
      access_(access),
      documents_(documents),
      box_(box),
      workers_(workers),
      tasks_(shard) {}

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
    if (!fixed_.file.empty() && !write_file(fixed_.file, now, 0600)) {
      log_warning("page", "cannot write {}", fixed_.file);
      continue;
    }
    if (!fixed_.issue.empty()) co_await show_issue();
    shown = std::move(now);
  } while (co_await shard_.clock().sleep(std::chrono::milliseconds(500)));
}

Task<> Console::show_issue() {
  const std::string code = access_.claim_code(), fingerprint = fixed_.fingerprint();
  co_await workers_.run([&] {
    std::string text;
    auto picture = run_tool({"qrencode", "-t", "UTF8", "-m", "1", fixed_.page});
    if (picture && picture->fine()) text = picture->output;
    text += fmt::format("\nOpen       {}\n", fixed_.page);
    if (!fixed_.notice.empty()) text += fixed_.notice + "\n";
    if (!code.empty()) text += fmt::format("Claim code {}\n", code);
    // In two lines, as a screen of 80 columns shows them.
    const std::size_t half = fingerprint.size() / 2 + 1;
    text += fmt::format("Certificate (SHA-256)\n  {}\n  {}\n\n", fingerprint.substr(0, half), fingerprint.substr(half));
    (void)make_folder(std::filesystem::path(fixed_.issue).parent_path(), 0755);
    // Whoever is at the screen may claim the box; nobody else can read the file.
    if (!write_file(fixed_.issue, text, 0600)) log_warning("page", "cannot write {}", fixed_.issue);
    (void)run_tool({"agetty", "--reload"});
  });
}

Task<std::string> Console::text() {
  std::string text = fmt::format("page {}\nfingerprint {}\n", fixed_.page, fixed_.fingerprint());
  if (!fixed_.notice.empty()) text += fmt::format("notice {}\n", fixed_.notice);
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
