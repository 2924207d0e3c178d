#include <fmt/format.h>
#include <boost/json/array.hpp>

#include <algorithm>
#include <filesystem>

#include "appliance/box_parts.h"
#include "appliance/files.h"
#include "appliance/limits.h"
#include "appliance/space.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "msg/keyring.h"

/// Disks that come and go, and how many of them keep a file.
namespace spirula::appliance {
namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr Duration look_every = 1s;
/// Until every PG has said how it is since a disk was marked out.
constexpr Duration settling = 5s;

/// The share of PGs of which every copy is where it should be.
double share_clean(const json::value& status) {
  boost::system::error_code error;
  const json::value* states = status.find_pointer("/pgmap/pgs_by_state", error);
  const double all = number_at(status, "/pgmap/num_pgs");
  if (!states || !states->is_array() || all == 0) return 0;
  double clean = 0;
  for (const json::value& each : states->get_array()) {
    if (text_at(each, "/state_name").starts_with("active+clean")) clean += number_at(each, "/count");
  }
  return clean / all;
}

bool has_check(const json::value& status, std::string_view code) {
  boost::system::error_code error;
  const json::value* checks = status.find_pointer("/health/checks", error);
  return checks && checks->is_object() && checks->get_object().contains(code);
}

}  // namespace

std::string osd_name(int osd) {
  return fmt::format("osd.{}", osd);
}

std::string new_uuid() {
  return msg::Uuid::generate(system_random()).describe();
}

Result<DiskRecord> record_of(const std::vector<Disk>& disks, const DiskChoice& choice, int osd,
                             const std::vector<DiskRecord>& ours, std::string& words) {
  auto disk = std::ranges::find(disks, choice.path, &Disk::path);
  words = fmt::format("The disk {} is not there any more. Choose again.", choice.path);
  if (disk == disks.end()) return Errc::not_found;
  words = fmt::format("The disk {} was named twice.", choice.path);
  for (const DiskRecord& record : ours)
    if (!record.made && record.path == choice.path) return Errc::invalid;
  words = fmt::format("The disk {} is in use by this box already.", choice.path);
  for (const DiskRecord& record : ours)
    if (record.made && std::ranges::find(disk->filesystems, record.filesystem) != disk->filesystems.end())
      return Errc::invalid;
  words = fmt::format("The disk {} cannot be used. {}", choice.path, disk->problem());
  if (!disk->problem().empty()) return Errc::invalid;
  words = fmt::format("The disk {} holds {}. To erase it, type {} exactly.", choice.path,
                      disk->holds.empty() ? "" : disk->holds.front(), disk->erase_word());
  if (!disk->holds.empty() && choice.typed != disk->erase_word()) return Errc::permission;
  words.clear();
  DiskRecord record{.osd = osd,
                    .path = disk->path,
                    .serial = disk->serial,
                    .filesystem = new_uuid(),
                    .erase = !disk->holds.empty(),
                    .bytes = disk->bytes};
  if (!disk->loop) {
    record.data_partition = new_uuid();
    record.journal_partition = new_uuid();
  }
  return record;
}

Task<Result<std::uint64_t>> Box::add_disk(DiskChoice choice, std::string& words) {
  std::string problem;
  auto disks = co_await list_disks(problem);
  if (!disks) {
    words = fmt::format("The disks cannot be listed: {}.", problem);
    co_return disks.error();
  }
  Document document = documents_.current();
  words = "There are too many disks.";
  if (document.disks.size() >= limits::disks_max) co_return Errc::invalid;
  int osd = 0;
  for (const DiskRecord& disk : document.disks) osd = std::max(osd, disk.osd + 1);
  CO_TRY(auto record, record_of(*disks, choice, osd, document.disks, words));
  document.disks.push_back(std::move(record));
  words = not_written;
  CO_TRY(documents_.save(std::move(document)));
  co_return start_settling();
}

Task<Result<std::uint64_t>> Box::remove_disk(int osd, std::string& words) {
  Document document = documents_.current();
  auto disk = std::ranges::find(document.disks, osd, &DiskRecord::osd);
  words = "This disk has been taken out already. Reload the page.";
  if (disk == document.disks.end()) co_return Errc::not_found;
  if (disk->made) {
    words = "The storage does not answer. Wait a minute and try again.";
    if (!link_) co_return Errc::busy;
    auto status = co_await link_->need({{"prefix", "status"}});
    auto stored = co_await bytes_stored();
    auto working = co_await disks_that_work();
    if (!status || !stored || !working) co_return Errc::busy;
    words =
        "Some files are on no disk that works now. Connect the missing disks and wait until the overview says that "
        "every file can be read.";
    if (has_check(*status, "PG_AVAILABILITY")) co_return Errc::busy;
    // The rest has to take what is on it.
    std::vector<std::uint64_t> sizes;
    for (const DiskRecord& other : document.disks)
      if (other.osd != osd && !other.leaving && working->contains(other.osd)) sizes.push_back(other.bytes);
    words = fmt::format("Without this disk too few that work are left for {} of every file. Add another disk first.",
                        document.copies == 1 ? "one copy" : fmt::format("{} copies", document.copies));
    if (sizes.size() < document.copies) co_return Errc::invalid;
    words = "The other disks have no room for what is on this one. Add another disk first, or delete files.";
    if (plan_for(sizes, document.copies).bytes <= *stored) co_return Errc::invalid;
    document = documents_.current();
    disk = std::ranges::find(document.disks, osd, &DiskRecord::osd);
    if (disk == document.disks.end()) co_return Errc::busy;
  }
  disk->leaving = true;
  words = not_written;
  CO_TRY(documents_.save(std::move(document)));
  co_return start_settling();
}

