#include "appliance/box.h"

#include <fmt/format.h>
#include <boost/json/array.hpp>

#include <filesystem>
#include <set>

#include "appliance/files.h"
#include "appliance/limits.h"
#include "appliance/tools.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "msg/keyring.h"

namespace spirula::appliance {
namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr Duration daemon_patience = 90s;
constexpr const char* mds_names[] = {"mds.a", "mds.b"};

std::string osd_name(int osd) {
  return fmt::format("osd.{}", osd);
}

std::string new_uuid() {
  return msg::Uuid::generate(system_random()).describe();
}

std::int64_t number_at(const json::value& value, std::string_view pointer) {
  boost::system::error_code error;
  const json::value* found = value.find_pointer(pointer, error);
  if (!found) return 0;
  return found->is_int64()    ? found->get_int64()
         : found->is_uint64() ? static_cast<std::int64_t>(found->get_uint64())
                              : 0;
}

}  // namespace

Box::Box(Shard& shard, BoxOptions options, DocumentStore& documents, JobBoard& jobs, Supervisor& supervisor,
         BlockingPool& workers)
    : shard_(shard),
      options_(std::move(options)),
      documents_(documents),
      jobs_(jobs),
      supervisor_(supervisor),
      workers_(workers) {}

void Box::start() {
  switch (documents_.current().setup) {
    case SetupState::blank:
      return;
    case SetupState::making:
      log_info("box", "a set-up that was cut short goes on");
      (void)jobs_.start("setup", "Setting up storage", [this](JobBoard::Progress& progress) { return make(progress); });
      return;
    case SetupState::ready:
      (void)jobs_.start("start", "Starting storage",
                        [this](JobBoard::Progress& progress) { return bring_up(progress); });
  }
}

Task<> Box::stop() {
  if (link_) co_await link_->close();
  co_await supervisor_.close();
  if (supervisor_.outlives_us()) co_return;
  std::vector<std::string> targets;
  for (const DiskRecord& disk : documents_.current().disks) targets.push_back(options_.places.store(disk.osd));
  co_await workers_.run([&] {
    for (const auto& target : targets)
      if (auto done = unmount_store(target); !done)
        log_error("box", "{} cannot be unmounted: {}", target, done.error().message());
  });
}

Task<Result<std::vector<Disk>>> Box::list_disks(std::string& words) {
  Result<std::vector<Disk>> disks = Errc::cancelled;
  co_await workers_.run([&] { disks = appliance::list_disks(options_.disks_only, words); });
  co_return disks;
}

Task<Result<std::uint64_t>> Box::set_up(std::vector<DiskChoice> choices, std::string name, std::string& words) {
  words = "Storage is set up already, or is being set up in another window. Reload the page.";
  if (documents_.current().setup != SetupState::blank) co_return Errc::exists;
  std::string problem;
  auto disks = co_await list_disks(problem);
  if (!disks) {
    words = fmt::format("The disks cannot be listed: {}.", problem);
    co_return disks.error();
  }
  // Another window may have been quicker while the disks were read.
  if (documents_.current().setup != SetupState::blank) co_return Errc::exists;
  Document document = documents_.current();
  std::set<std::string> seen;
  words = "Choose at least one disk.";
  if (choices.empty() || choices.size() > limits::disks_max) co_return Errc::invalid;
  for (const DiskChoice& choice : choices) {
    auto disk = std::ranges::find(*disks, choice.path, &Disk::path);
    words = fmt::format("The disk {} is not there any more. Choose again.", choice.path);
    if (disk == disks->end()) co_return Errc::not_found;
    words = fmt::format("The disk {} was named twice.", choice.path);
    if (!seen.insert(choice.path).second) co_return Errc::invalid;
    words = fmt::format("The disk {} cannot be used. {}", choice.path, disk->problem());
    if (!disk->problem().empty()) co_return Errc::invalid;
    words = fmt::format("The disk {} holds {}. To erase it, type {} exactly.", choice.path,
                        disk->holds.empty() ? "" : disk->holds.front(), disk->erase_word());
    if (!disk->holds.empty() && choice.typed != disk->erase_word()) co_return Errc::permission;
    DiskRecord record{.osd = static_cast<int>(document.disks.size()),
                      .path = disk->path,
                      .serial = disk->serial,
                      .filesystem = new_uuid(),
                      .erase = !disk->holds.empty(),
                      .bytes = disk->bytes};
    if (!disk->loop) {
      record.data_partition = new_uuid();
      record.journal_partition = new_uuid();
    }
    document.disks.push_back(std::move(record));
  }
  if (!name.empty()) document.name = name;
  document.fsid = new_uuid();
  document.setup = SetupState::making;
  if (auto saved = documents_.save(std::move(document)); !saved) {
    words =
        "The configuration could not be written. Nothing was touched. Make room on the system disk, then try again.";
    co_return saved.error();
  }
  words.clear();
  co_return jobs_.start("setup", "Setting up storage", [this](JobBoard::Progress& progress) { return make(progress); });
}

