#include "appliance/box.h"

#include <fmt/format.h>
#include <boost/json/array.hpp>

#include <filesystem>

#include "appliance/admin_client.h"
#include "appliance/box_parts.h"
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

Task<Result<std::uint64_t>> Box::set_up(std::vector<DiskChoice> choices, unsigned copies, std::string name,
                                        std::string& words) {
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
  words = "Choose at least one disk.";
  if (choices.empty() || choices.size() > limits::disks_max) co_return Errc::invalid;
  words = fmt::format("{} copies need at least {} disks. Choose more disks or fewer copies.", copies, copies);
  if (copies == 0 || copies > choices.size()) co_return Errc::invalid;
  for (const DiskChoice& choice : choices) {
    const int osd = static_cast<int>(document.disks.size());
    CO_TRY(auto record, record_of(*disks, choice, osd, document.disks, words));
    document.disks.push_back(std::move(record));
  }
  if (!name.empty()) document.name = name;
  document.fsid = new_uuid();
  document.copies = copies;
  document.setup = SetupState::making;
  if (auto saved = documents_.save(std::move(document)); !saved) {
    words = not_written;
    co_return saved.error();
  }
  words.clear();
  co_return jobs_.start("setup", "Setting up storage", [this](JobBoard::Progress& progress) { return make(progress); });
}

Task<Result<>> Box::give_up_setup(std::string& words) {
  words = "There is no set-up to take back.";
  if (documents_.current().setup != SetupState::making) co_return Errc::invalid;
  words = "The set-up still goes on. Wait until it has ended.";
  if (jobs_.running("setup")) co_return Errc::busy;
  if (link_) co_await link_->close();
  link_.reset();
  co_await stop_daemons();
  Document document = documents_.current();
  Result<> done;
  co_await workers_.run([&] {
    for (const DiskRecord& disk : document.disks)
      if (done) done = unmount_store(options_.places.store(disk.osd));
    // The keys and the monitor's store belong to the file system that never was.
    std::error_code error;
    for (const char* gone : {"/mon.a.made", "/mon.a", "/keys"})
      if (done && (std::filesystem::remove_all(options_.places.state + gone, error), error)) done = error;
  });
  words = "What was begun cannot be taken back. Restart the box, then try again.";
  if (!done) co_return done;
  document.setup = SetupState::blank;
  document.disks.clear();
  document.fsid.clear();
  document.copies = 1;
  words = not_written;
  co_return documents_.save(std::move(document));
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
  done = co_await make_monitor_store(words);
  if (!done) {
    progress.failed(fmt::format("The monitor's store cannot be made: {}.", words));
    co_return done;
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
      done = co_await make_disk(disk, words);
      if (!done) {
        progress.failed(fmt::format(
            "{}. No other disk was touched after that. Connect the disk and try again, or choose other disks.", words));
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
      [&](const json::value& status) {
        return number_at(status, "/osdmap/num_up_osds") == static_cast<double>(disks.size());
      },
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
  if (done) done = co_await wait_for_file_system();
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

Task<Result<>> Box::make_monitor_store(std::string& words) {
  const std::string folder = options_.places.state + "/mon.a", mark = folder + ".made";
  if (std::filesystem::exists(mark)) co_return Result<>{};
  // What an attempt left that was cut short never had a client.
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  CO_TRY(make_folder(folder, 0700));
  CO_TRY(co_await run({options_.programs + "/cmon", "--mkfs", "-i", "a", "-c", options_.places.conf(), "--keyring",
                       options_.places.keyring("bootstrap")},
                      words));
  co_return write_file(mark, "", 0600);
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
    troubles_["mon.a"] = words;
    progress.failed(words);
    co_return done;
  }
  const std::vector<DiskRecord> disks = documents_.current().disks;
  for (const DiskRecord& disk : disks) {
    if (!disk.made) continue;  // added, but not there yet: see settle_disks()
    progress.at(0.3, fmt::format("Starting the store on {}", disk.path));
    Result<> started = co_await start_osd(disk, words);
    // The others go on: what is on them can be read.
    if (!started)
      troubles_[osd_name(disk.osd)] = fmt::format("The disk {}{}{}: {}.", disk.path,
                                                  disk.serial.empty() ? "" : ", serial number ", disk.serial, words);
  }
  for (const char* name : mds_names) CO_TRY(co_await start_mds(name));
  progress.at(0.8, "Waiting for the file system");
  done = co_await wait_for_file_system();
  if (done) done = co_await apply_copies();
  if (!done) progress.failed("The file system does not come up. If a disk is missing, connect it, then try again.");
  (void)start_settling();
  co_return done;
}

Task<Result<>> Box::render() {
  const Places& places = options_.places;
  for (const char* folder : {"/log", "/run", "/keys"}) CO_TRY(make_folder(places.state + folder, 0700));
  auto before = read_file(places.conf());
  if (before && *before == ceph_conf(documents_.current(), places)) co_return Result<>{};
  // Daemons that outlived us were told something else, such as another address: they are started anew.
  if (before && supervisor_.outlives_us()) co_await stop_daemons();
  co_return write_conf();
}

Result<> Box::write_conf() const {
  return write_file(options_.places.conf(), ceph_conf(documents_.current(), options_.places), 0600);
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
  // Of a disk that went away and came back, the mount of before is good for nothing.
  const auto services = co_await supervisor_.status();
  const auto known = services.find(osd_name(disk.osd));
  const bool died = known != services.end() && !known->second.running;
  co_await workers_.run([&] {
    if (died) (void)unmount_store(target);
    done = mount_store(disk.filesystem, target, words);
  });
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
  // All disks stand in this one box: copies go to different disks, not to different hosts.
  CO_TRY(co_await link_->need(
      {{"prefix", "osd crush rule create-replicated"}, {"name", disks_rule}, {"root", "default"}, {"type", "osd"}}));
  CO_TRY(auto known, co_await link_->need({{"prefix", "fs ls"}}));
  if (known.is_array() && !known.get_array().empty()) co_return Result<>{};
  for (const char* pool : {metadata_pool, data_pool})
    CO_TRY(co_await link_->need({{"prefix", "osd pool create"}, {"pool", pool}, {"rule", disks_rule}}));
  CO_TRY(co_await apply_copies());
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

/// Asks the servers themselves: the monitor's map may still name one that died with the power.
Task<Result<>> Box::wait_for_file_system() {
  const MonotonicTime until = shard_.clock().now() + daemon_patience;
  for (;;) {
    bool active = false;
    co_await workers_.run([&] {
      for (const char* name : mds_names) {
        auto said = ask_daemon(options_.places.admin_socket(name), "status");
        active |= said && said->is_object() && said->get_object().contains("state") &&
                  said->get_object().at("state") == "up:active";
      }
    });
    if (active) co_return Result<>{};
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
