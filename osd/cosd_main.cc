#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <thread>

#include "base/coroutine.h"
#include "base/log.h"
#include "base/program.h"
#include "base/shard.h"
#include "base/task_group.h"
#include "filestore/error.h"
#include "osd/options.h"
#include "osd/osd.h"

/// Of tcmalloc (gperftools/malloc_extension_c.h), which the Makefile links to; not there with a sanitizer.
extern "C" [[gnu::weak]] int MallocExtension_SetNumericProperty(const char* property, std::size_t value);

using namespace spirula;
using namespace spirula::osd;

namespace {

constexpr const char* about =
    "cosd: the object storage daemon.\n"
    "usage: cosd --mkfs -i NUMBER -c CONF    make the store in osd_data, a btrfs, and its journal\n"
    "       cosd -i NUMBER -c CONF           serve in the foreground until SIGTERM\n";

/// What is freed stays with a thread, or goes back to the kernel: by default tcmalloc keeps 32 MiB for threads and most
/// of what was once in use.
void bound_allocator() {
  if (!MallocExtension_SetNumericProperty) return;
  MallocExtension_SetNumericProperty("tcmalloc.max_total_thread_cache_bytes", 8 << 20);
  MallocExtension_SetNumericProperty("tcmalloc.aggressive_memory_decommit", 1);
}

filestore::FilestoreOptions store_options(const Config& config) {
  filestore::FilestoreOptions options;
  options.path = config.text("osd_data");
  options.journal = config.text("osd_journal");
  options.memory_bytes_max = config.size("osd_memory_target");
  return options;
}

int complain(std::string_view what, std::error_code why) {
  fmt::print(stderr, "cosd: {}: {}\n", what, why.message());
  log_error("osd", "{}: {}", what, why.message());
  return 1;
}

int make_store(const Config& config) {
  auto cluster = msg::Uuid::parse(config.text("fsid"));
  if (!cluster) return complain("mkfs needs the cluster's fsid", cluster.error());
  auto options = store_options(config);
  filestore::FilestoreFormat format;
  format.owner = config.name();
  format.cluster_fsid = config.text("fsid");
  auto integrity = filestore::integrity_from_text(config.text("osd_integrity"));
  if (!integrity) return complain("osd_integrity is index or btrfs", integrity.error());
  format.integrity = *integrity;
  format.force = config.flag("osd_mkfs_force");
  format.journal_file_bytes = static_cast<std::uint64_t>(config.integer("osd_journal_size")) << 20;
  if (auto made = filestore::make_filestore(options, format); !made)
    return complain("making a store in " + options.path, made.error());
  auto identity = filestore::read_filestore_identity(options.path);
  if (!identity) return complain("reading the new store's identity", identity.error());
  auto store = filestore::open_filestore(options);
  if (!store) return complain("opening the new store", store.error());
  Superblock superblock;
  superblock.cluster = *cluster;
  superblock.whoami = std::stoi(config.id());
  auto uuid = msg::Uuid::parse(identity->store_uuid);
  superblock.store = uuid ? *uuid : msg::Uuid::generate(system_random());
  return run_main([&](Shard&) -> Task<int> {
    Result<> formatted = co_await MapHistory::format(**store, superblock);
    co_await (*store)->stop();
    if (!formatted) co_return complain("writing the superblock", formatted.error());
    fmt::print("made the store of osd.{} in {}\n", superblock.whoami, options.path);
    co_return 0;
  });
}

/// A killed life of ours leaves only when the kernel has ended its last call, which may be a commit of the disk: until
/// then its lock stands.
Result<std::unique_ptr<filestore::ObjectStore>> open_store(const filestore::FilestoreOptions& options) {
  constexpr std::chrono::milliseconds patience{15'000}, pause{100};
  for (auto begin = std::chrono::steady_clock::now();;) {
    auto store = filestore::open_filestore(options);
    if (store || !filestore::is(store.error(), Errc::busy)) return store;
    if (std::chrono::steady_clock::now() - begin > patience) return store;
    std::this_thread::sleep_for(pause);
  }
}

Task<> watch_signals(Shard& shard, Event& over) {
  co_await wait_for_termination(shard);
  over.set();
}

Task<int> serve(Shard& shard, Config& config, std::unique_ptr<filestore::ObjectStore> store) {
  int status = 0;
  {
    Osd osd(shard, config, std::move(store));
    TaskGroup tasks(shard);
    // A signal must reach us also while we still look for a monitor.
    Event over;
    bool failed = false;
    tasks.spawn(watch_signals(shard, over));
    auto start = [](Osd& daemon, Event& end, bool& bad) -> Task<> {
      Result<> started = co_await daemon.start();
      if (!started && started.error() != make_error_code(Errc::cancelled)) {
        bad = true;
        end.set();
        co_return;
      }
      if (!started) co_return;
      if (!co_await daemon.failed().wait()) co_return;
      bad = true;
      end.set();
    };
    tasks.spawn(start(osd, over, failed));
    (void)co_await over.wait();
    if (failed) status = 1;
    co_await tasks.stop();
    log_info("osd", "stopping");
    co_await osd.stop();
  }
  co_return status;
}

}  // namespace

int main(int argc, char** argv) {
  Config config("osd", "");
  config.add(osd::options());
  if (auto status = read_command_line(config, about, argc, argv)) return *status;
  int number = -1;
  const std::string& id = config.id();
  auto [end, problem] = std::from_chars(id.data(), id.data() + id.size(), number);
  if (problem != std::errc{} || end != id.data() + id.size() || number < 0 || number > 100'000) {
    fmt::print(stderr, "cosd: -i names the OSD by its number\n");
    return 1;
  }
  if (config.flag("mkfs")) return make_store(config);

  bound_allocator();
  begin_daemon(config);
  auto options = store_options(config);
  auto identity = filestore::read_filestore_identity(options.path);
  if (!identity) return complain("no store in " + options.path, identity.error());
  if (identity->owner != config.name())
    return complain("the store belongs to " + identity->owner, make_error_code(Errc::invalid));
  if (auto fsid = config.text("fsid"); !fsid.empty() && identity->cluster_fsid != fsid)
    return complain("the store belongs to cluster " + identity->cluster_fsid, make_error_code(Errc::invalid));
  auto store = open_store(options);
  if (!store) return complain("opening the store in " + options.path, store.error());
  return run_main([&](Shard& shard) -> Task<int> { return serve(shard, config, std::move(*store)); });
}