Task<Result<std::string>> Box::share_key(ShareRecord share) {
  if (!link_) co_return Errc::closed;
  CO_TRY(auto entry, co_await link_->need({{"prefix", "auth get-key"}, {"entity", share.entity()}}));
  const json::value* key = entry.is_object() ? entry.get_object().if_contains("key") : nullptr;
  if (!key || !key->is_string()) co_return Errc::malformed;
  co_return std::string(key->get_string());
}

Task<Result<>> Box::make(JobBoard::Progress& progress) {
  progress.at(0.02, "Making keys");
  std::string words;
  Result<> done = co_await render();
  if (done) done = make_keys();
  if (!done) {
    progress.failed(
        fmt::format("The system disk cannot be written: {}. Make room on it, then try again.", done.error().message()));
    co_return done;
  }
  const std::string made_mark = options_.places.state + "/mon.a.made";
  if (!std::filesystem::exists(made_mark)) {
    // What an attempt left that was cut short never had a client.
    std::error_code ignored;
    std::filesystem::remove_all(options_.places.state + "/mon.a", ignored);
    done = make_folder(options_.places.state + "/mon.a", 0700);
    if (done)
      done = co_await run({options_.programs + "/cmon", "--mkfs", "-i", "a", "-c", options_.places.conf(), "--keyring",
                           options_.places.keyring("bootstrap")},
                          words);
    if (done) done = write_file(made_mark, "", 0600);
    if (!done) {
      progress.failed(fmt::format("The monitor's store cannot be made: {}.", words));
      co_return done;
    }
  }
  progress.at(0.1, "Starting the monitor");
  done = co_await start_monitor(words);
  if (!done) {
    progress.failed(words);
    co_return done;
  }
  const std::vector<DiskRecord> disks = documents_.current().disks;
  for (std::size_t i = 0; i < disks.size(); ++i) {
    const double at = 0.2 + 0.5 * static_cast<double>(i) / static_cast<double>(disks.size());
    DiskRecord disk = disks[i];
    if (!disk.made) {
      progress.at(at, fmt::format("Formatting {} (disk {} of {})", disk.path, i + 1, disks.size()));
      co_await workers_.run([&] {
        // What an earlier attempt left on it never had a client: begun anew, it needs no state of its own.
        done = unmount_store(options_.places.store(disk.osd));
        const bool begun = find_filesystem(disk.filesystem).has_value();
        if (done) done = format_disk(disk, disk.erase || begun, words);
      });
      if (!done) {
        progress.failed(
            fmt::format("{}. No other disk was touched after that. Connect the disk, then try again.", words));
        co_return done;
      }
    }
    progress.at(at + 0.2 / static_cast<double>(disks.size()), fmt::format("Starting the store on {}", disk.path));
    done = co_await start_osd(disk, words);
    if (!done) {
      progress.failed(fmt::format("The store on {} does not start: {}.", disk.path, words));
      co_return done;
    }
  }
  progress.at(0.72, "Waiting for the stores");
  done = co_await wait_until(
      [&](const json::value& status) { return number_at(status, "/osdmap/num_up_osds") == std::ssize(disks); },
      daemon_patience);
  if (done) {
    progress.at(0.8, "Making the file system");
    done = co_await make_file_system();
  }
  for (const char* name : mds_names) {
    if (!done) break;
    progress.at(0.85, "Starting the metadata servers");
    done = co_await start_mds(name);
  }
  if (done)
    done = co_await wait_until([](const json::value& status) { return number_at(status, "/fsmap/up") == 1; },
                               daemon_patience);
  if (!done) {
    progress.failed(
        fmt::format("The daemons do not get ready ({}). Try again; the log says more.", done.error().message()));
    co_return done;
  }
  Document document = documents_.current();
  document.setup = SetupState::ready;
  CO_TRY(documents_.save(std::move(document)));
  progress.at(1, "Ready");
  co_return Result<>{};
}

