#include "filestore/filestore.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include "base/coroutine.h"
#include "base/shard.h"
#include "filestore/test_disk.h"

namespace spirula::filestore {
namespace {

using testing::TestDisk;

Buffer pattern(std::size_t size, unsigned seed) {
  Buffer buffer = Buffer::allocate(size);
  auto* bytes = reinterpret_cast<unsigned char*>(buffer.mutable_data());
  std::uint32_t x = seed * 2654435761u + 1;
  for (std::size_t i = 0; i < size; ++i) {
    x = x * 1664525u + 1013904223u;
    bytes[i] = static_cast<unsigned char>(x >> 24);
  }
  return buffer;
}

ObjectId named(const std::string& name) {
  ObjectId id;
  id.pool = 1;
  id.hash = static_cast<std::uint32_t>(std::hash<std::string>{}(name));
  id.name = name;
  id.snap = ~std::uint64_t{1};
  return id;
}

class FilestoreTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { shard_ = std::make_unique<ShardThread>("test"); }
  static void TearDownTestSuite() { shard_.reset(); }
  void SetUp() override {
    disk_ = std::make_unique<TestDisk>();
    disk_->format();
    open();
  }
  void TearDown() override {
    if (store_) close();
  }
  void open() {
    auto opened = Filestore::open(disk_->options());
    ASSERT_TRUE(opened) << opened.error().message();
    store_ = std::move(*opened);
  }
  void close() {
    run(store_->stop());
    store_.reset();
  }
  /// As if the process had been killed.
  void crash() { store_.reset(); }

  template <class T>
  T run(Task<T> task) {
    return boost::asio::co_spawn(shard_->shard().context(), std::move(task), boost::asio::use_future).get();
  }
  Result<> submit(Transaction transaction) { return run(store_->submit(collection_, std::move(transaction))); }

  CollectionId collection_{1, 0};
  std::unique_ptr<TestDisk> disk_;
  std::unique_ptr<Filestore> store_;
  static inline std::unique_ptr<ShardThread> shard_;
};

TEST_F(FilestoreTest, what_was_acknowledged_survives_a_crash) {
  Transaction make;
  make.create_collection(0).collection_set({{"info", Buffer::copy_of("i")}});
  ASSERT_TRUE(submit(std::move(make)));
  for (bool orderly : {false, true}) {
    for (unsigned i = 0; i < 50; ++i) {
      std::size_t size = i % 3 == 0 ? 300'000 : i * 500;
      Transaction t;
      t.write(named("o" + std::to_string(i)), i, pattern(size, i));
      t.set_attribute(named("o" + std::to_string(i)), "_", Buffer::copy_of("attr" + std::to_string(i)));
      t.omap_set(named("o" + std::to_string(i)), {{"k" + std::to_string(i), Buffer::copy_of("v")}});
      ASSERT_TRUE(submit(std::move(t)));
      auto read = run(store_->read(named("o" + std::to_string(i)), i, size));
      ASSERT_TRUE(read) << read.error().message();
      EXPECT_EQ(*read, BufferList(pattern(size, i)));
      if (i == 20) ASSERT_TRUE(run(store_->commit()));
    }
    orderly ? close() : crash();
    open();
    for (unsigned i = 0; i < 50; ++i) {
      std::size_t size = i % 3 == 0 ? 300'000 : i * 500;
      auto read = run(store_->read(named("o" + std::to_string(i)), i, size));
      ASSERT_TRUE(read) << read.error().message();
      EXPECT_EQ(*read, BufferList(pattern(size, i))) << i;
      auto attribute = run(store_->get_attribute(named("o" + std::to_string(i)), "_"));
      ASSERT_TRUE(attribute);
      EXPECT_EQ(attribute->text(), "attr" + std::to_string(i));
      auto omap = run(store_->omap_list(named("o" + std::to_string(i)), "", "", 10, 1000));
      ASSERT_TRUE(omap);
      ASSERT_EQ(omap->entries.size(), 1u);
    }
    auto listed = run(store_->list(collection_, std::nullopt, 1000));
    ASSERT_TRUE(listed);
    EXPECT_EQ(listed->objects.size(), 50u);
    EXPECT_TRUE(std::is_sorted(listed->objects.begin(), listed->objects.end()));
    auto info = run(store_->collection_get(collection_, {"info"}));
    ASSERT_TRUE(info);
    EXPECT_EQ(info->at("info").text(), "i");
  }
}

}  // namespace
}  // namespace spirula::filestore
