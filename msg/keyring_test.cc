#include "msg/keyring.h"

#include <gtest/gtest.h>

namespace spirula::msg {
namespace {

constexpr std::string_view stock = R"([client.admin]
	key = AQCvCbtToC6MDhAATtuT70Sl+DymPCfDSsyV4w==
	caps mds = "allow *"
	caps mon = "allow command \"config get\""
)";

TEST(Keyring, prints_what_it_parsed) {
  auto keyring = Keyring::parse(stock);
  ASSERT_TRUE(keyring);
  EXPECT_EQ(keyring->print(), stock);
  const auto& entry = keyring->entries.begin()->second;
  EXPECT_EQ(entry.caps.at("mon"), "allow command \"config get\"");
  EXPECT_TRUE(keyring->find(*KeyName::parse("client.admin")));
  EXPECT_EQ(keyring->find(*KeyName::parse("client.b")).error(), make_error_code(Errc::not_found));
}

TEST(Keyring, odd_files) {
  auto keyring = Keyring::parse(
      "# a comment\n[osd.3]\nkey=AQCvCbtToC6MDhAATtuT70Sl+DymPCfDSsyV4w==\n caps_mon = allow r\nauid = 5");
  ASSERT_TRUE(keyring);
  EXPECT_EQ(keyring->entries.begin()->second.caps.at("mon"), "allow r");
  EXPECT_TRUE(Keyring::parse("")->entries.empty());
  EXPECT_FALSE(Keyring::parse("key = x"));
  EXPECT_FALSE(Keyring::parse("[nobody.3]\n"));
  EXPECT_FALSE(Keyring::parse("[osd.3]\nkey = garbage\n"));
  EXPECT_FALSE(Keyring::load("/nonexistent/keyring"));
}

}  // namespace
}  // namespace spirula::msg
