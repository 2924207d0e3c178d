#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>

#include "base/coroutine.h"
#include "base/shard.h"
#include "filestore/filestore.h"
#include "filestore/test_disk.h"

namespace spirula::filestore::testing {

inline Buffer pattern(std::size_t size, unsigned seed) {
  Buffer buffer = Buffer::allocate(size);
  auto* bytes = reinterpret_cast<unsigned char*>(buffer.mutable_data());
  std::uint32_t x = seed * 2654435761u + 1;
  for (std::size_t i = 0; i < size; ++i) {
    x = x * 1664525u + 1013904223u;
    bytes[i] = static_cast<unsigned char>(x >> 24);
  }
  return buffer;
}

inline ObjectId named(const std::string& name) {
  ObjectId id;
  id.pool = 1;
  id.hash = static_cast<std::uint32_t>(std::hash<std::string>{}(name));
  id.name = name;
  id.snap = ~std::uint64_t{1};
  return id;
}

/// A store on a disk of its own, driven from one shard.
class StoreFixture : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { shard_ = std::make_unique<ShardThread>("test"); }
  static void TearDownTestSuite() { shard_.reset(); }
  virtual Integrity integrity() const { return Integrity::index_checksums; }
  void SetUp() override {
    disk_ = std::make_unique<TestDisk>();
    disk_->format(integrity());
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
    if constexpr (std::is_void_v<T>) {
      run_on(*shard_, std::move(task));
    } else {
      std::optional<T> result;
      auto keep = [](Task<T> its, std::optional<T>& into) -> Task<> { into.emplace(co_await std::move(its)); };
      run_on(*shard_, keep(std::move(task), result));
      return std::move(*result);
    }
  }
  Result<> submit(Transaction transaction) { return run(store_->submit(collection_, std::move(transaction))); }

  CollectionId collection_{1, 0};
  std::unique_ptr<TestDisk> disk_;
  std::unique_ptr<Filestore> store_;
  static inline std::unique_ptr<ShardThread> shard_;
};

}  // namespace spirula::filestore::testing
