#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <sstream>

#include "filestore/index.h"
#include "filestore/key.h"
#include "filestore/onode.h"
#include "filestore/store_fixture.h"
#include "filestore/tool.h"

/// filestore-tool as it is run by hand, and what it answers.
namespace spirula::filestore {
namespace {

using testing::named;
using testing::pattern;

class ToolTest : public testing::StoreFixture, public ::testing::WithParamInterface<Integrity> {
 protected:
  Integrity integrity() const override { return GetParam(); }
  void SetUp() override {
    StoreFixture::SetUp();
    scratch_ = std::filesystem::path(disk_->data_image()).parent_path();
    journal_ = " --journal " + disk_->journal_device();
    at_ = " " + disk_->mount_point() + " ";
  }
  struct Answer {
    int status;
    std::string text;
    bool has(const std::string& part) const { return text.find(part) != std::string::npos; }
  };
  Answer tool(const std::string& arguments) {
    std::vector<std::string> words;
    std::istringstream line(arguments);
    for (std::string word; line >> word;) words.push_back(word);
    std::FILE* output = std::tmpfile();
    int status = run_tool(words, output, output);
    std::string text(static_cast<std::size_t>(std::ftell(output)), '\0');
    std::rewind(output);
    EXPECT_EQ(std::fread(text.data(), 1, text.size(), output), text.size());
    std::fclose(output);
    return {status, text};
  }
  /// Objects of every kind.
  void fill() {
    Transaction make;
    make.create_collection(0).collection_set({{"info", Buffer::copy_of("i")}});
    make.write(named("file"), 0, pattern(500'001, 1)).set_attribute(named("file"), "_", Buffer::copy_of("attr"));
    make.omap_set(named("file"), {{"key", Buffer::copy_of("value")}, {std::string("\0k", 2), Buffer{}}});
    make.omap_set_header(named("file"), Buffer::copy_of("head"));
    make.write(named("holes"), 3'000'000, pattern(300'000, 2));
    make.write(named("inline"), 0, pattern(2'000, 3));
    make.touch(named("empty"));
    ASSERT_TRUE(submit(std::move(make)));
    ASSERT_TRUE(run(store_->commit()));
  }
  /// The newest commit point, made writable: to be damaged.
  std::string newest_snapshot() {
    std::string path = disk_->mount_point() + "/" + snapshot_name(list_snapshots(disk_->mount_point())->front());
    testing::shell("btrfs property set " + path + " ro false");
    return path;
  }
  /// Writes that both devices have ever been asked for, once all that is dirty has been written.
  std::string device_writes() {
    testing::shell("sync -f " + disk_->mount_point());
    std::string all;
    for (const std::string& device : {disk_->data_device(), disk_->journal_device()})
      all += testing::shell("awk '{print $5, $7}' /sys/block/" + device.substr(5) + "/stat") + "; ";
    return all;
  }
  std::filesystem::path scratch_;
  std::string journal_, at_;
};

TEST_P(ToolTest, the_reading_verbs_write_nothing) {
  fill();
  close();
  std::string before = device_writes();
  Answer info = tool("info" + at_ + journal_);
  EXPECT_TRUE(info.has("osd.0") && info.has("objects       4") && info.has("to replay     0")) << info.text;
  EXPECT_TRUE(info.has(GetParam() == Integrity::btrfs_checksums ? "integrity     btrfs checksums"
                                                                : "integrity     index checksums"));
  Answer list = tool("list" + at_);
  EXPECT_TRUE(list.has("collection 1.0 bits 0") && list.has(":file:") && list.has("size 3300000")) << list.text;
  Answer dump = tool("dump" + at_ + "file");
  EXPECT_TRUE(dump.has("attribute _ = 61747472") && dump.has("omap key = 76616c7565") && dump.has("omap \\x00k = ") &&
              dump.has("omap header = 68656164"))
      << dump.text;
  Answer data = tool("dump" + at_ + "file --data");
  EXPECT_EQ(data.text, pattern(500'001, 1).to_string());
  data = tool("dump" + at_ + "holes --data");
  EXPECT_EQ(data.text, std::string(3'000'000, '\0') + pattern(300'000, 2).to_string());
  EXPECT_NE(tool("dump" + at_ + "nobody").status, 0);
  Answer digests = tool("digest" + at_);
  EXPECT_EQ(std::ranges::count(digests.text, '\n'), 4) << digests.text;
  EXPECT_TRUE(tool("fsck" + at_).has("4 objects, 0 problems"));
  EXPECT_TRUE(tool("fsck" + at_ + "--quick").has("4 objects, 0 problems"));
  EXPECT_NE(tool("frobnicate" + at_).status, 0);
  EXPECT_NE(tool("list" + at_ + "--frobnicate").status, 0);
  EXPECT_NE(tool("list" + at_ + "--snapshot x").status, 0);
  EXPECT_EQ(tool("export" + at_ + "file /dev/full").status, 1) << "it does not write over what is there";
  EXPECT_EQ(tool("export" + at_ + "file " + (scratch_ / "exported").string()).status, 0);
  for (std::uint64_t each : *list_snapshots(disk_->mount_point()))
    EXPECT_EQ(tool("info" + at_ + "--snapshot " + std::to_string(each)).status, 0) << each;
  EXPECT_NE(tool("info" + at_ + "--snapshot 12345").status, 0);
  EXPECT_EQ(device_writes(), before);
  // Nor do they need to be able to.
  testing::shell("mount -o remount,ro " + disk_->mount_point());
  for (const char* verb : {"info", "list", "digest", "fsck"}) EXPECT_EQ(tool(verb + at_).status, 0) << verb;
  EXPECT_EQ(tool("dump" + at_ + "file --data").text, pattern(500'001, 1).to_string());
  testing::shell("mount -o remount,rw " + disk_->mount_point());
}

TEST_P(ToolTest, fsck_names_what_is_wrong) {
  fill();
  close();
  std::string snapshot = newest_snapshot();
  std::string file = testing::shell("find " + snapshot + "/objects -type f -size -1000 | head -1");
  std::string other = testing::shell("find " + snapshot + "/objects -type f -size +1000 | head -1");
  testing::shell("touch " + snapshot + "/objects/0/stranger " + snapshot + "/objects/0/1fff00 " + snapshot +
                 "/objects/loose");
  testing::shell("setfattr -n user.spirula.object -v x " + other);
  testing::shell("fallocate -p -o 8192 -l 4096 " + file + " && truncate -s 10M " + file);
  Answer found = tool("fsck" + at_ + "--quick");
  EXPECT_NE(found.status, 0);
  EXPECT_TRUE(found.has("objects/0/stranger belongs to nobody") && found.has("objects/0/1fff00 belongs to nobody") &&
              found.has("objects/loose belongs to nobody"))
      << found.text;
  EXPECT_TRUE(found.has("its data file names another object")) << found.text;
  EXPECT_TRUE(found.has("its data file has 10485760 bytes")) << found.text;
  EXPECT_TRUE(found.has("4 objects, 5 problems")) << found.text;
  testing::shell("truncate -s 503808 " + file);
  found = tool("fsck" + at_ + "--quick");
  // A hole where data were: only the index can know.
  EXPECT_EQ(found.has("its block 2 is a hole in the data file"), GetParam() == Integrity::index_checksums)
      << found.text;
  testing::shell("rm " + file);
  EXPECT_TRUE(tool("fsck" + at_ + "--quick").has("its data file is missing"));
}

TEST_P(ToolTest, fsck_names_blocks_where_none_should_be) {
  fill();
  close();
  std::string file = testing::shell("find " + newest_snapshot() + "/objects -type f -size +1000 | head -1");  // "holes"
  testing::shell("printf x | dd conv=notrunc status=none bs=1 seek=1000000 of=" + file);
  Answer found = tool("fsck" + at_ + "--quick");
  EXPECT_EQ(found.has("blocks, the index knows"), GetParam() == Integrity::index_checksums) << found.text;
}

/// Rows of the index that are no longer, or never were, anybody's.
TEST_P(ToolTest, fsck_names_rows_that_belong_to_nobody) {
  fill();
  close();
  ObjectId lost = named("file"), twin = named("empty");
  lost.name = "lost";
  lost.pool = 99;
  twin.name = "twin";
  {
    auto index = Index::open(newest_snapshot() + "/index", 8 << 20, false);
    ASSERT_TRUE(index);
    auto same_id = (*index)->get(key::object(named("empty")), Access::blocking);
    ASSERT_TRUE(same_id && *same_id);
    Onode onode;
    onode.id = 1'000'000;  // not given out yet
    IndexBatch batch;
    batch.put(key::object(lost), encode(onode).view());
    batch.put(key::object(twin), **same_id);
    batch.put(key::inline_data(900'001), "data");
    batch.put(key::checksums(900'002, 0), std::string(256, 'x'));
    batch.put(key::checksum_shares(900'005), encode(std::uint32_t{2}).view());
    batch.put(key::omap_entry(900'003, "name"), "value");
    batch.put(key::omap_header(900'004), "header");
    batch.put(key::collection_entry({7, 3}, "info"), "value");
    batch.put(key::collection_entry({7, 3}, "log"), "value");
    batch.put("O\x01\x02", "neither a name nor an object");
    batch.put("Zebra", "stripes");
    ASSERT_TRUE((*index)->write(batch));
  }
  Answer found = tool("fsck" + at_ + "--quick");
  EXPECT_NE(found.status, 0);
  for (const char* each :
       {"lies in no collection", "has an id that was not given out yet", "shares its id with another object",
        "inline data of id dbba1 belongs to nobody", "checksums of id dbba2 belongs to nobody",
        "a count of shares of id dbba5 belongs to nobody", "an omap entry of id dbba3 belongs to nobody",
        "an omap header of id dbba4 belongs to nobody", "metadata of collection 7.3 belong to nobody",
        "an object's row does not decode: 4f0102", "rows of no kind, from 5a65627261 on",
        "7 objects, the commit point says 4", "4 objects, 12 problems"})
    EXPECT_TRUE(found.has(each)) << each << "\n" << found.text;
}

TEST_P(ToolTest, fsck_and_digest_tell_of_damaged_data) {
  fill();
  close();
  ASSERT_GE(disk_->damage(pattern(500'001, 1).slice(10 * 4096, 4096).view()), 1);
  Answer found = tool("fsck" + at_);
  EXPECT_TRUE(found.has(":file:") && found.has("do not verify") && found.has("1 problems")) << found.text;
  EXPECT_NE(tool("dump" + at_ + "file --data").status, 0);
  EXPECT_NE(tool("export" + at_ + "file " + (scratch_ / "bad").string()).status, 0);
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "bad"));
}

TEST_P(ToolTest, an_object_travels_from_store_to_store) {
  fill();
  close();
  std::string out = scratch_ / "out";
  for (const char* name : {"file", "holes", "inline", "empty"}) {
    std::string path = out + "." + name;
    EXPECT_EQ(tool("export" + at_ + name + " " + path).status, 0) << name;
    EXPECT_NE(tool("import" + at_ + path + journal_).status, 0) << name << " is there already";
    EXPECT_EQ(tool("import" + at_ + path + journal_ + " --force").status, 0) << name;
  }
  testing::TestDisk other;
  other.format(GetParam() == Integrity::index_checksums ? Integrity::btrfs_checksums : Integrity::index_checksums);
  std::string there = " " + other.mount_point() + " ", its_journal = " --journal " + other.journal_device();
  EXPECT_NE(tool("import" + there + out + ".file" + its_journal).status, 0) << "no collection for it";
  {
    auto opened = Filestore::open(other.options());
    ASSERT_TRUE(opened);
    Transaction make;
    make.create_collection(0);
    ASSERT_TRUE(run((*opened)->submit(collection_, std::move(make))));
    run((*opened)->stop());
  }
  for (const char* name : {"file", "holes", "inline", "empty"}) {
    Answer answer = tool("import" + there + out + "." + name + its_journal);
    EXPECT_EQ(answer.status, 0) << answer.text;
    EXPECT_EQ(tool("dump" + there + name).text, tool("dump" + at_ + name).text);
    EXPECT_EQ(tool("dump" + there + name + " --data").text, tool("dump" + at_ + name + " --data").text);
  }
  EXPECT_TRUE(tool("fsck" + there).has("4 objects, 0 problems"));
  // Files that are none, are cut off or damaged leave nothing behind.
  testing::shell("head -c 300000 " + out + ".file >" + out + ".short; cp " + out + ".file " + out + ".flipped; " +
                 "printf X | dd conv=notrunc status=none bs=1 seek=200000 of=" + out + ".flipped; echo no >" + out +
                 ".none");
  for (const char* bad : {".short", ".flipped", ".none"}) {
    EXPECT_NE(tool("import" + there + out + bad + its_journal + " --force").status, 0) << bad;
    EXPECT_TRUE(tool("fsck" + there).has("4 objects, 0 problems"));
    EXPECT_EQ(tool("dump" + there + "file --data").text, tool("dump" + at_ + "file --data").text);
  }
}

TEST_P(ToolTest, an_index_is_rebuilt_from_the_names_of_files) {
  fill();
  for (unsigned i = 0; i < 30; ++i) {
    Transaction t;
    t.write(named("more" + std::to_string(i)), 0, pattern(40'000 + i * 4096, i));
    ASSERT_TRUE(submit(std::move(t)));
  }
  std::string odd(3'000, '\xfe');
  odd += std::string("\0\1/", 3);
  Transaction t;
  t.write(named(odd), 0, pattern(50'000, 9));
  t.add(named("renamed"), Transaction::Rename{named("more3")});
  ASSERT_TRUE(submit(std::move(t)));
  close();
  EXPECT_NE(tool("rebuild-index" + at_ + journal_).status, 0) << "the index is good";
  for (std::uint64_t each : *list_snapshots(disk_->mount_point())) {
    std::string path = disk_->mount_point() + "/" + snapshot_name(each);
    testing::shell("btrfs property set " + path + " ro false && rm -rf " + path + "/index/*.sst " + path +
                   "/index/*.log " + path + "/index/MANIFEST*");
  }
  EXPECT_FALSE(Filestore::open(disk_->options()));
  Answer rebuilt = tool("rebuild-index" + at_ + journal_ + " --bits 3");
  EXPECT_EQ(rebuilt.status, 0) << rebuilt.text;
  EXPECT_TRUE(rebuilt.has("33 objects in ")) << rebuilt.text;
  EXPECT_TRUE(tool("fsck" + at_).has("33 objects, 0 problems")) << tool("fsck" + at_).text;
  open();
  std::size_t listed = 0;
  auto all = run(store_->collections());
  ASSERT_TRUE(all);
  for (const CollectionInfo& each : *all) listed += run(store_->list(each.id, std::nullopt, 100))->objects.size();
  EXPECT_EQ(listed, 33u);
  auto good = [&](const std::string& name, std::size_t size, unsigned seed, std::uint64_t at = 0) {
    auto read = run(store_->read(named(name), at, size));
    ASSERT_TRUE(read) << name;
    EXPECT_EQ(*read, BufferList(pattern(size, seed))) << name;
  };
  good("file", 500'001, 1);
  good("holes", 300'000, 2, 3'000'000);
  good("renamed", 40'000 + 3 * 4096, 3);
  good("more29", 40'000 + 29 * 4096, 29);
  good(odd, 50'000, 9);
  EXPECT_FALSE(run(store_->stat(named("inline"))));
  // And the store works on.
  collection_ = all->front().id;
  ObjectId more = named("later");
  more.hash = collection_.seed;
  for (bool orderly : {false, true}) {
    Transaction again;
    again.write(more, 0, pattern(300'000, 5));
    ASSERT_TRUE(submit(std::move(again)));
    orderly ? close() : crash();
    open();
    auto read = run(store_->read(more, 0, 300'000));
    ASSERT_TRUE(read);
    EXPECT_EQ(*read, BufferList(pattern(300'000, 5)));
  }
}

TEST_P(ToolTest, an_interrupted_rebuild_keeps_the_store_shut_and_is_done_again) {
  fill();
  close();
  testing::shell("cd " + disk_->mount_point() +
                 " && mv superblock superblock.rebuilding && btrfs -q subvolume delete current");
  EXPECT_FALSE(Filestore::open(disk_->options()));
  Answer rebuilt = tool("rebuild-index" + at_ + journal_);
  EXPECT_EQ(rebuilt.status, 0) << rebuilt.text;
  open();
  auto read = run(store_->read(named("file"), 0, 500'001));
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, BufferList(pattern(500'001, 1)));
}

TEST_P(ToolTest, mkfs_makes_the_btrfs_too_and_refuses_what_is_foreign) {
  close();
  disk_->unmount();
  std::string make = "mkfs " + disk_->data_device() + " --mount " + disk_->mount_point() + journal_ +
                     " --owner osd.7 --fsid f --integrity " +
                     (GetParam() == Integrity::index_checksums ? "index" : "btrfs");
  EXPECT_NE(tool(make).status, 0) << "a btrfs is there";
  testing::shell("dd if=/dev/zero of=" + disk_->data_device() + " bs=1M count=1 status=none");
  EXPECT_NE(tool(make).status, 0) << "the journal is another store's";
  // Nothing but a partition table's copy at the very end.
  testing::shell("dd if=/dev/zero of=" + disk_->journal_device() + " bs=1M count=2 status=none; blockdev --flushbufs " +
                 disk_->journal_device() + "; printf 'EFI PART' | dd bs=512 conv=notrunc status=none of=" +
                 disk_->journal_device() + " seek=$(($(blockdev --getsz " + disk_->journal_device() + ") - 1))");
  EXPECT_NE(tool(make).status, 0);
  Answer forced = tool(make + " --force");
  EXPECT_EQ(forced.status, 0) << forced.text;
  EXPECT_TRUE(tool("info" + at_).has("osd.7"));
  open();
}

INSTANTIATE_TEST_SUITE_P(Integrity, ToolTest, ::testing::Values(Integrity::index_checksums, Integrity::btrfs_checksums),
                         [](const auto& info) {
                           return info.param == Integrity::index_checksums ? "index_checksums" : "btrfs_checksums";
                         });

}  // namespace
}  // namespace spirula::filestore