Task<Result<>> Box::keep_disk(int osd, std::string& words) {
  Document document = documents_.current();
  auto disk = std::ranges::find(document.disks, osd, &DiskRecord::osd);
  words = "This disk is not being taken out. Reload the page.";
  if (disk == document.disks.end() || !disk->leaving) co_return Errc::not_found;
  disk->leaving = false;
  words = not_written;
  co_return documents_.save(std::move(document));
}

Task<Result<>> Box::set_copies(unsigned copies, std::string& words) {
  Document document = documents_.current();
  std::vector<std::uint64_t> sizes;
  for (const DiskRecord& disk : document.disks)
    if (disk.made && !disk.leaving) sizes.push_back(disk.bytes);
  words = fmt::format("{} copies need at least {} disks. Add a disk first.", copies, copies);
  if (copies == 0 || copies > limits::copies_max || copies > sizes.size()) co_return Errc::invalid;
  words = "The storage does not answer. Wait a minute and try again.";
  if (!link_) co_return Errc::busy;
  auto stored = co_await bytes_stored();
  if (!stored) co_return stored.error();
  words = "There is no room for so many copies of what is stored. Add a disk first, or delete files.";
  if (plan_for(sizes, copies).bytes <= *stored) co_return Errc::invalid;
  document = documents_.current();
  document.copies = copies;
  words = not_written;
  CO_TRY(documents_.save(std::move(document)));
  words = "The storage does not answer; it is done at the next start of the box.";
  CO_TRY(write_conf());
  co_return co_await apply_copies();
}

Task<Result<>> Box::apply_copies() {
  const unsigned copies = documents_.current().copies;
  for (const char* pool : {metadata_pool, data_pool}) {
    const std::pair<const char*, unsigned> wanted[] = {{"size", copies}, {"min_size", copies_needed(copies)}};
    for (const auto& [name, value] : wanted) {
      CO_TRY(auto known, co_await link_->need({{"prefix", "osd pool get"}, {"pool", pool}, {"var", name}}));
      if (number_at(known, fmt::format("/{}", name)) == value) continue;
      CO_TRY(co_await link_->need({{"prefix", "osd pool set"},
                                   {"pool", pool},
                                   {"var", name},
                                   {"val", std::to_string(value)},
                                   {"yes_i_really_mean_it", true}}));
    }
  }
  co_return Result<>{};
}

Task<Result<std::uint64_t>> Box::bytes_stored() {
  if (!link_) co_return Errc::closed;
  CO_TRY(auto df, co_await link_->need({{"prefix", "df"}}));
  co_return static_cast<std::uint64_t>(space_of(df, documents_.current().copies).used);
}

Task<Result<>> Box::make_disk(DiskRecord disk, std::string& words) {
  Result<> done;
  co_await workers_.run([&] {
    // What an earlier attempt left on it never had a client: begun anew, it needs no state of its own.
    done = unmount_store(options_.places.store(disk.osd));
    const bool begun = find_filesystem(disk.filesystem).has_value();
    if (done) done = format_disk(disk, disk.erase || begun, words);
  });
  co_return done;
}

Result<std::uint64_t> Box::start_settling() {
  if (auto* job = jobs_.running("disks")) return job->id;  // it looks again before it ends
  const auto& disks = documents_.current().disks;
  if (std::ranges::none_of(disks, [](const DiskRecord& disk) { return disk.leaving || !disk.made; }))
    return Errc::not_found;
  return jobs_.start("disks", "Changing the disks",
                     [this](JobBoard::Progress& progress) { return settle_disks(progress); });
}

Task<Result<>> Box::settle_disks(JobBoard::Progress& progress) {
  if (!link_) {
    progress.failed("The storage has not started. Try again.");
    co_return Errc::closed;
  }
  for (;;) {
    CO_TRY(write_conf());
    const std::vector<DiskRecord> disks = documents_.current().disks;
    auto next = std::ranges::find_if(disks, [](const DiskRecord& disk) { return !disk.made && !disk.leaving; });
    if (next != disks.end()) {
      CO_TRY(co_await fill_in_disk(*next, progress));
      continue;
    }
    next = std::ranges::find_if(disks, &DiskRecord::leaving);
    if (next == disks.end()) break;
    Result<> done = co_await empty_disk(*next, progress);
    if (done) done = co_await forget_disk(*next);
    if (done || done.error() == Errc::cancelled) continue;
    progress.failed(fmt::format("The disk {} could not be taken out ({}). Nothing is lost. Try again.", next->path,
                                done.error().message()));
    co_return done;
  }
  progress.at(1, "Done");
  co_return Result<>{};
}

