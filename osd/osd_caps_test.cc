#include "osd/osd_caps.h"

#include <gtest/gtest.h>

namespace spirula::osd {
namespace {

const OsdCaps::Applications cephfs_data{{"cephfs", {{"data", "shop"}}}};

bool may(const char* caps, bool reads, bool writes, std::string_view pool = "p", std::string_view name_space = "",
         std::string_view object = "o", const OsdCaps::Applications* applications = nullptr) {
  auto parsed = OsdCaps::parse(caps);
  EXPECT_TRUE(parsed) << caps;
  return parsed && parsed->allows({pool, name_space, object, applications, reads, writes, nullptr});
}

TEST(OsdCaps, rights_and_conditions) {
  EXPECT_TRUE(may("allow *", true, true));
  EXPECT_TRUE(may("allow r", true, false));
  EXPECT_FALSE(may("allow r", true, true));
  EXPECT_FALSE(may("", true, false));
  EXPECT_TRUE(may("allow rw pool=p", true, true));
  EXPECT_TRUE(may("allow pool p rw", true, true));
  EXPECT_FALSE(may("allow rw pool=q", true, true));
  EXPECT_TRUE(may("allow rw pool=q, allow r", true, false));
  EXPECT_TRUE(may("allow rw namespace=a*", false, true, "p", "abc"));
  EXPECT_FALSE(may("allow rw namespace=a", false, true, "p", "abc"));
  EXPECT_FALSE(may("allow rw namespace=\"\"", false, true, "p", "abc"));
  EXPECT_TRUE(may("allow rw object_prefix rbd_", false, true, "p", "", "rbd_x"));
  EXPECT_FALSE(may("allow rw object_prefix rbd_", false, true, "p", "", "x"));
}

TEST(OsdCaps, file_system_tags) {
  EXPECT_TRUE(may("allow rw tag cephfs data=shop", true, true, "p", "", "o", &cephfs_data));
  EXPECT_TRUE(may("allow rw tag cephfs data=*", true, true, "p", "", "o", &cephfs_data));
  EXPECT_TRUE(may("allow rw tag cephfs *=*", true, true, "p", "", "o", &cephfs_data));
  EXPECT_FALSE(may("allow rw tag cephfs data=other", true, true, "p", "", "o", &cephfs_data));
  EXPECT_FALSE(may("allow rw tag cephfs metadata=*", true, true, "p", "", "o", &cephfs_data));
  EXPECT_FALSE(may("allow rw tag rbd data=*", true, true, "p", "", "o", &cephfs_data));
  EXPECT_FALSE(may("allow rw tag cephfs data=shop", true, true));
}

TEST(OsdCaps, class_calls) {
  std::vector<OsdCaps::ClassCall> lock{{"lock", "lock", true, true}};
  auto may_call = [&](const char* caps) {
    return OsdCaps::parse(caps)->allows({"p", "", "o", nullptr, false, false, &lock});
  };
  EXPECT_TRUE(may_call("allow *"));
  EXPECT_TRUE(may_call("allow rwx"));
  EXPECT_TRUE(may_call("allow x"));
  EXPECT_FALSE(may_call("allow rw"));
  EXPECT_FALSE(may_call("allow class-read"));
  EXPECT_TRUE(may_call("allow class-read class-write"));
  EXPECT_TRUE(may_call("allow class lock"));
  EXPECT_TRUE(may_call("allow class lock lock"));
  EXPECT_FALSE(may_call("allow class lock unlock"));
  EXPECT_TRUE(may_call("profile rbd pool=p"));
  EXPECT_FALSE(may_call("profile rbd pool=q"));
}

TEST(OsdCaps, nonsense_is_refused) {
  for (const char* text : {"allow", "deny r", "allow q", "allow rw pool", "allow \"r", "profile", "profile x",
                           "allow rw network 10.0.0.0/8", "allow tag cephfs"})
    EXPECT_FALSE(OsdCaps::parse(text)) << text;
}

}  // namespace
}  // namespace spirula::osd