Task<> Box::stop_daemons() {
  std::vector<std::string> names(std::begin(mds_names), std::end(mds_names));
  for (const DiskRecord& disk : documents_.current().disks) names.push_back(osd_name(disk.osd));
  names.emplace_back("mon.a");
  for (const std::string& name : names) (void)co_await supervisor_.stop(name);
}

Task<Result<>> Box::bring_up(JobBoard::Progress& progress) {
  troubles_.clear();
  progress.at(0.1, "Starting the monitor");
  std::string words;
  Result<> done = co_await render();
  if (done) done = co_await start_monitor(words);
  if (!done) {
    troubles_.push_back(words);
    progress.failed(words);
    co_return done;
  }
  const std::vector<DiskRecord> disks = documents_.current().disks;
  for (const DiskRecord& disk : disks) {
    progress.at(0.3, fmt::format("Starting the store on {}", disk.path));
    Result<> started = co_await start_osd(disk, words);
    // The others go on: what is on them can be read.
    if (!started) troubles_.push_back(fmt::format("The disk {} {}: {}.", disk.serial, disk.path, words));
  }
  for (const char* name : mds_names) CO_TRY(co_await start_mds(name));
  progress.at(0.8, "Waiting for the file system");
  done = co_await wait_until([](const json::value& status) { return number_at(status, "/fsmap/up") == 1; },
                             daemon_patience);
  if (!done) progress.failed("The file system does not come up. If a disk is missing, connect it, then try again.");
  co_return done;
}

Task<Result<>> Box::render() {
  const Places& places = options_.places;
  for (const char* folder : {"/log", "/run", "/keys"}) CO_TRY(make_folder(places.state + folder, 0700));
  const std::string text = ceph_conf(documents_.current(), places);
  auto before = read_file(places.conf());
  if (before && *before == text) co_return Result<>{};
  // Daemons that outlived us were told something else, such as another address: they are started anew.
  if (before && supervisor_.outlives_us()) co_await stop_daemons();
  co_return write_file(places.conf(), text, 0600);
}

Result<> Box::make_keys() {
  const Places& places = options_.places;
  if (std::filesystem::exists(places.keyring("client.admin"))) return {};
  auto key = [&] { return msg::CryptoKey::generate(system_random(), msg::Time::from(shard_.clock().wall())); };
  msg::Keyring bootstrap, admin;
  bootstrap.entries[*msg::KeyName::parse("mon.")] = {key(), {{"mon", "allow *"}}};
  msg::Keyring::Entry owner{key(), {{"mon", "allow *"}, {"mgr", "allow *"}, {"osd", "allow *"}, {"mds", "allow *"}}};
  bootstrap.entries[*msg::KeyName::parse("client.admin")] = owner;
  admin.entries[*msg::KeyName::parse("client.admin")] = owner;
  TRY(write_file(places.keyring("bootstrap"), bootstrap.print(), 0600));
  // The one whose presence says that both are there.
  return write_file(places.keyring("client.admin"), admin.print(), 0600);
}

Service Box::service(const std::string& name) const {
  const std::string kind = name.substr(0, 3), id = name.substr(4);
  const char* program = kind == "mon" ? "/cmon" : kind == "osd" ? "/cosd" : "/cmds";
  return {.name = name, .argv = {options_.programs + program, "-i", id, "-c", options_.places.conf()}};
}

