#include "filestore/faults.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <map>

#include "base/coroutine.h"
#include "base/random.h"
#include "base/shard.h"
#include "filestore/error.h"
#include "filestore/filestore.h"
#include "filestore/test_disk.h"

namespace spirula::filestore {
namespace {

using testing::TestDisk;

struct Fault {
  const char* name;
  FaultPoint point;
  Errc code;
};
void PrintTo(const Fault& fault, std::ostream* to) {
  *to << fault.name;
}

ObjectId named(std::uint64_t number, const char* what) {
  ObjectId id;
  id.pool = 1;
  id.hash = static_cast<std::uint32_t>(number) * 0x9e3779b1u;
  id.name = fmt::format("{}-{}", number, what);
  id.snap = ~std::uint64_t{1};
  return id;
}
/// In the index, in a file, through the journal, staged.
Buffer data_of(std::uint64_t number) {
  static constexpr std::size_t sizes[] = {100, 20'000, 150'000, 700'000};
  Buffer data = Buffer::allocate(sizes[number % 4], 4096);
  SeededRandom random(number);
  random.fill({data.mutable_data(), data.size()});
  return data;
}

/// The disk fails at one place while transactions of every kind are under way: the store says so, takes no more, and
/// opened again it has each transaction that it acknowledged, and of the others all or nothing.
class Faults : public ::testing::TestWithParam<Fault> {
 protected:
  void SetUp() override {
    disk_.format();
    open();
    Transaction make;
    make.create_collection(0);
    ASSERT_TRUE(run(store_->submit(collection_, std::move(make))));
  }
  void TearDown() override {
    faults::clear();
    if (store_) run(store_->stop());
  }
  void open() {
    FilestoreOptions options = disk_.options();
    options.commit_interval_min = options.commit_interval_max = std::chrono::milliseconds(100);
    options.staging_ring_bytes = 8 << 20;
    auto opened = Filestore::open(options);
    ASSERT_TRUE(opened) << opened.error().message();
    store_ = std::move(*opened);
  }
  template <class T>
  T run(Task<T> task) {
    return boost::asio::co_spawn(shard_.shard().context(), std::move(task), boost::asio::use_future).get();
  }
  Task<int> writer(std::uint64_t& next, const std::uint64_t& last) {
    while (next < last) {
      std::uint64_t number = next++;
      Transaction t;
      t.write(named(number, "object"), 0, data_of(number));
      t.set_attribute(named(number, "object"), "number", Buffer::copy_of(std::to_string(number)));
      t.omap_set(named(number, "object"), {{"number", Buffer::copy_of(std::to_string(number))}});
      t.clone(named(number, "object"), named(number, "clone"));
      outcomes_[number] = co_await store_->submit(collection_, std::move(t));
      if (!outcomes_[number]) co_return 0;
    }
    co_return 0;
  }
  void write_to(std::uint64_t& next, std::uint64_t last) {
    std::vector<std::future<int>> writers;
    for (int i = 0; i < 8; ++i)
      writers.push_back(boost::asio::co_spawn(shard_.shard().context(), writer(next, last), boost::asio::use_future));
    for (auto& each : writers) each.get();
  }
  /// `stopped`: what was being copied when the store failed may be refused, but nothing else.
  void look(std::uint64_t number, const Result<>& outcome, bool stopped = false) {
    Buffer expected = data_of(number);
    int there = 0;
    for (const char* what : {"object", "clone"}) {
      auto data = run(store_->read(named(number, what), 0, 1 << 20));
      if (!data && stopped && is(data.error(), Errc::io)) return;
      if (!data) {
        ASSERT_TRUE(is(data.error(), Errc::not_found)) << data.error().message();
        continue;
      }
      ++there;
      ASSERT_EQ(data->size(), expected.size());
      EXPECT_TRUE(data->flatten() == expected);
      auto attribute = run(store_->get_attribute(named(number, what), "number"));
      EXPECT_TRUE(attribute);
      auto omap = run(store_->omap_get(named(number, what), {"number"}));
      EXPECT_TRUE(omap && omap->size() == 1);
    }
    EXPECT_TRUE(there == 2 || (there == 0 && !outcome)) << number << ": " << there;
  }

  TestDisk disk_;
  CollectionId collection_{1, 0};
  ShardThread shard_{"test"};
  std::unique_ptr<Filestore> store_;
  std::map<std::uint64_t, Result<>> outcomes_;
};

TEST_P(Faults, stop_the_store_and_lose_nothing) {
  std::uint64_t next = 0;
  write_to(next, 60);
  faults::inject(GetParam().point, GetParam().code, GetParam().point >= FaultPoint::sync ? 1 : 3);
  write_to(next, 4'000);
  EXPECT_FALSE(run(store_->commit()));
  EXPECT_GT(faults::hits(), 0);
  Transaction more;
  more.touch(named(0, "more"));
  Result<> refused = run(store_->submit(collection_, std::move(more)));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(is(refused.error(), Errc::read_only)) << refused.error().message();
  std::size_t failed = 0;
  for (const auto& [number, outcome] : outcomes_) failed += !outcome;
  EXPECT_LE(failed, 8u);
  for (const auto& [number, outcome] : outcomes_)
    if (outcome) look(number, outcome, true);
  store_.reset();
  faults::clear();
  open();
  ASSERT_TRUE(store_);
  for (const auto& [number, outcome] : outcomes_) look(number, outcome);
  Transaction again;
  again.touch(named(0, "more"));
  EXPECT_TRUE(run(store_->submit(collection_, std::move(again))));
}

INSTANTIATE_TEST_SUITE_P(Each, Faults,
                         ::testing::Values(Fault{"write_back_io", FaultPoint::write_back, Errc::io},
                                           Fault{"journal_io", FaultPoint::journal_write, Errc::io},
                                           Fault{"journal_full", FaultPoint::journal_write, Errc::no_space},
                                           Fault{"staging_write_io", FaultPoint::staging_write, Errc::io},
                                           Fault{"staging_write_full", FaultPoint::staging_write, Errc::no_space},
                                           Fault{"staging_reuse_io", FaultPoint::staging_reuse, Errc::io},
                                           Fault{"staging_sync_io", FaultPoint::staging_sync, Errc::io},
                                           Fault{"staging_sync_full", FaultPoint::staging_sync, Errc::no_space},
                                           Fault{"data_write_io", FaultPoint::data_write, Errc::io},
                                           Fault{"data_write_full", FaultPoint::data_write, Errc::no_space},
                                           Fault{"clone_io", FaultPoint::clone, Errc::io},
                                           Fault{"clone_full", FaultPoint::clone, Errc::no_space},
                                           Fault{"index_io", FaultPoint::index_write, Errc::io},
                                           Fault{"index_full", FaultPoint::index_write, Errc::no_space},
                                           Fault{"sync_io", FaultPoint::sync, Errc::io},
                                           Fault{"sync_full", FaultPoint::sync, Errc::no_space},
                                           Fault{"commit_point_io", FaultPoint::commit_point, Errc::io},
                                           Fault{"commit_point_full", FaultPoint::commit_point, Errc::no_space},
                                           Fault{"snapshot_io", FaultPoint::snapshot, Errc::io},
                                           Fault{"snapshot_full", FaultPoint::snapshot, Errc::no_space}),
                         [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace spirula::filestore
