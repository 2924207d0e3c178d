#include "appliance/backup_api.h"

#include <fmt/format.h>
#include <boost/json/array.hpp>

#include <algorithm>

#include "appliance/limits.h"
#include "appliance/render.h"
#include "base/coroutine.h"
#include "base/log.h"

namespace spirula::appliance {
namespace json = boost::json;
namespace {

constexpr const char* backup_schema =
    R"({"type":"object","required":["spirula_settings","name","made","shares"],"properties":{"spirula_settings":{"type":"integer","description":"the format: 1"},"name":{"type":"string"},"made":{"type":"integer"},"shares":{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"},"key":{"type":"string"}}}}}})";

/// What `auth import` takes.
std::string keyring_text(const ShareRecord& share, const std::string& key) {
  const ShareCaps caps = share_caps(share);
  return fmt::format("[{}]\n\tkey = {}\n\tcaps mds = \"{}\"\n\tcaps mon = \"{}\"\n\tcaps osd = \"{}\"\n",
                     share.entity(), key, caps.mds, caps.mon, caps.osd);
}

}  // namespace

void BackupApi::add_to(Router& router) {
  router.add({"GET", "/api/v1/backup", Access::administrator,
              "the settings file: the box's name, the shares and their keys; keep it as you keep a key", "",
              action(this, &BackupApi::download)});
  router.add({"POST", "/api/v1/restore/plan", Access::administrator,
              "what bringing back a settings file would do; changes nothing", backup_schema,
              action(this, &BackupApi::plan)});
  router.add({"POST", "/api/v1/restore", Access::administrator,
              "take the name, and make the shares that are missing, with the keys they had: a job", backup_schema,
              action(this, &BackupApi::restore)});
}

Task<HttpResponse> BackupApi::download(Call) {
  const Document document = documents_.current();
  Backup backup{.name = document.name};
  backup.made = std::chrono::duration_cast<std::chrono::seconds>(shard_.clock().wall().time_since_epoch()).count();
  for (const ShareRecord& share : document.shares) {
    auto key = co_await box_.share_key(share);
    if (!key) co_return fail(503, "no_key", "The shares' keys cannot be read now. Wait a minute and try again.");
    backup.shares.push_back({.name = share.name, .key = *key});
  }
  HttpResponse response = ok(to_json(backup));
  response.headers.emplace_back("Content-Disposition",
                                fmt::format("attachment; filename=\"{}-settings.json\"", document.name));
  co_return response;
}

std::optional<HttpResponse> BackupApi::read(const Call& call, Backup& backup) {
  std::string problem;
  backup = parse_backup(call.body, problem);
  if (!problem.empty()) return fail(422, "backup", problem);
  return {};
}

Task<HttpResponse> BackupApi::plan(Call call) {
  Backup backup;
  if (auto refusal = read(call, backup)) co_return std::move(*refusal);
  const RestorePlan plan = plan_restore(backup, documents_.current());
  json::array missing, there;
  for (const Backup::Share& share : plan.missing) missing.emplace_back(share.name);
  for (const std::string& name : plan.there) there.emplace_back(name);
  co_return ok({{"name", backup.name}, {"made", backup.made}, {"missing", missing}, {"there", there}});
}

Task<HttpResponse> BackupApi::restore(Call call) {
  Backup backup;
  if (auto refusal = read(call, backup)) co_return std::move(*refusal);
  if (documents_.current().setup != SetupState::ready || !box_.link())
    co_return fail(409, "not_set_up", "The storage is not ready. Set it up first, or wait until it has started.");
  auto job = jobs_.start("restore", "Bringing back settings",
                         [this, backup](JobBoard::Progress& progress) { return bring_back(backup, progress); });
  if (!job) co_return fail(409, "busy", "A settings file is being brought back already. Wait until that is done.");
  HttpResponse response = ok({{"job", *job}});
  response.status = 202;
  co_return response;
}

Task<Result<>> BackupApi::bring_back(Backup backup, JobBoard::Progress& progress) {
  const RestorePlan plan = plan_restore(backup, documents_.current());
  double done = 0;
  for (const Backup::Share& share : plan.missing) {
    progress.at(done++ / static_cast<double>(plan.missing.size()), fmt::format("Making the share {}", share.name));
    Result<> made = co_await bring_back_share(share);
    if (made) continue;
    progress.failed(
        fmt::format("The share {} could not be made: {}. What was made before it stays. Bring the file back "
                    "once more in a minute.",
                    share.name, made.error().message()));
    co_return made;
  }
  Document document = documents_.current();
  document.name = backup.name;
  Result<> saved = documents_.save(std::move(document));
  if (!saved) progress.failed("The box's name could not be written. Make room on the system disk, then try again.");
  co_return saved;
}

Task<Result<>> BackupApi::bring_back_share(Backup::Share wanted) {
  ShareRecord share{.name = wanted.name};
  share.made = std::chrono::duration_cast<std::chrono::seconds>(shard_.clock().wall().time_since_epoch()).count();
  if (!box_.link()) co_return Errc::closed;
  CO_TRY(co_await box_.link()->make_share_folder(share.name, share.name_space()));
  if (!box_.link()) co_return Errc::closed;
  const Document& before = documents_.current();
  // Somebody may have made it on the page meanwhile: theirs stays.
  if (std::ranges::find(before.shares, share.name, &ShareRecord::name) != before.shares.end()) co_return Result<>{};
  if (before.shares.size() >= limits::shares_max) co_return Errc::no_space;
  CO_TRY(co_await box_.link()->need({{"prefix", "auth import"}}, keyring_text(share, wanted.key)));
  Document document = documents_.current();
  document.shares.push_back(share);
  CO_TRY(documents_.save(std::move(document)));
  log_info("share", "{} was brought back", share.name);
  co_return Result<>{};
}

}  // namespace spirula::appliance
