#include "msg/credentials.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "base/shard.h"

namespace spirula::msg {
namespace {

constexpr const char* key_text = "AQAAAAAAAAAAABAAAQIDBAUGBwgJCgsMDQ4PEA==";

Result<Credentials> load(Config& config) {
  ShardThread shard("test");
  return load_credentials(config, 4, EntityType::none, system_random(), shard.shard().clock());
}

TEST(Credentials, the_key_comes_from_the_option_or_the_first_keyring_that_knows_us) {
  std::string path = ::testing::TempDir() + "/credentials_test.keyring";
  std::ofstream(path) << "[client.admin]\n\tkey = " << key_text << "\n";
  Config config("client", "admin");
  ASSERT_TRUE(config.parse_arguments({"--keyring", "/does/not/exist," + path, "-c", "/dev/null"}));
  auto found = load(config);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->cephx);
  EXPECT_EQ(found->name.describe(), "client.admin");

  Config direct("client", "x");
  ASSERT_TRUE(direct.parse_arguments({"--key", key_text, "-c", "/dev/null"}));
  EXPECT_TRUE(load(direct)->cephx);
  std::remove(path.c_str());
}

TEST(Credentials, without_a_key_only_none_is_left_and_only_if_allowed) {
  Config either("client", "nobody");
  ASSERT_TRUE(either.parse_arguments({"--keyring", "/does/not/exist", "-c", "/dev/null"}));
  auto found = load(either);
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->cephx);

  Config strict("client", "nobody");
  ASSERT_TRUE(
      strict.parse_arguments({"--keyring", "/does/not/exist", "--auth-client-required", "cephx", "-c", "/dev/null"}));
  EXPECT_EQ(load(strict).error(), make_error_code(Errc::not_found));
}

TEST(Credentials, modes_go_by_who_we_are_and_nonsense_is_refused) {
  Config osd("osd", "0");
  ASSERT_TRUE(osd.parse_arguments({"--ms-service-mode=secure", "--ms-cluster-mode=crc", "-c", "/dev/null"}));
  auto modes = modes_for(osd);
  ASSERT_TRUE(modes);
  EXPECT_EQ(modes->with(EntityType::client), std::vector{ConnectionMode::secure});
  EXPECT_EQ(modes->with(EntityType::osd), std::vector{ConnectionMode::crc});
  EXPECT_EQ(modes->with(EntityType::mon), (std::vector{ConnectionMode::secure, ConnectionMode::crc}));
  ASSERT_TRUE(osd.set("ms_service_mode", "secret"));
  EXPECT_EQ(modes_for(osd).error(), make_error_code(Errc::invalid));
}

}  // namespace
}  // namespace spirula::msg
