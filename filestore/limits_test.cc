#include "filestore/limits.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "filestore/media_check.h"
#include "filestore/store_fixture.h"

/// Names of any bytes and offsets up to the last: what a store must take, and what it answers beyond.
namespace spirula::filestore {
namespace {

using testing::named;
using testing::pattern;

constexpr std::uint64_t maximum = limits::object_size_max, everything = ~std::uint64_t{0};

class LimitsTest : public testing::StoreFixture {
 protected:
  void SetUp() override {
    StoreFixture::SetUp();
    Transaction make;
    make.create_collection(0);
    ASSERT_TRUE(submit(std::move(make)));
  }
  /// All that the collection lists, a few at a time.
  std::vector<ObjectId> listed() {
    std::vector<ObjectId> all;
    std::optional<ObjectId> next;
    do {
      auto page = run(store_->list(collection_, next, 7));
      EXPECT_TRUE(page);
      if (!page) break;
      all.insert(all.end(), page->objects.begin(), page->objects.end());
      next = page->next;
    } while (next);
    return all;
  }
  int answer(Transaction t) {
    Result<> done = submit(std::move(t));
    return done ? 0 : to_wire(done.error());
  }
};

std::vector<std::string> odd_names() {
  std::vector<std::string> names;
  for (unsigned byte = 0; byte < 256; ++byte) names.emplace_back(1, static_cast<char>(byte));
  for (std::size_t length : {2u, 3u, 100u, 254u, 255u, 256u, 1023u, 2048u, 4095u, 4096u}) {
    std::string mixed(length, '\0');
    for (std::size_t i = 0; i < length; ++i) mixed[i] = static_cast<char>(i * 37 + length);
    names.push_back(mixed);
    for (char byte : {'\0', '\1', '\xff', '/', '.'}) names.emplace_back(length, byte);
  }
  return names;
}

TEST_F(LimitsTest, names_of_any_bytes_and_up_to_4096_of_them) {
  std::vector<ObjectId> objects;
  std::vector<std::string> names = odd_names();
  for (std::size_t i = 0; i < names.size(); ++i) {
    ObjectId id = named(names[i]);
    id.hash = static_cast<std::uint32_t>(i / 8);  // several of one hash, so that the names decide the order
    objects.push_back(id);
    id.name = "x";
    id.name_space = names[i];
    objects.push_back(id);
    id.name_space.clear();
    id.key = names[i];
    objects.push_back(id);
  }
  auto data = [](std::size_t i) { return pattern(i % 5 ? 10 : 5'000, static_cast<unsigned>(i)); };
  for (std::size_t i = 0; i < objects.size(); i += 50) {
    Transaction t;
    for (std::size_t at = i; at < std::min(i + 50, objects.size()); ++at) {
      const std::string& name = names[at / 3];
      t.write(objects[at], 0, data(at));
      t.set_attribute(objects[at], name, Buffer::copy_of("of " + name));
      t.omap_set(objects[at], {{name, Buffer::copy_of("omap of " + name)}, {name + '\0', Buffer{}}});
    }
    ASSERT_TRUE(submit(std::move(t)));
  }
  std::vector<ObjectId> sorted = objects;
  std::ranges::sort(sorted);
  for (const char* when : {"pending or applied", "after a crash", "after a clean stop"}) {
    ASSERT_EQ(listed(), sorted) << when;
    for (std::size_t i = 0; i < objects.size(); ++i) {
      const std::string& name = names[i / 3];
      auto read = run(store_->read(objects[i], 0, 10'000));
      ASSERT_TRUE(read) << when << ": " << objects[i].describe();
      ASSERT_EQ(*read, BufferList(data(i)));
      auto attributes = run(store_->get_attributes(objects[i]));
      ASSERT_TRUE(attributes && attributes->size() == 1 && attributes->begin()->first == name);
      auto page = run(store_->omap_list(objects[i], "", "", 10, 1 << 20));
      ASSERT_TRUE(page && page->entries.size() == 2 && !page->more);
      ASSERT_EQ(page->entries[0].first, name);
      ASSERT_EQ(page->entries[0].second.to_string(), "omap of " + name);
      ASSERT_EQ(page->entries[1].first, name + '\0');
    }
    std::string_view now = when;
    if (now == "pending or applied") crash();
    if (now == "after a crash") close();
    if (now != "after a clean stop") open();
  }
}

TEST_F(LimitsTest, names_that_are_too_long) {
  Transaction t;
  t.touch(named(std::string(limits::object_name_bytes_max + 1, 'n')));
  EXPECT_EQ(answer(std::move(t)), -ENAMETOOLONG);
  ObjectId zeros = named(std::string(4096, '\0'));  // each takes two bytes of a key
  zeros.name_space = zeros.key = zeros.name;
  t = {};
  t.touch(zeros);
  EXPECT_EQ(answer(std::move(t)), -ENAMETOOLONG);
  t = {};
  t.touch(named("o"));
  t.clone(zeros, named("o"));
  EXPECT_EQ(answer(std::move(t)), -ENAMETOOLONG);
  t = {};
  t.set_attribute(named("o"), std::string(limits::attribute_name_bytes_max + 1, 'a'), Buffer{});
  EXPECT_EQ(answer(std::move(t)), -ENAMETOOLONG);
  t = {};
  t.set_attribute(named("o"), "a", Buffer::zeros(limits::attributes_bytes_max));
  EXPECT_EQ(answer(std::move(t)), -E2BIG);
  EXPECT_FALSE(run(store_->stat(named("o")))) << "nothing of a refused transaction happens";
}

TEST_F(LimitsTest, many_attributes_of_the_largest_size) {
  constexpr unsigned count = 12;
  auto value = [](unsigned i) { return pattern(limits::attributes_bytes_max - 16, i); };
  for (unsigned i = 0; i < count; ++i) {
    Transaction t;
    t.set_attribute(named("o"), fmt::format("a{}", i), value(i));
    ASSERT_TRUE(submit(std::move(t)));
  }
  for (bool again : {false, true}) {
    if (again) {
      crash();
      open();
    }
    auto attributes = run(store_->get_attributes(named("o")));
    ASSERT_TRUE(attributes);
    ASSERT_EQ(attributes->size(), count);
    for (unsigned i = 0; i < count; ++i) EXPECT_EQ(attributes->at(fmt::format("a{}", i)), value(i)) << i;
  }
}

TEST_F(LimitsTest, offsets_up_to_the_largest) {
  Transaction t;
  t.write(named("file"), maximum - 20'000, pattern(20'000, 1));
  t.write(named("staged"), maximum - 700'001, pattern(700'001, 2));
  t.write(named("zeroed"), maximum - 10'000, pattern(10'000, 3));
  t.zero(named("zeroed"), maximum - 9'000, 9'000);
  t.zero(named("all zero"), 0, maximum);
  t.truncate(named("cut"), maximum);
  ASSERT_TRUE(submit(std::move(t)));
  t = {};
  t.add(named("copy"), Transaction::CloneRange{named("file"), maximum - 20'000, 20'000, maximum - 20'000});
  t.add(named("moved"), Transaction::CloneRange{named("staged"), maximum - 700'001, 700'001, 5});
  t.clone(named("staged"), named("clone"));
  t.zero(named("cut"), 0, maximum);
  t.truncate(named("cut"), 1);
  ASSERT_TRUE(submit(std::move(t)));
  for (const char* when : {"pending", "applied", "after a crash"}) {
    if (std::string_view(when) == "applied") ASSERT_TRUE(run(store_->commit()));
    if (std::string_view(when) == "after a crash") {
      crash();
      open();
    }
    for (auto [name, length, seed] : {std::tuple("file", 20'000u, 1u), std::tuple("staged", 700'001u, 2u),
                                      std::tuple("copy", 20'000u, 1u), std::tuple("clone", 700'001u, 2u)}) {
      auto read = run(store_->read(named(name), maximum - length, everything));
      ASSERT_TRUE(read) << name << " " << when;
      EXPECT_EQ(*read, BufferList(pattern(length, seed))) << name << " " << when;
      EXPECT_EQ(run(store_->stat(named(name)))->size, maximum);
    }
    EXPECT_EQ(*run(store_->read(named("moved"), 5, everything)), BufferList(pattern(700'001, 2))) << when;
    EXPECT_EQ(run(store_->read(named("zeroed"), maximum - 9'000, everything))->flatten(), Buffer::zeros(9'000));
    EXPECT_EQ(run(store_->stat(named("all zero")))->size, maximum);
    EXPECT_EQ(run(store_->stat(named("cut")))->size, 1u);
    // From behind the end, and to where no offset is.
    for (std::uint64_t offset : {maximum, maximum + 1, everything - 1, everything})
      for (std::uint64_t length : {std::uint64_t{0}, std::uint64_t{1}, everything}) {
        auto read = run(store_->read(named("file"), offset, length));
        ASSERT_TRUE(read) << offset << " " << length;
        EXPECT_EQ(read->size(), 0u);
        auto extents = run(store_->extents(named("file"), offset, length));
        ASSERT_TRUE(extents) << offset << " " << length;
        EXPECT_TRUE(extents->empty());
      }
    EXPECT_EQ(run(store_->extents(named("file"), 1, everything))->size(), 1u) << when;
    EXPECT_TRUE(run(store_->digest(named("file"), 0, everything))) << when;
    EXPECT_TRUE(run(store_->verify(named("file"), 0, everything))) << when;
  }
  // What is not on the medium takes no time to check, or one such object would hold up all others for hours.
  auto report =
      run(check_media(*store_, shard_->shard().clock(), {.bytes_per_second = 100 << 20, .start = {}}, {}, {}));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->objects, 8u);
  EXPECT_EQ(report->bad, 0u);
  EXPECT_LE(report->bytes, 32u << 20);
}

TEST_F(LimitsTest, offsets_beyond_the_largest_are_refused) {
  Transaction make;
  make.write(named("o"), 0, pattern(10'000, 1));
  ASSERT_TRUE(submit(std::move(make)));
  using Build = std::function<void(Transaction&)>;
  for (const auto& [what, build] : std::vector<std::pair<const char*, Build>>{
           {"write", [](Transaction& t) { t.write(named("o"), maximum, pattern(1, 1)); }},
           {"write around", [](Transaction& t) { t.write(named("o"), everything - 2, pattern(6, 1)); }},
           {"write nothing there", [](Transaction& t) { t.write(named("o"), maximum + 1, Buffer{}); }},
           {"zero", [](Transaction& t) { t.zero(named("o"), maximum - 1, 2); }},
           {"zero around", [](Transaction& t) { t.zero(named("o"), 5, everything); }},
           {"truncate", [](Transaction& t) { t.truncate(named("o"), maximum + 1); }},
           {"truncate to the moon", [](Transaction& t) { t.truncate(named("o"), everything); }},
           {"clone_range to",
            [](Transaction& t) { t.add(named("p"), Transaction::CloneRange{named("o"), 0, 100, maximum - 99}); }},
           {"clone_range from",
            [](Transaction& t) { t.add(named("p"), Transaction::CloneRange{named("o"), everything - 3, 100, 0}); }},
           {"clone_range of all",
            [](Transaction& t) { t.add(named("p"), Transaction::CloneRange{named("o"), 0, everything, 1}); }}}) {
    Transaction t;
    t.write(named("p"), 0, pattern(10, 2));
    build(t);
    EXPECT_EQ(answer(std::move(t)), -EFBIG) << what;
    EXPECT_FALSE(run(store_->stat(named("p")))) << what;
  }
  // A range that lies behind the source's end is no overflow: there is just nothing to copy.
  Transaction t;
  t.add(named("p"), Transaction::CloneRange{named("o"), maximum - 100, 100, 0});
  EXPECT_EQ(answer(std::move(t)), 0);
  EXPECT_EQ(*run(store_->read(named("o"), 0, everything)), BufferList(pattern(10'000, 1)));
}

}  // namespace
}  // namespace spirula::filestore
