#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "appliance/disks.h"
#include "appliance/jobs.h"
#include "appliance/render.h"
#include "appliance/space.h"
#include "appliance/status.h"
#include "appliance/tools.h"
#include "base/coroutine.h"
#include "base/wait.h"
#include "msg/caps_mds.h"
#include "msg/caps_mon.h"
#include "msg/caps_osd.h"

namespace spirula::appliance {
namespace {

TEST(Disks, what_lsblk_says) {
  auto disks = parse_lsblk(R"({"blockdevices":[
    {"name":"sda","path":"/dev/sda","type":"disk","size":64023257088,"model":"Shell  ","serial":"S1","ro":false,
     "rota":false,"rm":false,"mountpoints":[null],
     "children":[{"name":"sda1","path":"/dev/sda1","type":"part","size":1,"mountpoints":["/boot"]}]},
    {"name":"sdb","path":"/dev/sdb","type":"disk","size":4294967296,"model":null,"serial":null,"ro":false,"rota":true,
     "rm":true,"mountpoints":[null],"children":[{"name":"vg-x","path":"/dev/dm-0","type":"lvm","mountpoints":[null]}]},
    {"name":"sdc","path":"/dev/sdc","type":"disk","size":1024,"ro":false,"mountpoints":[]},
    {"name":"sdd","path":"/dev/sdd","type":"disk","size":8589934592,"ro":true,"mountpoints":[]},
    {"name":"sr0","path":"/dev/sr0","type":"rom","size":1024,"mountpoints":[null]},
    {"name":"sde","path":"/dev/sde","type":"disk","size":0,"mountpoints":[null]}]})");
  ASSERT_TRUE(disks);
  ASSERT_EQ(disks->size(), 4u);
  EXPECT_EQ((*disks)[0].model, "Shell");
  EXPECT_EQ((*disks)[0].problem(), "It is in use: /boot.");
  EXPECT_EQ((*disks)[0].erase_word(), "S1");
  EXPECT_EQ((*disks)[1].problem(), "It is in use: lvm /dev/dm-0.");
  EXPECT_EQ((*disks)[1].erase_word(), "/dev/sdb");
  EXPECT_EQ((*disks)[2].problem(), "It is too small: 3 GiB are needed.");
  EXPECT_EQ((*disks)[3].problem(), "It is write-protected.");
  for (auto bad : {"", "[]", "{}", R"({"blockdevices":[3]})"}) EXPECT_FALSE(parse_lsblk(bad)) << bad;
}

TEST(Disks, signatures_in_words) {
  EXPECT_EQ(describe_signature("ext4", "holiday"), "a file system (ext4) called \"holiday\"");
  EXPECT_EQ(describe_signature("gpt", ""), "a partition table");
  EXPECT_EQ(describe_signature("zfs_member", "tank"), "part of a ZFS pool called \"tank\"");
  EXPECT_EQ(describe_signature("btrfs", "spirula-osd0"), "a disk of a Spirula box called \"spirula-osd0\"");
  EXPECT_EQ(describe_signature("something_new", ""), "a file system (something_new)");
}

TEST(Disks, nothing_is_formatted_that_is_not_what_was_chosen) {
  std::string words;
  EXPECT_FALSE(format_disk({.path = "/dev/null", .filesystem = "x"}, true, words));
  EXPECT_FALSE(format_disk({.path = "/dev/nothing", .filesystem = "x"}, true, words));
  EXPECT_NE(words, "");
}

TEST(Disks, journals) {
  constexpr std::uint64_t gib = std::uint64_t{1} << 30;
  EXPECT_EQ(journal_bytes(3 * gib), gib / 4);
  EXPECT_EQ(journal_bytes(16 * gib), gib);
  EXPECT_EQ(journal_bytes(4000 * gib), 4 * gib);
}

