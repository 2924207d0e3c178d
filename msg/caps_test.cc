#include <gtest/gtest.h>

#include "msg/caps_mds.h"
#include "msg/caps_mon.h"
#include "msg/caps_osd.h"

namespace spirula::msg {
namespace {

const KeyName admin = *KeyName::parse("client.admin"), osd0 = *KeyName::parse("osd.0");

TEST(MonCaps, what_texts_grant) {
  auto caps = [](std::string_view text) { return *MonCaps::parse(text); };
  EXPECT_TRUE(caps("allow *").allows_all());
  EXPECT_TRUE(caps("allow *").allows(admin, "auth", MonCaps::read | MonCaps::write | MonCaps::execute));
  EXPECT_TRUE(caps("allow r").allows(admin, "osd", MonCaps::read));
  EXPECT_FALSE(caps("allow r").allows(admin, "osd", MonCaps::write));
  EXPECT_FALSE(caps("").allows(admin, "mon", MonCaps::read));
  EXPECT_TRUE(caps("allow service osd rw").allows(admin, "osd", MonCaps::write));
  EXPECT_FALSE(caps("allow service osd rw").allows(admin, "mds", MonCaps::read));
  EXPECT_TRUE(caps("allow r, allow service=osd w").allows(admin, "osd", MonCaps::read | MonCaps::write))
      << "clauses add up";
  EXPECT_TRUE(caps("allow profile osd").allows(osd0, "osd", MonCaps::read | MonCaps::write | MonCaps::execute));
  EXPECT_FALSE(caps("profile osd").allows(osd0, "auth", MonCaps::read));
  EXPECT_TRUE(caps("profile osd")
                  .allows(osd0, "config-key", MonCaps::read, "config-key get", {{"key", "daemon-private/osd.0/x"}}));
  EXPECT_FALSE(caps("profile osd")
                   .allows(osd0, "config-key", MonCaps::read, "config-key get", {{"key", "daemon-private/osd.1/x"}}));
  auto command = caps("allow command \"osd pool get\" with pool=a var prefix s");
  EXPECT_TRUE(command.allows(admin, "osd", MonCaps::read, "osd pool get", {{"pool", "a"}, {"var", "size"}}));
  EXPECT_FALSE(command.allows(admin, "osd", MonCaps::read, "osd pool get", {{"pool", "b"}, {"var", "size"}}));
  EXPECT_FALSE(command.allows(admin, "osd", MonCaps::read, "osd pool get", {{"pool", "a"}, {"var", "pg_num"}}));
  EXPECT_FALSE(command.allows(admin, "osd", MonCaps::read));
  Endpoint near = *Endpoint::parse("10.1.2.3:5"), far = *Endpoint::parse("11.1.2.3:5");
  EXPECT_TRUE(caps("allow r network 10.0.0.0/8").allows(admin, "osd", MonCaps::read, "", {}, &near));
  EXPECT_FALSE(caps("allow r network 10.0.0.0/8").allows(admin, "osd", MonCaps::read, "", {}, &far));
  EXPECT_EQ(caps("allow r fsname=a, allow r fsname=b").file_systems(), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(caps("allow r").file_systems().empty());
  EXPECT_TRUE(
      caps("profile rbd")
          .allows(admin, "osd", MonCaps::write, "osd blocklist", {{"blocklistop", "add"}, {"addr", "1.2.3.4:0/99"}}));
  for (std::string_view bad : {"alow r", "allow", "allow q", "allow r allow w", "allow command", "allow \"r", ";", "r",
                               "allow r,,allow w", "allow r network x"})
    EXPECT_FALSE(MonCaps::parse(bad)) << bad;
}

TEST(OsdCaps, what_texts_grant) {
  auto caps = [](std::string_view text) { return *OsdCaps::parse(text); };
  OsdCaps::Applications fs{{"cephfs", {{"data", "media"}}}};
  EXPECT_TRUE(caps("allow *").allows_all());
  EXPECT_TRUE(caps("allow rw pool=a").allows("a", "", {}, "o", true, true));
  EXPECT_FALSE(caps("allow rw pool=a").allows("b", "", {}, "o", true, false));
  EXPECT_TRUE(caps("allow pool a rw").allows("a", "", {}, "o", true, true));
  EXPECT_TRUE(caps("allow rw pool a namespace=n").allows("a", "n", {}, "o", true, true));
  EXPECT_FALSE(caps("allow rw pool a namespace=n").allows("a", "", {}, "o", true, true));
  EXPECT_TRUE(caps("allow rw namespace=n*").allows("a", "nn", {}, "o", true, true));
  EXPECT_TRUE(caps("allow r object_prefix foo").allows("a", "", {}, "foobar", true, false));
  EXPECT_FALSE(caps("allow r object_prefix foo").allows("a", "", {}, "bar", true, false));
  EXPECT_TRUE(caps("allow rw tag cephfs data=media").allows("x", "", fs, "o", true, true));
  EXPECT_FALSE(caps("allow rw tag cephfs data=other").allows("x", "", fs, "o", true, true));
  EXPECT_TRUE(caps("allow rw tag cephfs *=*").allows("x", "", fs, "o", true, true));
  EXPECT_FALSE(caps("allow rw tag cephfs data=media").allows("x", "", {}, "o", true, true));
  OsdCaps::ClassCall reads[] = {{"rbd", "get_id", true, false}}, writes[] = {{"rbd", "set_id", false, true}};
  EXPECT_TRUE(caps("allow rwx").allows("a", "", {}, "o", false, false, writes));
  EXPECT_FALSE(caps("allow rw").allows("a", "", {}, "o", false, false, reads));
  EXPECT_TRUE(caps("allow r class-read").allows("a", "", {}, "o", true, false, reads));
  EXPECT_FALSE(caps("allow class-read").allows("a", "", {}, "o", false, false, writes));
  EXPECT_TRUE(caps("allow class rbd").allows("a", "", {}, "o", false, false, writes));
  EXPECT_TRUE(caps("allow class rbd get_id pool=a").allows("a", "", {}, "o", false, false, reads));
  EXPECT_FALSE(caps("allow class rbd get_id").allows("a", "", {}, "o", false, false, writes));
  EXPECT_TRUE(caps("profile rbd pool=images").allows("images", "", {}, "rbd_data.1", true, true));
  EXPECT_FALSE(caps("profile rbd pool=images").allows("other", "", {}, "rbd_data.1", true, true));
  EXPECT_TRUE(caps("allow r pool=\"two words\"").allows("two words", "", {}, "o", true, false));
  for (std::string_view bad :
       {"allow", "allow pool", "allow pool a", "rw", "allow rw pol=a", "profile nothing", "allow rr"})
    EXPECT_FALSE(OsdCaps::parse(bad)) << bad;
}

TEST(MdsCaps, what_texts_grant) {
  auto caps = [](std::string_view text) { return *MdsCaps::parse(text); };
  MdsCaps::Caller root{0, 0, {}}, ann{1000, 1000, {}};
  MdsCaps::Target file{1000, 1000, 0640};
  EXPECT_TRUE(caps("allow *").allows_all());
  EXPECT_FALSE(caps("allow").allows_all());
  EXPECT_TRUE(caps("allow").allows("fs", "a", MdsCaps::snapshot, ann, file));
  EXPECT_TRUE(caps("allow rw").allows("fs", "a/b", MdsCaps::read | MdsCaps::write, ann, file));
  EXPECT_FALSE(caps("allow rw").allows("fs", "a", MdsCaps::snapshot, ann, file));
  EXPECT_TRUE(caps("allow rwps").allows("fs", "a", MdsCaps::snapshot | MdsCaps::policy, ann, file));
  EXPECT_TRUE(caps("allow rw path=/home/ann").allows("fs", "home/ann/x", MdsCaps::write, ann, file));
  EXPECT_FALSE(caps("allow rw path=/home/ann").allows("fs", "home/anna", MdsCaps::read, ann, file));
  EXPECT_TRUE(caps("allow r, allow rw path=/a").allows("fs", "b", MdsCaps::read, ann, file));
  EXPECT_FALSE(caps("allow rw fsname=a").allows("b", "", MdsCaps::read, ann, file));
  EXPECT_TRUE(caps("allow rw fsname=a").allows_file_system("a"));
  EXPECT_TRUE(caps("allow rw root_squash").allows("fs", "", MdsCaps::read, root, file));
  EXPECT_FALSE(caps("allow rw root_squash").allows("fs", "", MdsCaps::write, root, file));
  EXPECT_TRUE(caps("allow rw uid=1000 gids=1000,1001").allows("fs", "", MdsCaps::write, ann, file));
  EXPECT_FALSE(caps("allow rw uid=1001").allows("fs", "", MdsCaps::write, ann, file));
  EXPECT_FALSE(caps("allow rw uid=1000").allows("fs", "", MdsCaps::write, ann, {0, 0, 0644}));
  EXPECT_TRUE(caps("allow rw path=\"/a b\"").allows_root("fs", "/a b/c"));
  EXPECT_FALSE(caps("allow rw path=/a").allows_root("fs", "/"));
  EXPECT_TRUE(caps("allow rw path=/a").is_path_restricted());
  for (std::string_view bad : {"rw", "allow w", "allow rw path", "allow rw foo=1", "allow rw uid=x"})
    EXPECT_FALSE(MdsCaps::parse(bad)) << bad;
}

TEST(MdsCaps, somebody_of_a_key_that_names_users) {
  auto caps = MdsCaps::parse("allow rw path=/a uid=7, allow r");
  ASSERT_TRUE(caps);
  EXPECT_TRUE(caps->allows_somebody("fs", "a/b", MdsCaps::read | MdsCaps::write));
  EXPECT_FALSE(caps->allows_somebody("fs", "b", MdsCaps::read | MdsCaps::write));
  EXPECT_TRUE(caps->allows_somebody("fs", "b", MdsCaps::read));
}

}  // namespace
}  // namespace spirula::msg
