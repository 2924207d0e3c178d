#include "appliance/second_factor.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "appliance/limits.h"
#include "base/check.h"

namespace spirula::appliance {
namespace {

TEST(Totp, is_what_rfc_6238_says) {
  const char* secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";  // "12345678901234567890"
  const std::pair<std::uint64_t, const char*> rows[] = {{59, "287082"},         {1111111109, "081804"},
                                                        {1111111111, "050471"}, {1234567890, "005924"},
                                                        {2000000000, "279037"}, {20000000000, "353130"}};
  for (auto [seconds, code] : rows) EXPECT_EQ(totp_at(secret, seconds / 30), code) << seconds;
  EXPECT_FALSE(totp_at("no base32!", 1));
  EXPECT_FALSE(totp_at("", 1));
  EXPECT_NE(make_totp_secret(), make_totp_secret());
  EXPECT_TRUE(totp_at(make_totp_secret(), 1));
}

class SecondFactorTest : public testing::Test {
 protected:
  SecondFactorTest() {
    std::filesystem::create_directories(folder_);
    std::string problem;
    store_ = std::make_unique<DocumentStore>(std::move(*DocumentStore::open(folder_, problem)));
    Document document;
    document.accounts = {{.name = owner_name, .role = Role::administrator, .password_hash = "h"},
                         {.name = "anna", .password_hash = "h"}};
    CHECK(store_->save(document), "a folder of our own");
    factor_ = std::make_unique<SecondFactor>(*store_);
  }
  ~SecondFactorTest() override { std::filesystem::remove_all(folder_); }
  static std::string code(const std::string& secret, std::int64_t now) {
    return *totp_at(secret, static_cast<std::uint64_t>(now / 30));
  }
  std::string folder_ = testing::TempDir() + "second_factor_test." + std::to_string(::getpid());
  std::unique_ptr<DocumentStore> store_;
  std::unique_ptr<SecondFactor> factor_;
};

TEST_F(SecondFactorTest, is_on_once_the_authenticator_works) {
  constexpr std::int64_t now = 1'800'000'000;
  EXPECT_EQ(factor_->finish(owner_name, "me", "123456", now).error(), Errc::not_found);
  const std::string secret = factor_->begin("me");
  EXPECT_FALSE(factor_->is_on(owner_name));
  EXPECT_EQ(factor_->finish(owner_name, "somebody", code(secret, now), now).error(), Errc::not_found);
  EXPECT_EQ(factor_->finish(owner_name, "me", code(secret, now + 300), now).error(), Errc::access);
  auto codes = factor_->finish(owner_name, "me", code(secret, now), now);
  ASSERT_TRUE(codes);
  EXPECT_EQ(codes->size(), limits::recovery_codes);
  EXPECT_TRUE(factor_->is_on(owner_name));

  EXPECT_FALSE(*factor_->takes(owner_name, code(secret, now), now)) << "used to turn it on";
  EXPECT_TRUE(*factor_->takes(owner_name, code(secret, now + 30), now + 45));
  EXPECT_FALSE(*factor_->takes(owner_name, code(secret, now + 30), now + 46)) << "used already";
  EXPECT_FALSE(*factor_->takes(owner_name, code(secret, now), now + 46)) << "an earlier one";
  EXPECT_TRUE(*factor_->takes(owner_name, code(secret, now + 90), now + 60)) << "a clock that is a little ahead";
  EXPECT_FALSE(*factor_->takes(owner_name, code(secret, now + 600), now + 120));
  EXPECT_FALSE(*factor_->takes(owner_name, "", now + 120));

  EXPECT_TRUE(*factor_->takes(owner_name, " " + codes->front() + " ", now));
  EXPECT_FALSE(*factor_->takes(owner_name, codes->front(), now)) << "each once";
  EXPECT_EQ(factor_->recovery_codes_left(owner_name), limits::recovery_codes - 1);
  ASSERT_TRUE(factor_->turn_off(owner_name));
  EXPECT_FALSE(factor_->is_on(owner_name));
  EXPECT_FALSE(*factor_->takes(owner_name, codes->back(), now));
}

TEST_F(SecondFactorTest, is_each_accounts_own) {
  constexpr std::int64_t now = 1'800'000'000;
  const std::string owners = factor_->begin("one"), hers = factor_->begin("two");
  ASSERT_TRUE(factor_->finish("anna", "two", code(hers, now), now));
  EXPECT_FALSE(factor_->is_on(owner_name));
  auto codes = factor_->finish(owner_name, "one", code(owners, now), now);
  ASSERT_TRUE(codes) << "somebody else's does not disturb";
  EXPECT_FALSE(*factor_->takes("anna", codes->front(), now));
  EXPECT_FALSE(*factor_->takes("anna", code(owners, now + 30), now + 30));
  EXPECT_TRUE(*factor_->takes("anna", code(hers, now + 30), now + 30));
  EXPECT_TRUE(*factor_->takes(owner_name, code(owners, now + 30), now + 30));
  EXPECT_FALSE(*factor_->takes("nobody", code(owners, now + 60), now + 60));
  EXPECT_EQ(factor_->finish("nobody", factor_->begin("x"), "1", now).error(), Errc::not_found);
}

}  // namespace
}  // namespace spirula::appliance