TEST(Tools, run_without_a_shell_and_not_for_ever) {
  auto done = run_tool({"printf", "%s", "$HOME `id` ;"});
  ASSERT_TRUE(done);
  EXPECT_EQ(done->output, "$HOME `id` ;");
  EXPECT_EQ(run_tool({"/nonexistent"}).error(), from_errno(ENOENT));
  EXPECT_EQ(run_tool({"sleep", "30"}, std::chrono::seconds(1)).error(), Errc::timed_out);
  std::string words;
  EXPECT_FALSE(need_tool({"sh", "-c", "echo out; echo broken >&2; exit 3"}, words));
  EXPECT_EQ(words, "sh: broken");
  auto much = run_tool({"sh", "-c", "head -c 5000000 /dev/zero"});
  ASSERT_TRUE(much);
  EXPECT_LT(much->output.size(), 2u << 20);
}

TEST(Render, share_keys_reach_their_share_only) {
  ShareCaps caps = share_caps({.name = "photos"});
  auto osd = msg::OsdCaps::parse(caps.osd);
  auto mds = msg::MdsCaps::parse(caps.mds);
  ASSERT_TRUE(osd && mds && msg::MonCaps::parse(caps.mon));
  const msg::OsdCaps::Applications data{{"cephfs", {{"data", "fs"}}}}, metadata{{"cephfs", {{"metadata", "fs"}}}};
  EXPECT_TRUE(osd->allows(data_pool, "share-photos", data, "1.0", true, true));
  EXPECT_FALSE(osd->allows(data_pool, "share-music", data, "1.0", true, false));
  EXPECT_FALSE(osd->allows(data_pool, "share-photos2", data, "1.0", true, false));
  EXPECT_FALSE(osd->allows(data_pool, "", data, "1.0", true, false));
  EXPECT_FALSE(osd->allows(metadata_pool, "", metadata, "1.0", true, false));
  EXPECT_FALSE(osd->allows_listing(data_pool, "", data));
  EXPECT_TRUE(mds->allows("fs", "photos/2026", msg::MdsCaps::read | msg::MdsCaps::write, {}, {}));
  EXPECT_FALSE(mds->allows("fs", "photos2", msg::MdsCaps::read, {}, {}));
  EXPECT_FALSE(mds->allows("fs", "", msg::MdsCaps::read, {}, {}));
  EXPECT_FALSE(mds->allows("fs", "photos", msg::MdsCaps::policy, {}, {}));
}

TEST(Render, mount_lines) {
  Places places{.state = "/s", .address = "10.0.0.1", .mon_port = 3300};
  MountLines lines = mount_lines({.name = "photos"}, "KEY==", places);
  EXPECT_EQ(lines.kernel,
            "mount -t ceph 10.0.0.1:3300:/photos /mnt/photos -o name=photos,secret=KEY==,ms_mode=prefer-crc");
  EXPECT_EQ(lines.fstab,
            "10.0.0.1:3300:/photos /mnt/photos ceph name=photos,secret=KEY==,ms_mode=prefer-crc,_netdev,noatime 0 0");
  places.address = "fd00::1";
  EXPECT_EQ(places.mon_endpoint(), "[fd00::1]:3300");
}

TEST(Render, every_daemon_has_its_port) {
  Places places{.state = "/s", .address = "10.0.0.1"};
  EXPECT_EQ(places.endpoint_of("osd.3"), "10.0.0.1");
  places.daemon_port = 6800;
  EXPECT_EQ(places.endpoint_of("mds.a"), "10.0.0.1:6800");
  EXPECT_EQ(places.endpoint_of("mds.b"), "10.0.0.1:6801");
  EXPECT_EQ(places.endpoint_of("osd.0"), "10.0.0.1:6802");
  places.address = "fd00::1";
  EXPECT_EQ(places.endpoint_of("osd.12"), "[fd00::1]:6814");
  Document document;
  document.disks.push_back({.osd = 2});
  EXPECT_NE(ceph_conf(document, places).find("public addr = [fd00::1]:6804\nosd data = /s/osd.2\n"), std::string::npos);
}

