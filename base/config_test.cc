#include "base/config.h"

#include <gtest/gtest.h>

namespace spirula {
namespace {

using namespace std::chrono_literals;

constexpr Option test_options[] = {
    {"osd_data", OptionType::text, "/var/lib/$cluster/$type/$cluster-$id", "where the store is"},
    {"osd_threads", OptionType::integer, "2", "how many", 1, 16, 't'},
    {"osd_cache", OptionType::size, "1G", "how much"},
    {"osd_grace", OptionType::duration, "20", "how long"},
    {"mkfs", OptionType::boolean, "false", "make a new store"},
    {"no_cleanup", OptionType::boolean, "false", "leave it"},
};

TEST(Config, sections_variables_and_precedence) {
  Config config("osd", "");
  config.add(test_options);
  ASSERT_TRUE(config.parse_arguments({"-i", "3", "--osd-threads=5", "--mkfs", "rest", "--no-cleanup"}));
  ASSERT_TRUE(config.parse_file_text(R"(
; a comment
[global]
  mon host = [v2:10.0.0.1:3300,v1:10.0.0.1:6789]   # where
  osd threads = 4
  something unknown = 5
[osd]
  osd-cache = 512M
  osd data = "/data/$name # not a comment"
[osd.4]
  osd cache = 1
[osd.3]
  osd_grace = 1500ms
)")) << config.problem();
  EXPECT_EQ(config.integer("osd_threads"), 5) << "the command line wins";
  EXPECT_EQ(config.size("osd_cache"), 512u << 20);
  EXPECT_EQ(config.text("osd_data"), "/data/osd.3 # not a comment");
  EXPECT_EQ(config.duration("osd_grace"), 1500ms);
  EXPECT_EQ(config.text("mon_host"), "[v2:10.0.0.1:3300,v1:10.0.0.1:6789]");
  EXPECT_TRUE(config.flag("mkfs"));
  EXPECT_TRUE(config.flag("no_cleanup"));
  EXPECT_EQ(config.positional(), std::vector<std::string>{"rest"});
  EXPECT_EQ(config.name(), "osd.3");
}

TEST(Config, command_line_forms) {
  Config config("client", "admin");
  config.add(test_options);
  ASSERT_TRUE(config.parse_arguments({"-t8", "--osd_cache", "4k", "-n", "osd.7", "--debug-ms", "20", "--", "-x"}));
  EXPECT_EQ(config.integer("osd_threads"), 8);
  EXPECT_EQ(config.size("osd_cache"), 4096u);
  EXPECT_EQ(config.type(), "osd");
  EXPECT_EQ(config.id(), "7");
  EXPECT_EQ(config.text("osd_data"), "/var/lib/ceph/osd/ceph-7");
  EXPECT_EQ(config.positional(), std::vector<std::string>{"-x"});
}

TEST(Config, refuses_what_is_wrong_and_says_why) {
  Config config("osd", "0");
  config.add(test_options);
  EXPECT_FALSE(config.parse_arguments({"--osd-threads=17"}));
  EXPECT_EQ(config.problem(), "option osd_threads: 17 is not between 1 and 16");
  EXPECT_FALSE(config.parse_arguments({"--nonsense=1"}));
  EXPECT_FALSE(config.parse_arguments({"--osd-threads"}));
  EXPECT_FALSE(config.parse_arguments({"-c", "/does/not/exist"}));
  EXPECT_FALSE(config.parse_file_text("[global\n"));
}

TEST(Config, monitor_values_come_between_and_notify) {
  Config config("osd", "0");
  config.add(test_options);
  ASSERT_TRUE(config.parse_arguments({"--osd-cache=7"}));
  int changes = 0;
  config.on_change("osd_threads", [&] { ++changes; });
  config.set_from_monitor({{"osd_threads", "3"}, {"osd_cache", "9"}, {"unheard of", "1"}});
  EXPECT_EQ(config.integer("osd_threads"), 3);
  EXPECT_EQ(config.size("osd_cache"), 7u);
  config.set_from_monitor({});
  EXPECT_EQ(config.integer("osd_threads"), 2);
  EXPECT_EQ(changes, 2);
  EXPECT_TRUE(config.set("osd-threads", "4"));
  EXPECT_EQ(changes, 3);
  EXPECT_FALSE(config.set("osd-threads", "99"));
  EXPECT_EQ(config.show()["osd_threads"], "4");
}

std::string hosts(std::string_view text) {
  auto parsed = parse_mon_host(text);
  if (!parsed) return parsed.error().message();
  std::string out;
  for (const Endpoint& each : *parsed) out += each.describe() + " ";
  return out;
}

TEST(Config, mon_host) {
  EXPECT_EQ(hosts("10.0.0.1"), "10.0.0.1:3300 ");
  EXPECT_EQ(hosts("10.0.0.1:99, 10.0.0.2"), "10.0.0.1:99 10.0.0.2:3300 ");
  EXPECT_EQ(hosts("[v2:10.0.0.1:3300/0,v1:10.0.0.1:6789/0],[v2:10.0.0.2:3301/0]"), "10.0.0.1:3300 10.0.0.2:3301 ");
  EXPECT_EQ(hosts("v2:127.0.0.1:40000"), "127.0.0.1:40000 ");
  EXPECT_EQ(hosts("[v2:[fd00::1]:3300,v1:[fd00::1]:6789]"), "[fd00::1]:3300 ");
  EXPECT_EQ(hosts("[::1]:77"), "[::1]:77 ");
  EXPECT_EQ(hosts("v1:10.0.0.1:6789"), "operation not supported");
  EXPECT_FALSE(parse_mon_host(""));
}

TEST(Config, sizes_and_times) {
  EXPECT_EQ(*parse_size("1.5GiB"), std::uint64_t{3} << 29);
  EXPECT_EQ(*parse_size("0x10"), 16u);
  EXPECT_FALSE(parse_size("-1"));
  EXPECT_FALSE(parse_size("5 apples"));
  EXPECT_FALSE(parse_size("1e300"));
  EXPECT_EQ(*parse_seconds("2m"), 120);
  EXPECT_FALSE(parse_seconds("soon"));
}

}  // namespace
}  // namespace spirula