Task<Result<>> Box::start_monitor(std::string& words) {
  Result<> started = co_await supervisor_.start(service("mon.a"));
  words = "The monitor cannot be started. Try again; if that does not help, the log says more.";
  if (!started) co_return started;
  if (link_) co_return Result<>{};
  auto conf = read_file(options_.places.conf());
  if (!conf) co_return conf.error();
  auto link = co_await ClusterLink::open(shard_, *conf, daemon_patience);
  if (!link) co_return link.error();
  link_ = std::move(*link);
  co_return Result<>{};
}

Task<Result<>> Box::fetch_key(std::string entity, std::string mon, std::string osd, std::string mds) {
  const std::string path = options_.places.keyring(entity);
  if (std::filesystem::exists(path)) co_return Result<>{};
  json::array caps{"mon", mon, "osd", osd};
  if (!mds.empty()) caps.insert(caps.end(), {"mds", mds});
  CO_TRY(auto entry, co_await link_->need({{"prefix", "auth get-or-create"}, {"entity", entity}, {"caps", caps}}));
  boost::system::error_code error;
  const json::value* key = entry.find_pointer("/0/key", error);
  if (!key) key = entry.find_pointer("/key", error);
  if (!key || !key->is_string()) co_return Errc::malformed;
  co_return write_file(path, fmt::format("[{}]\n\tkey = {}\n", entity, std::string(key->get_string())), 0600);
}

Task<Result<>> Box::start_osd(DiskRecord disk, std::string& words) {
  const std::string target = options_.places.store(disk.osd);
  Result<> done;
  words = "its key cannot be made";
  CO_TRY(co_await fetch_key(osd_name(disk.osd), "allow profile osd", "allow *", ""));
  co_await workers_.run([&] { done = mount_store(disk.filesystem, target, words); });
  if (!done) co_return done;
  if (!disk.made) {
    done = co_await run({options_.programs + "/cosd", "--mkfs", "--osd-mkfs-force", "-i", std::to_string(disk.osd),
                         "-c", options_.places.conf()},
                        words);
    if (!done) co_return done;
    Document document = documents_.current();
    for (DiskRecord& each : document.disks) {
      if (each.osd != disk.osd) continue;
      each.made = true;
      each.erase = false;
    }
    CO_TRY(documents_.save(std::move(document)));
  }
  words = "its daemon cannot be started";
  co_return co_await supervisor_.start(service(osd_name(disk.osd)));
}

Task<Result<>> Box::start_mds(std::string name) {
  CO_TRY(co_await fetch_key(name, "allow profile mds", "allow *", "allow *"));
  co_return co_await supervisor_.start(service(name));
}

Task<Result<>> Box::make_file_system() {
  CO_TRY(auto known, co_await link_->need({{"prefix", "fs ls"}}));
  if (known.is_array() && !known.get_array().empty()) co_return Result<>{};
  for (const char* pool : {metadata_pool, data_pool})
    CO_TRY(co_await link_->need({{"prefix", "osd pool create"}, {"pool", pool}}));
  CO_TRY(co_await link_->need(
      {{"prefix", "fs new"}, {"fs_name", file_system_name}, {"metadata", metadata_pool}, {"data", data_pool}}));
  co_return Result<>{};
}

Task<Result<>> Box::wait_until(std::function<bool(const json::value&)> question, Duration patience) {
  const MonotonicTime until = shard_.clock().now() + patience;
  for (;;) {
    auto answer = co_await link_->command({{"prefix", "status"}});
    if (answer && question(answer->output)) co_return Result<>{};
    if (shard_.clock().now() >= until) co_return Errc::timed_out;
    CO_TRY(co_await shard_.clock().sleep(250ms));
  }
}

Task<Result<>> Box::run(std::vector<std::string> argv, std::string& words) {
  Result<> done;
  co_await workers_.run([&] {
    auto ran = need_tool(argv, words, std::chrono::seconds(120));
    if (!ran) done = ran.error();
  });
  co_return done;
}

}  // namespace spirula::appliance
