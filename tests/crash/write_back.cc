#include "tests/crash/write_back.h"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/shard.h"
#include "filestore/filestore.h"
#include "tests/crash/recorded_disk.h"

namespace spirula::crash {
namespace {

using namespace filestore;

constexpr std::uint64_t mebibyte = 1 << 20;
constexpr CollectionId collection{1, 0};
/// Through the journal, and into a file.
constexpr std::size_t object_bytes = 64 << 10, block_bytes = 4096;

ObjectId named(const char* name) {
  ObjectId id;
  id.pool = 1;
  id.name = name;
  id.snap = ~std::uint64_t{1};
  return id;
}

Buffer marked_data() {
  Buffer data = Buffer::allocate(object_bytes, block_bytes);
  std::memset(data.mutable_data(), 'd', data.size());
  for (std::size_t at = 0; at < object_bytes; at += block_bytes)
    std::memcpy(data.mutable_data() + at, Recorder::refused_mark.data(), Recorder::refused_mark.size());
  return data;
}

FilestoreOptions options_for(const RecordedDisk& disk) {
  FilestoreOptions options;
  options.path = disk.mount_point();
  options.journal = disk.journal();
  options.commit_interval_min = options.commit_interval_max = std::chrono::minutes(10);  // commits are asked for
  return options;
}

Task<std::string> write_and_fail(ObjectStore& store, const std::string& refuse_path) {
  Transaction first;
  first.create_collection(0);
  first.write(named("before"), 0, Buffer::zeros(object_bytes));
  if (!co_await store.submit(collection, std::move(first))) co_return "a sound disk refuses a write";
  if (!co_await store.commit()) co_return "a sound disk refuses a commit";
  std::ofstream(refuse_path) << "\n";
  Transaction marked;
  marked.write(named("marked"), 0, marked_data());
  if (!co_await store.submit(collection, std::move(marked))) co_return "the journal's disk is sound, yet it refuses";
  if (co_await store.commit()) co_return "a commit whose data the disk has failed is called good";
  Transaction more;
  more.touch(named("more"));
  if (co_await store.submit(collection, std::move(more))) co_return "a store whose disk fails takes more";
  co_return "";
}

Task<std::string> look(ObjectStore& store) {
  auto data = co_await store.read(named("marked"), 0, object_bytes);
  if (!data) co_return fmt::format("what was acknowledged cannot be read: {}", data.error().message());
  if (!(data->flatten() == marked_data())) co_return "what was acknowledged is not what is there";
  if (!co_await store.commit()) co_return "the disk is sound again, yet a commit fails";
  co_await store.stop();
  co_return "";
}

}  // namespace

std::string run_write_back_failure(const std::string& directory) {
  RecordedDisk disk(DiskImage({64 * mebibyte, 1024 * mebibyte}), directory, "recording");
  const std::string refuse_path = disk.recording_path() + ".refuse";
  disk.make_btrfs();
  CHECK(disk.mount().empty());
  CHECK(make_filestore(options_for(disk), {.owner = "crash", .cluster_fsid = "test", .force = true}));
  std::string problem;
  auto run = [&](auto&& work) {
    auto store = open_filestore(options_for(disk));
    if (!store) {
      problem = "open: " + store.error().message();
      return;
    }
    run_main([&](Shard&) -> Task<int> {
      problem = co_await work(**store);
      co_return 0;
    });
  };
  run([&](ObjectStore& store) { return write_and_fail(store, refuse_path); });
  std::filesystem::remove(refuse_path);
  if (!problem.empty()) return problem;
  // What the disk has, not what the kernel remembers.
  disk.unmount();
  if (problem = disk.mount(); !problem.empty()) return problem;
  run([&](ObjectStore& store) { return look(store); });
  return problem;
}

}  // namespace spirula::crash