Task<Result<>> Box::fill_in_disk(DiskRecord disk, JobBoard::Progress& progress) {
  std::string words;
  progress.at(0.1, fmt::format("Formatting {}", disk.path));
  Result<> done = co_await make_disk(disk, words);
  if (done) {
    progress.at(0.2, fmt::format("Starting the store on {}", disk.path));
    done = co_await start_osd(disk, words);
  }
  if (!done) progress.failed(fmt::format("{}. Connect the disk and try again, or take it out of the list.", words));
  co_return done;
}

/// One that is started again and again runs for a moment each time, and one that was just killed is still up for the
/// monitor: both have to agree.
Task<Result<std::set<int>>> Box::disks_that_work() {
  const auto services = co_await supervisor_.status();
  if (!link_) co_return Errc::closed;
  auto dump = co_await link_->need({{"prefix", "osd dump"}});
  if (!dump) co_return dump.error();
  boost::system::error_code error;
  const json::value* osds = dump->find_pointer("/osds", error);
  std::set<int> working;
  if (!osds || !osds->is_array()) co_return Errc::malformed;
  for (const json::value& each : osds->get_array()) {
    const int osd = static_cast<int>(number_at(each, "/osd"));
    const auto service = services.find(osd_name(osd));
    if (number_at(each, "/up") == 1 && service != services.end() && service->second.running) working.insert(osd);
  }
  co_return working;
}

/// Until all that was on it is on the others.
Task<Result<>> Box::empty_disk(DiskRecord disk, JobBoard::Progress& progress) {
  const std::string id = std::to_string(disk.osd);
  auto known = co_await link_->command({{"prefix", "osd find"}, {"id", id}});
  if (!known) co_return known.error();
  if (known->result != 0) co_return Result<>{};  // it never came to life
  CO_TRY(co_await link_->need({{"prefix", "osd out"}, {"ids", json::array{id}}}));
  const MonotonicTime from = shard_.clock().now() + settling;
  std::string shown;
  for (;;) {
    CO_TRY(co_await shard_.clock().sleep(look_every));
    const auto& now = documents_.current().disks;
    const auto record = std::ranges::find(now, disk.osd, &DiskRecord::osd);
    if (record == now.end() || !record->leaving) {  // kept after all
      CO_TRY(co_await link_->need({{"prefix", "osd in"}, {"ids", json::array{id}}}));
      co_return Errc::cancelled;
    }
    if (!link_) co_return Errc::closed;
    auto status = co_await link_->command({{"prefix", "status"}});
    // One that answers knows itself whether anything is left on it; of one that does not, the others have to know.
    auto empty = co_await link_->command({{"prefix", "osd safe-to-destroy"}, {"ids", json::array{id}}});
    if (!status || !empty) continue;
    if (empty->result == 0) break;
    const double clean = share_clean(status->output);
    auto working = co_await disks_that_work();
    if (!working) continue;
    if (!working->contains(disk.osd) && clean == 1 && shard_.clock().now() >= from) break;
    auto words = fmt::format("Moving files from {} to the other disks: {:.0f} %", disk.path, clean * 100);
    if (words != shown) progress.at(0.2 + 0.7 * clean, words);
    shown = std::move(words);
  }
  co_return Result<>{};
}

Task<Result<>> Box::forget_disk(DiskRecord disk) {
  const std::string id = std::to_string(disk.osd);
  (void)co_await supervisor_.stop(osd_name(disk.osd));
  auto known = co_await link_->command({{"prefix", "osd find"}, {"id", id}});
  if (!known) co_return known.error();
  if (known->result == 0) {
    CO_TRY(co_await link_->need({{"prefix", "osd down"}, {"ids", json::array{id}}}));
    CO_TRY(co_await link_->need({{"prefix", "osd purge"}, {"id", id}, {"yes_i_really_mean_it", true}}));
  }
  Result<> done;
  co_await workers_.run([&] { done = unmount_store(options_.places.store(disk.osd)); });
  // A disk that broke may never let go; it is forgotten all the same.
  if (!done) log_warning("box", "{} cannot be unmounted: {}", disk.path, done.error().message());
  Document document = documents_.current();
  std::erase_if(document.disks, [&](const DiskRecord& each) { return each.osd == disk.osd; });
  CO_TRY(documents_.save(std::move(document)));
  std::error_code ignored;
  std::filesystem::remove(options_.places.keyring(osd_name(disk.osd)), ignored);
  troubles_.erase(osd_name(disk.osd));
  co_return write_conf();
}

}  // namespace spirula::appliance
