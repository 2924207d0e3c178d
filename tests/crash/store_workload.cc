#include "tests/crash/store_workload.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/shard.h"
#include "base/task_group.h"
#include "base/wait.h"

namespace spirula::crash {
namespace {

using filestore::ObjectStore;

/// The lanes on their way. Lives in one run_main().
struct Run {
  const StoreWorkload& workload;
  ObjectStore& store;
  Ledger& ledger;
  std::string problem;

  void fail(const std::string& what, std::error_code why) {
    if (problem.empty()) problem = fmt::format("{}: {}", what, why.message());
  }

  Task<> finish(Task<Result<>> submission, std::uint32_t ledger_lane, std::uint64_t step, Budget& slots) {
    Result<> done = co_await std::move(submission);
    if (done)
      ledger.acknowledged(ledger_lane, step);
    else
      fail(fmt::format("lane {} step {}", ledger_lane, step), done.error());
    slots.release(1);
  }

  Task<> commit() {
    Result<> done = co_await store.commit();
    if (!done) fail("commit", done.error());
  }

  Task<> drive(Shard& shard, Lane& lane, bool commits) {
    TaskGroup group(shard);
    Budget slots(workload.depth);
    for (unsigned i = 1; i <= workload.steps && problem.empty(); ++i) {
      Lane::Step step = lane.next();
      (void)co_await slots.acquire(1);
      std::uint32_t ledger_lane = lane.ledger_lane(step.role);
      ledger.submitted(ledger_lane, step.number);
      Task<Result<>> submission = store.submit(step.collection, std::move(step.transaction));
      group.spawn(finish(std::move(submission), ledger_lane, step.number, slots));
      if (commits && workload.steps_per_commit && i % workload.steps_per_commit == 0) group.spawn(commit());
    }
    co_await group.join();
  }
};

/// Reads all there is and compares it. One co_await a line, so that each failure names its call.
struct Check {
  ObjectStore& store;

  Task<Result<std::map<std::string, std::string>>> metadata(CollectionId id) {
    std::map<std::string, std::string> found;
    std::string after;
    for (bool more = true; more;) {
      auto page = co_await store.collection_list(id, after, 37);
      if (!page) co_return page.error();
      for (const auto& [name, value] : page->entries) found[name] = value.to_string();
      more = page->more && !page->entries.empty();
      if (more) after = page->entries.back().first;
    }
    co_return found;
  }

  Task<Result<std::map<std::string, std::string>>> omap(ObjectId id) {
    std::map<std::string, std::string> found;
    std::string after;
    for (bool more = true; more;) {
      auto page = co_await store.omap_list(id, after, "", 7, 1 << 20);
      if (!page) co_return page.error();
      for (const auto& [key, value] : page->entries) found[key] = value.to_string();
      more = page->more && !page->entries.empty();
      if (more) after = page->entries.back().first;
    }
    co_return found;
  }

  Task<Result<std::vector<ObjectId>>> objects(CollectionId id) {
    std::vector<ObjectId> found;
    std::optional<ObjectId> next;
    do {
      auto page = co_await store.list(id, next, 11);
      if (!page) co_return page.error();
      found.insert(found.end(), page->objects.begin(), page->objects.end());
      next = page->next;
    } while (next);
    co_return found;
  }

  Task<std::string> object(ObjectId id, std::shared_ptr<ModelObject> want) {
    auto status = co_await store.stat(id);
    if (!status) co_return "stat: " + status.error().message();
    if (status->size != want->data.size()) co_return fmt::format("size {} for {}", status->size, want->data.size());
    auto data = co_await store.read(id, 0, want->data.size() + 1);
    if (!data) co_return "read: " + data.error().message();
    std::string bytes = data->flatten().to_string();
    if (bytes != want->data) {
      auto at = std::mismatch(bytes.begin(), bytes.end(), want->data.begin(), want->data.end()).first - bytes.begin();
      co_return fmt::format("data differs at {} of {} ({} read)", at, want->data.size(), bytes.size());
    }
    auto extents = co_await store.extents(id, 0, want->data.size());
    if (!extents) co_return "extents: " + extents.error().message();
    std::uint64_t covered = 0;
    extents->push_back({want->data.size(), 0});
    for (const auto& extent : *extents) {
      for (; covered < std::min<std::uint64_t>(extent.offset, want->data.size()); ++covered)
        if (want->data[covered]) co_return fmt::format("byte {} is in no extent", covered);
      covered = std::max(covered, extent.offset + extent.length);
    }
    auto attributes = co_await store.get_attributes(id);
    if (!attributes) co_return "attributes: " + attributes.error().message();
    std::map<std::string, std::string> values;
    for (const auto& [name, value] : *attributes) values[name] = value.to_string();
    if (values != want->attributes) co_return "attributes differ";
    auto header = co_await store.omap_header(id);
    if (!header) co_return "omap header: " + header.error().message();
    if (header->text() != want->omap_header) co_return "omap header differs";
    auto entries = co_await omap(id);
    if (!entries) co_return "omap: " + entries.error().message();
    if (*entries != want->omap)
      co_return fmt::format("omap differs: {} entries for {}", entries->size(), want->omap.size());
    co_return "";
  }

