#include "filestore/index.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/result.h"

namespace spirula::filestore {
namespace {

class IndexTest : public ::testing::Test {
 protected:
  IndexTest() {
    char path[] = "/tmp/spirula-index-XXXXXX";
    path_ = ::mkdtemp(path);
  }
  ~IndexTest() override { std::filesystem::remove_all(path_); }
  std::string path_;
};

std::string key_of(int number) {
  return fmt::format("O{:08}", number);
}

/// The least that RocksDB accepts is half open at once; the others it must not take for tables that have every key.
TEST_F(IndexTest, what_is_not_in_memory_is_never_answered_without_the_disk) {
  constexpr int objects = 40'000;
  const std::string text(2000, 'x');
  auto index = Index::open(path_ + "/index", 8 << 20, true, 20);
  ASSERT_TRUE(index);
  for (int i = 0; i < objects;) {
    IndexBatch batch;
    for (int end = i + 500; i < end; ++i) batch.put(key_of(2 * i), i % 7 ? text + key_of(2 * i) : "");
    ASSERT_TRUE((*index)->write(batch));
  }
  int answered = 0;
  for (int round = 0; round < 2; ++round)
    for (int i = 0; i < 2 * objects; i += 17) {
      auto cached = (*index)->get(key_of(i), Access::cached);
      auto read = (*index)->get(key_of(i), Access::blocking);
      ASSERT_TRUE(read);
      ASSERT_EQ(read->has_value(), i % 2 == 0) << i;
      if (!cached) {
        ASSERT_EQ(cached.error(), make_error_code(Errc::again));
        continue;
      }
      ++answered;
      ASSERT_EQ(*cached, *read) << i;
    }
  EXPECT_GT(answered, 0);
}

}  // namespace
}  // namespace spirula::filestore