TEST(Render, plans_promise_no_more_than_there_is) {
  constexpr std::uint64_t gib = std::uint64_t{1} << 30;
  Plan one = plan_for({100 * gib}, 1), two = plan_for({100 * gib, 50 * gib}, 1);
  EXPECT_LT(one.bytes, 97 * gib);
  EXPECT_GT(one.bytes, 80 * gib);
  EXPECT_LT(two.bytes, 145 * gib);
  EXPECT_NE(one.survives.find("if the disk fails, the files are lost"), std::string::npos);
  EXPECT_NE(two.survives.find("if any one disk fails, files are lost"), std::string::npos);
}

TEST(Render, copies_are_on_different_disks) {
  constexpr std::uint64_t gib = std::uint64_t{1} << 30;
  const auto fits = [](std::vector<std::uint64_t> disks, unsigned copies) { return plan_for(disks, copies).bytes; };
  EXPECT_EQ(fits({100 * gib, 100 * gib}, 2), fits({100 * gib}, 1));
  EXPECT_EQ(fits({1000 * gib, 50 * gib}, 2), fits({50 * gib}, 1)) << "the smaller one is full first";
  EXPECT_EQ(fits({1000 * gib, 50 * gib, 50 * gib}, 2), 2 * fits({50 * gib}, 1));
  EXPECT_EQ(fits({100 * gib, 100 * gib, 100 * gib}, 2), fits({100 * gib, 100 * gib, 100 * gib}, 1) / 2);
  EXPECT_EQ(fits({1000 * gib, 500 * gib, 50 * gib}, 3), fits({50 * gib}, 1));
  EXPECT_NE(plan_for({gib, gib}, 2).survives.find("if any one disk fails, nothing is lost"), std::string::npos);
  EXPECT_NE(plan_for({gib, gib, gib}, 3).survives.find("If two fail, nothing is lost"), std::string::npos);
}

TEST(Status, health_in_words) {
  auto words = [](const char* text, HealthFacts facts = {}) {
    facts.status = boost::json::parse(text);
    return health_words(facts);
  };
  auto good = R"({"osdmap":{"num_osds":2,"num_up_osds":2},"fsmap":{"up":1},"health":{"checks":{}}})";
  EXPECT_EQ(words(good).level, "good");
  EXPECT_EQ(words(good, {.used_share = 0.85}).level, "warning");
  EXPECT_EQ(words(good, {.used_share = 0.95}).level, "bad");
  EXPECT_EQ(words(good, {.troubles = {{"osd.1", "The disk X."}}}).level, "bad");
  EXPECT_EQ(words(good, {.troubles = {{"osd.1", "The disk X."}}, .copies = 2}).level, "warning");
  EXPECT_EQ(words("null").level, "bad");
  EXPECT_EQ(words("null", {.troubles = {{"mon.a", "Why."}}}).level, "bad");
  auto down = R"({"osdmap":{"num_osds":2,"num_up_osds":1},"fsmap":{"up":1}})";
  EXPECT_EQ(words(down).sentence, "1 of 2 disks does not work. Some files cannot be read until it is back.");
  EXPECT_EQ(words(down, {.copies = 2}).sentence,
            "1 of 2 disks does not work. Every file is still there and can be changed.");
  auto check = [](std::string code) {
    return R"({"osdmap":{"num_osds":3,"num_up_osds":2},"fsmap":{"up":1},"health":{"checks":{")" + code +
           R"(":{"summary":{"message":"x"}}}}})";
  };
  EXPECT_EQ(words(check("PG_AVAILABILITY").c_str(), {.copies = 2}).level, "bad");
  EXPECT_EQ(words(check("PG_DEGRADED").c_str(), {.copies = 2}).level, "warning");
  for (auto bad : {good, down}) EXPECT_NE(words(bad, {.troubles = {{"a", "x"}}}).advice, "") << "always what to do";
}

