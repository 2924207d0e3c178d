#include "appliance/box_api.h"

#include <fmt/format.h>
#include <boost/json/array.hpp>

#include "appliance/json_read.h"
#include "appliance/limits.h"
#include "base/coroutine.h"
#include "base/log.h"

namespace spirula::appliance {
namespace json = boost::json;
namespace {

constexpr const char* plan_schema =
    R"({"type":"object","required":["disks"],"properties":{"disks":{"type":"array","items":{"type":"string","description":"a disk's path"}}}})";
constexpr const char* setup_schema =
    R"({"type":"object","required":["disks","copies"],"properties":{"disks":{"type":"array","items":{"type":"object","required":["path"],"properties":{"path":{"type":"string"},"erase":{"type":"string","description":"the disk's erase_word, if it holds data"}}}},"copies":{"type":"integer","enum":[1,2,3],"description":"of every file, each on another disk"},"name":{"type":"string","pattern":"^[a-z0-9-]{1,40}$"}}})";
constexpr const char* disk_schema =
    R"({"type":"object","required":["path"],"properties":{"path":{"type":"string"},"erase":{"type":"string","description":"the disk's erase_word, if it holds data"}}})";
constexpr const char* copies_schema =
    R"({"type":"object","required":["copies"],"properties":{"copies":{"type":"integer","enum":[1,2,3]}}})";
constexpr const char* share_schema =
    R"({"type":"object","required":["name"],"properties":{"name":{"type":"string","pattern":"^[a-z0-9][a-z0-9-]*$","maxLength":40}}})";

/// 0 for what is no number of copies.
unsigned copies_in(const json::object& body) {
  const json::value* copies = body.if_contains("copies");
  if (!copies || !copies->is_int64() || copies->get_int64() < 1 || copies->get_int64() > limits::copies_max) return 0;
  return static_cast<unsigned>(copies->get_int64());
}
HttpResponse no_copies() {
  return fail(422, "copies", fmt::format("Choose 1 to {} copies.", limits::copies_max));
}
HttpResponse begun(std::uint64_t job) {
  HttpResponse response = ok({{"job", job}});
  response.status = 202;
  return response;
}

const json::array* list_in(const json::object& body, const char* name) {
  const json::value* value = body.if_contains(name);
  return value && value->is_array() && value->get_array().size() <= limits::disks_max ? &value->get_array() : nullptr;
}

int status_for(std::error_code error) {
  if (error == Errc::exists || error == Errc::busy) return 409;
  if (error == Errc::permission || error == Errc::invalid || error == Errc::not_found) return 422;
  return 500;
}

HttpResponse not_ready() {
  return fail(409, "not_set_up", "The storage is not ready. Set it up first, or wait until it has started.");
}

}  // namespace

void BoxApi::add_to(Router& router) {
  router.add({"GET", "/api/v1/config", Access::viewer, "the configuration, without secrets", "",
              action(this, &BoxApi::get_config)});
  router.add({"GET", "/api/v1/disks", Access::viewer, "every disk, what is on it, and whether it can be chosen", "",
              action(this, &BoxApi::list_disks)});
  router.add({"POST", "/api/v1/setup/plan", Access::administrator,
              "what disks, with those already in use, would give; changes nothing", plan_schema,
              action(this, &BoxApi::plan)});
  router.add({"POST", "/api/v1/setup", Access::administrator, "format the disks and start the storage: a job",
              setup_schema, action(this, &BoxApi::set_up)});
  router.add({"DELETE", "/api/v1/setup", Access::administrator,
              "take back a set-up that failed, so that other disks can be chosen", "",
              action(this, &BoxApi::give_up_setup)});
  router.add({"POST", "/api/v1/disks", Access::administrator, "add a disk to the storage: a job", disk_schema,
              action(this, &BoxApi::add_disk)});
  router.add({"DELETE", "/api/v1/disks/{name}", Access::administrator,
              "take a disk out, working or broken, after what is on it has moved to others: a job", "",
              action(this, &BoxApi::remove_disk)});
  router.add({"POST", "/api/v1/disks/{name}/keep", Access::administrator, "keep a disk that is being taken out", "",
              action(this, &BoxApi::keep_disk)});
  router.add({"PUT", "/api/v1/copies", Access::administrator, "how many disks keep every file", copies_schema,
              action(this, &BoxApi::set_copies)});
  router.add({"POST", "/api/v1/start", Access::administrator, "try again to make or start what could not be: a job", "",
              action(this, &BoxApi::start)});
  router.add({"GET", "/api/v1/status", Access::viewer, "health, space, disks, clients", "",
              action(this, &BoxApi::get_status)});
  router.add({"GET", "/api/v1/history", Access::viewer, "throughput and latency of the last hour", "",
              action(this, &BoxApi::get_history)});
  router.add({"GET", "/api/v1/shares", Access::viewer, "the shares", "", action(this, &BoxApi::list_shares)});
  router.add({"POST", "/api/v1/shares", Access::administrator, "make a share", share_schema,
              action(this, &BoxApi::make_share)});
  router.add({"GET", "/api/v1/shares/{name}", Access::administrator, "a share and how to mount it, with its key", "",
              action(this, &BoxApi::get_share)});
  router.add({"DELETE", "/api/v1/shares/{name}", Access::administrator,
              "end a share: its key stops working, its files stay and are back when a share of that name is made", "",
              action(this, &BoxApi::remove_share)});
}

Task<HttpResponse> BoxApi::get_config(Call) {
  co_return ok(to_public_json(documents_.current()));
}

Task<HttpResponse> BoxApi::list_disks(Call) {
  std::string words;
  auto disks = co_await box_.list_disks(words);
  if (!disks) co_return fail(500, "disks", fmt::format("The disks cannot be listed: {}. Try again.", words));
  json::array all;
  for (const Disk& disk : *disks) {
    const auto& ours = documents_.current().disks;
    bool mine = std::ranges::any_of(ours, [&](const DiskRecord& record) {
      return std::ranges::find(disk.filesystems, record.filesystem) != disk.filesystems.end();
    });
    all.push_back(json::object{{"path", disk.path},
                               {"model", disk.model},
                               {"serial", disk.serial},
                               {"bytes", disk.bytes},
                               {"kind", disk.loop         ? "file"
                                        : disk.rotational ? "hard disk"
                                                          : "SSD"},
                               {"removable", disk.removable},
                               {"mine", mine},
                               {"holds", json::array(disk.holds.begin(), disk.holds.end())},
                               {"problem", mine ? "It is in use by this box already." : disk.problem()},
                               {"erase_word", disk.holds.empty() ? "" : disk.erase_word()}});
  }
  co_return ok(json::object{{"disks", std::move(all)}});
}

Task<HttpResponse> BoxApi::plan(Call call) {
  const json::array* chosen = list_in(call.body, "disks");
  if (!chosen) co_return fail(422, "no_disks", "Choose at least one disk.");
  std::string words;
  auto disks = co_await box_.list_disks(words);
  if (!disks) co_return fail(500, "disks", fmt::format("The disks cannot be listed: {}. Try again.", words));
  std::vector<std::uint64_t> sizes;
  for (const DiskRecord& disk : documents_.current().disks)
    if (!disk.leaving) sizes.push_back(disk.bytes);
  for (const json::value& path : *chosen) {
    auto at = !path.is_string() ? disks->end() : std::ranges::find(*disks, std::string(path.get_string()), &Disk::path);
    if (at == disks->end()) co_return fail(422, "no_disk", "A chosen disk is not there any more. Choose again.");
    sizes.push_back(at->bytes);
  }
  if (sizes.empty()) co_return fail(422, "no_disks", "Choose at least one disk.");
  json::array choices;
  for (unsigned copies = 1; copies <= std::min<std::size_t>(limits::copies_max, sizes.size()); ++copies) {
    Plan plan = plan_for(sizes, copies);
    choices.push_back(json::object{{"copies", copies}, {"bytes", plan.bytes}, {"survives", plan.survives}});
  }
  co_return ok({{"choices", std::move(choices)}, {"suggested", std::min<std::size_t>(2, sizes.size())}});
}

Task<HttpResponse> BoxApi::set_up(Call call) {
  const unsigned copies = copies_in(call.body);
  if (copies == 0) co_return no_copies();
  std::string name = text_in(call.body, "name");
  if (!name.empty())
    if (auto problem = problem_with_box_name(name); !problem.empty()) co_return fail(422, "name", problem);
  std::vector<DiskChoice> choices;
  const json::array* chosen = list_in(call.body, "disks");
  if (!chosen) co_return fail(422, "no_disks", "Choose at least one disk.");
  for (const json::value& each : *chosen) {
    if (!each.is_object()) co_return fail(422, "no_disks", "Choose at least one disk.");
    choices.push_back({text_in(each.get_object(), "path"), text_in(each.get_object(), "erase")});
  }
  std::string words;
  auto job = co_await box_.set_up(std::move(choices), copies, std::move(name), words);
  if (!job) co_return fail(status_for(job.error()), "setup", words);
  co_return begun(*job);
}

Task<HttpResponse> BoxApi::give_up_setup(Call) {
  std::string words;
  auto done = co_await box_.give_up_setup(words);
  if (!done) co_return fail(status_for(done.error()), "setup", words);
  co_return ok(json::object{});
}

Task<HttpResponse> BoxApi::add_disk(Call call) {
  if (documents_.current().setup != SetupState::ready || !box_.link()) co_return not_ready();
  std::string words;
  auto job = co_await box_.add_disk({text_in(call.body, "path"), text_in(call.body, "erase")}, words);
  if (!job) co_return fail(status_for(job.error()), "disk", words);
  co_return begun(*job);
}

const DiskRecord* BoxApi::find_disk(const std::string& name) const {
  for (const DiskRecord& disk : documents_.current().disks)
    if (fmt::format("osd.{}", disk.osd) == name) return &disk;
  return nullptr;
}

Task<HttpResponse> BoxApi::remove_disk(Call call) {
  if (documents_.current().setup != SetupState::ready) co_return not_ready();
  const DiskRecord* disk = find_disk(call.parts[0]);
  if (!disk) co_return fail(404, "no_disk", "This disk is not one of the box's. Reload the page.");
  std::string words;
  auto job = co_await box_.remove_disk(disk->osd, words);
  if (!job) co_return fail(status_for(job.error()), "disk", words);
  co_return begun(*job);
}

Task<HttpResponse> BoxApi::keep_disk(Call call) {
  const DiskRecord* disk = find_disk(call.parts[0]);
  if (!disk) co_return fail(404, "no_disk", "This disk is not one of the box's. Reload the page.");
  std::string words;
  auto done = co_await box_.keep_disk(disk->osd, words);
  if (!done) co_return fail(status_for(done.error()), "disk", words);
  co_return ok(json::object{});
}

Task<HttpResponse> BoxApi::set_copies(Call call) {
  const unsigned copies = copies_in(call.body);
  if (copies == 0) co_return no_copies();
  if (documents_.current().setup != SetupState::ready || !box_.link()) co_return not_ready();
  std::string words;
  auto done = co_await box_.set_copies(copies, words);
  if (!done) co_return fail(status_for(done.error()), "copies", words);
  co_return ok({{"copies", copies}});
}

Task<HttpResponse> BoxApi::start(Call) {
  if (documents_.current().setup == SetupState::blank) co_return not_ready();
  box_.start();
  HttpResponse response = ok(json::object{});
  response.status = 202;
  co_return response;
}

Task<HttpResponse> BoxApi::get_status(Call) {
  co_return ok(watcher_.status());
}

Task<HttpResponse> BoxApi::get_history(Call) {
  co_return ok(watcher_.history());
}

const ShareRecord* BoxApi::find_share(const std::string& name) const {
  const auto& shares = documents_.current().shares;
  auto at = std::ranges::find(shares, name, &ShareRecord::name);
  return at == shares.end() ? nullptr : &*at;
}

Task<HttpResponse> BoxApi::list_shares(Call) {
  json::array all;
  for (const ShareRecord& share : documents_.current().shares)
    all.push_back(json::object{{"name", share.name}, {"made", share.made}});
  co_return ok(json::object{{"shares", std::move(all)}});
}

Task<HttpResponse> BoxApi::describe_share(ShareRecord share) {
  auto key = co_await box_.share_key(share);
  if (!key) co_return fail(503, "no_key", "The share's key cannot be read. Wait a minute and try again.");
  MountLines lines = mount_lines(share, *key, box_.options().places);
  co_return ok({{"name", share.name},
                {"made", share.made},
                {"key", *key},
                {"folder", fmt::format("mkdir -p /mnt/{}", share.name)},
                {"kernel", lines.kernel},
                {"fstab", lines.fstab},
                {"fuse", lines.fuse}});
}

Task<HttpResponse> BoxApi::get_share(Call call) {
  const ShareRecord* share = find_share(call.parts[0]);
  if (!share) co_return fail(404, "no_share", "There is no share of this name.");
  if (!box_.link()) co_return not_ready();
  co_return co_await describe_share(*share);
}

Task<HttpResponse> BoxApi::make_share(Call call) {
  ShareRecord share{.name = text_in(call.body, "name")};
  if (auto problem = problem_with_share_name(share.name); !problem.empty()) co_return fail(422, "name", problem);
  if (find_share(share.name)) co_return fail(409, "exists", "There is a share of this name already. Choose another.");
  if (documents_.current().setup != SetupState::ready || !box_.link()) co_return not_ready();
  if (documents_.current().shares.size() >= limits::shares_max)
    co_return fail(409, "too_many", "There are too many shares. Remove one that is no longer used.");
  if (share_busy_) co_return fail(409, "busy", "Another share is being changed. Try again in a moment.");
  share_busy_ = true;
  auto folder = co_await box_.link()->make_share_folder(share.name, share.name_space());
  ShareCaps caps = share_caps(share);
  Result<json::value> key = Errc::cancelled;
  json::object words{{"prefix", "auth get-or-create"},
                     {"entity", share.entity()},
                     {"caps", {"mon", caps.mon, "osd", caps.osd, "mds", caps.mds}}};
  if (folder) key = co_await box_.link()->need(words);
  share_busy_ = false;
  if (!folder) {
    log_error("share", "{}: {}", share.name, folder.error().message());
    co_return fail(503, "folder", "The storage does not answer. Wait a minute and try again.");
  }
  if (!key) co_return fail(503, "key", "The share's key could not be made. Wait a minute and try again.");
  share.made = std::chrono::duration_cast<std::chrono::seconds>(shard_.clock().wall().time_since_epoch()).count();
  Document document = documents_.current();
  document.shares.push_back(share);
  if (auto saved = documents_.save(std::move(document)); !saved) co_return not_saved(saved.error());
  log_info("share", "{} was made", share.name);
  co_return co_await describe_share(share);
}

Task<HttpResponse> BoxApi::remove_share(Call call) {
  const ShareRecord* found = find_share(call.parts[0]);
  if (!found) co_return fail(404, "no_share", "There is no share of this name.");
  if (!box_.link()) co_return not_ready();
  if (share_busy_) co_return fail(409, "busy", "Another share is being changed. Try again in a moment.");
  const ShareRecord share = *found;
  share_busy_ = true;
  // The key first: a share that is still listed can be removed again, a key that nobody sees cannot.
  auto removed = co_await box_.link()->need({{"prefix", "auth rm"}, {"entity", share.entity()}});
  share_busy_ = false;
  if (!removed) co_return fail(503, "key", "The share's key could not be removed. Wait a minute and try again.");
  Document document = documents_.current();
  std::erase_if(document.shares, [&](const ShareRecord& each) { return each.name == share.name; });
  if (auto saved = documents_.save(std::move(document)); !saved) co_return not_saved(saved.error());
  log_info("share", "{} was removed", share.name);
  co_return ok(json::object{});
}

}  // namespace spirula::appliance
