#include "mon/mon_caps.h"

#include <gtest/gtest.h>

namespace spirula::mon {
namespace {

constexpr Access r{true, false, false}, w{false, true, false}, rw{true, true, false}, rx{true, false, true};

bool allows(const char* caps, const char* service, Access need, const char* command = "",
            const std::map<std::string, std::string>& arguments = {}) {
  auto parsed = MonCaps::parse(caps);
  return parsed && parsed->allows(service, need, command, arguments);
}

TEST(MonCaps, blanket_grants) {
  EXPECT_TRUE(allows("allow *", "auth", Access{true, true, true}));
  EXPECT_TRUE(allows("allow *", "config-key", rw));
  EXPECT_TRUE(allows("allow r", "osd", r));
  EXPECT_FALSE(allows("allow r", "osd", rw));
  EXPECT_FALSE(allows("allow rwx", "config-key", r));
  EXPECT_TRUE(allows("allow r, allow w", "osd", rw));
  EXPECT_FALSE(allows("", "mon", r));
}

TEST(MonCaps, services_commands_and_profiles) {
  EXPECT_TRUE(allows("allow service auth rx", "auth", rx));
  EXPECT_FALSE(allows("allow service auth rx", "osd", r));
  EXPECT_TRUE(allows("allow command \"osd pool ls\"", "osd", r, "osd pool ls"));
  EXPECT_FALSE(allows("allow command \"osd pool ls\"", "osd", r, "osd dump"));
  EXPECT_TRUE(allows("allow command get with key prefix a/", "mon", r, "get", {{"key", "a/b"}}));
  EXPECT_FALSE(allows("allow command get with key prefix a/", "mon", r, "get", {{"key", "b/b"}}));
  EXPECT_TRUE(allows("allow command get with key=\"a b\"", "mon", r, "get", {{"key", "a b"}}));
  EXPECT_TRUE(allows("allow profile osd", "osd", rw));
  EXPECT_TRUE(allows("profile osd", "log", w));
  EXPECT_FALSE(allows("profile osd", "auth", rw));
  EXPECT_TRUE(allows("profile mds", "mds", rw));
  EXPECT_TRUE(allows("profile rbd", "osd", rw, "osd blocklist", {{"blocklistop", "add"}}));
  EXPECT_TRUE(allows("allow r fsname=a", "mds", r));
  EXPECT_EQ(MonCaps::parse("allow r fsname=a")->file_systems(), std::vector<std::string>{"a"});
  EXPECT_TRUE(MonCaps::parse("allow r")->file_systems().empty());
  EXPECT_FALSE(allows("allow * network 10.0.0.0/8", "osd", r));
}

TEST(MonCaps, nonsense_is_refused) {
  for (auto text : {"allow", "alow r", "allow rq", "allow profile nobody", "allow command", "allow r with", "allow \"r",
                    "allow service osd", "\x01"})
    EXPECT_FALSE(MonCaps::parse(text)) << text;
}

}  // namespace
}  // namespace spirula::mon