TEST(Status, space_counts_every_file_once) {
  auto df = boost::json::parse(R"({"stats":{"total_bytes":3000,"total_used_raw_bytes":300},
    "pools":[{"name":"cephfs.fs.data","stats":{"stored":100,"max_avail":1200}},
             {"name":"cephfs.fs.meta","stats":{"stored":20,"max_avail":1200}}]})");
  EXPECT_EQ(space_of(df, 2).used, 120);
  EXPECT_EQ(space_of(df, 2).total, 1320);
  EXPECT_EQ(space_of(boost::json::parse(R"({"stats":{"total_bytes":3000,"total_used_raw_bytes":300}})"), 2).total,
            1500);
  EXPECT_EQ(space_of({}, 1).total, 0);
}

TEST(Status, disks_that_speak_for_themselves) {
  auto good =
      parse_smartctl(R"({"smart_status":{"passed":true},"temperature":{"current":31},"power_on_time":{"hours":4000}})");
  ASSERT_TRUE(good);
  EXPECT_EQ(good->describe(), "healthy, 31 °C, 4000 hours on");
  auto bad = parse_smartctl(R"({"smart_status":{"passed":false}})");
  ASSERT_TRUE(bad);
  EXPECT_FALSE(bad->passed);
  for (auto silent : {"", "{}", "[1]", R"({"smart_status":{}})", R"({"smart_status":{"passed":1}})"})
    EXPECT_FALSE(parse_smartctl(silent)) << silent;
  auto status = boost::json::parse(R"({"osdmap":{"num_osds":1,"num_up_osds":1},"fsmap":{"up":1}})");
  EXPECT_EQ(health_words({.status = status, .failing = {"S1"}}).sentence, "The disk S1 says that it is about to fail.");
}

TEST(Status, memory_without_what_is_only_cached) {
  const Memory memory = memory_of("MemTotal:        1000 kB\nMemFree:  10 kB\nMemAvailable:     400 kB\n");
  EXPECT_EQ(memory.total, 1000 << 10);
  EXPECT_EQ(memory.used, 600 << 10);
  EXPECT_EQ(memory_of("").used, 0);
  EXPECT_EQ(memory_of("MemTotal:").total, 0);
}

TEST(Status, rates) {
  Totals before{.read_bytes = 100, .write_bytes = 100, .reads = 1, .writes = 1, .write_seconds = 1};
  Totals after{.read_bytes = 300, .write_bytes = 50, .reads = 3, .writes = 3, .write_seconds = 1.02};
  Sample sample = rate_between(before, after, 2, 7);
  EXPECT_EQ(sample.read_bytes, 100);
  EXPECT_EQ(sample.write_bytes, 0) << "a counter that went back";
  EXPECT_EQ(sample.operations, 2);
  EXPECT_NEAR(sample.write_ms, 10, 1e-6);
  EXPECT_EQ(rate_between(before, after, 0, 7).operations, 0);
}

TEST(Jobs, one_of_a_kind_and_its_end_is_remembered) {
  run_main([](Shard& shard) -> Task<int> {
    JobBoard jobs(shard);
    Event go;
    auto first = jobs.start("setup", "Setting up", [&](JobBoard::Progress& progress) -> Task<Result<>> {
      progress.at(0.5, "half");
      CO_TRY(co_await go.wait());
      progress.failed("Do this.");
      co_return Errc::io;
    });
    EXPECT_TRUE(first);
    EXPECT_EQ(jobs.start("setup", "again", {}).error(), Errc::busy);
    (void)co_await shard.clock().sleep(std::chrono::milliseconds(5));
    EXPECT_EQ(jobs.find(*first)->step, "half");
    std::uint64_t version = jobs.version();
    go.set();
    (void)co_await shard.clock().sleep(std::chrono::milliseconds(5));
    EXPECT_GT(jobs.version(), version);
    EXPECT_EQ(jobs.find(*first)->state, JobState::failed);
    EXPECT_EQ(jobs.find(*first)->error, "Do this.");
    EXPECT_EQ(jobs.find(99), nullptr);
    co_await jobs.stop();
    co_return 0;
  });
}

}  // namespace
}  // namespace spirula::appliance