  Task<std::string> collection(CollectionId id, const ModelCollection& want) {
    auto entries = co_await metadata(id);
    if (!entries) co_return "metadata: " + entries.error().message();
    if (*entries != want.metadata) co_return "metadata differs";
    auto names = co_await objects(id);
    if (!names) co_return "list: " + names.error().message();
    std::vector<ObjectId> wanted;
    for (const auto& [name, object] : want.objects) wanted.push_back(name);
    if (*names != wanted) co_return fmt::format("{} objects for {}", names->size(), wanted.size());
    for (const auto& [name, model] : want.objects) {
      std::string problem = co_await object(name, model);
      if (!problem.empty()) co_return name.describe() + ": " + problem;
    }
    co_return "";
  }

  Task<Result<Lane::Progress>> progress_of(const Lane& lane) {
    Lane::Progress progress;
    auto known = co_await store.collections();
    if (!known) co_return known.error();
    for (Lane::Role role : {Lane::parent, Lane::child, Lane::spare}) {
      CollectionId id = lane.collection(role);
      progress.exists[role] = std::ranges::find(*known, id, &filestore::CollectionInfo::id) != known->end();
      if (!progress.exists[role]) continue;
      auto at = co_await store.collection_get(id, {"at"});
      if (!at) co_return at.error();
      if (at->contains("at")) progress.at[role] = std::stoull(at->at("at").to_string());
    }
    co_return progress;
  }

  Task<std::string> lane(Lane& lane, const std::map<std::uint32_t, Bounds>& bounds) {
    auto known = co_await store.collections();
    if (!known) co_return "collections: " + known.error().message();
    auto progress = co_await progress_of(lane);
    if (!progress) co_return "progress: " + progress.error().message();
    std::string problem = lane.settle(*progress, bounds);
    if (!problem.empty()) co_return problem;
    for (CollectionId id : lane.collections()) {
      auto there = std::ranges::find(*known, id, &filestore::CollectionInfo::id);
      const ModelCollection* want = lane.model().find(id);
      if ((there != known->end()) != (want != nullptr))
        co_return id.describe() + (want ? " is gone" : " should not be");
      if (!want) continue;
      if (there->bits != want->bits)
        co_return fmt::format("{} has {} bits for {}", id.describe(), there->bits, want->bits);
      problem = co_await collection(id, *want);
      if (!problem.empty()) co_return fmt::format("{} at step {}: {}", id.describe(), progress->at[0], problem);
    }
    co_return "";
  }
};

}  // namespace

std::string run_store_workload(const StoreWorkload& workload, ObjectStore& store, std::vector<Lane>& lanes,
                               Ledger& ledger) {
  Run run{workload, store, ledger, {}};
  run_main([&](Shard& shard) -> Task<int> {
    TaskGroup group(shard);
    for (Lane& lane : lanes) group.spawn(run.drive(shard, lane, &lane == lanes.data()));
    co_await group.join();
    co_return 0;
  });
  return run.problem;
}

Result<std::vector<Lane::Progress>> read_progress(ObjectStore& store, const std::vector<Lane>& lanes) {
  Result<std::vector<Lane::Progress>> all;
  run_main([&](Shard&) -> Task<int> {
    Check check{store};
    for (const Lane& lane : lanes) {
      auto progress = co_await check.progress_of(lane);
      if (!progress)
        all = progress.error();
      else if (all)
        all->push_back(*progress);
    }
    co_return 0;
  });
  return all;
}

std::string check_store(ObjectStore& store, std::vector<Lane>& lanes, const std::map<std::uint32_t, Bounds>& bounds) {
  std::string problem;
  run_main([&](Shard&) -> Task<int> {
    Check check{store};
    for (Lane& lane : lanes) {
      if (!problem.empty()) break;
      problem = co_await check.lane(lane, bounds);
    }
    co_return 0;
  });
  return problem;
}

}  // namespace spirula::crash
