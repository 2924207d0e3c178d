#include "mds/write_back.h"

#include <gtest/gtest.h>

#include "base/coroutine.h"
#include "base/shard.h"
#include "mds/memory_store.h"

namespace spirula::mds {
namespace {

Batch batch_with(std::uint64_t id, Ino dir, std::string name, std::optional<DentryRecord> record) {
  Batch batch;
  batch.id = BatchId{id};
  DentryUpdate update;
  update.at = {dir, std::move(name)};
  if (record) update.record = encode(*record);
  batch.dentries.push_back(std::move(update));
  return batch;
}

TEST(WriteBack, a_file_cut_and_then_removed_does_not_hold_the_journal) {
  run_main([](Shard& shard) -> Task<int> {
    MemoryStore store;
    WriteBack write_back(shard, store);
    DentryRecord cut;
    cut.inode.ino = Ino{0x10000000001};
    cut.inode.mode = 0100644;
    cut.inode.truncate_from = 100;
    write_back.apply(batch_with(1, inos::root, "f", cut));
    write_back.apply(batch_with(2, inos::root, "f", std::nullopt));
    write_back.apply(batch_with(2, inos::stray, "10000000001", cut));
    EXPECT_EQ(write_back.truncating().size(), 1u);
    write_back.apply(batch_with(3, inos::stray, "10000000001", std::nullopt));
    EXPECT_TRUE(write_back.truncating().empty());
    EXPECT_TRUE(co_await write_back.flush());
    EXPECT_EQ(write_back.oldest(BatchId{4}), BatchId{4});
    co_return 0;
  });
}

}  // namespace
}  // namespace spirula::mds
