#include "appliance/backup.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "appliance/limits.h"

namespace spirula::appliance {
namespace {

constexpr const char* key = "AQBAbcdfAAAAABAAVn2Kkd2Uu9s0C8yTqAmWqw==";

Backup read(const std::string& text, std::string& problem) {
  return parse_backup(boost::json::parse(text).as_object(), problem);
}

TEST(Backup, comes_back_as_it_was) {
  const Backup backup{.name = "snail", .made = 7, .shares = {{"photos", key}, {"music", key}}};
  std::string problem;
  EXPECT_EQ(parse_backup(to_json(backup), problem), backup);
  EXPECT_EQ(problem, "");
}

TEST(Backup, says_what_is_wrong) {
  auto with = [](const std::string& shares) {
    return R"({"spirula_settings":1,"name":"snail","made":7,"shares":[)" + shares + "]}";
  };
  const std::string good = R"({"name":"photos","key":")" + std::string(key) + "\"}";
  std::string problem;
  read(with(good), problem);
  EXPECT_EQ(problem, "");
  const std::pair<std::string, const char*> bad[] = {
      {"{}", "not a settings file"},
      {R"({"spirula_settings":"1","name":"snail","made":7,"shares":[]})", "not a settings file"},
      {R"({"spirula_settings":2,"name":"snail","made":7,"shares":[]})", "later version"},
      {R"({"spirula_settings":1,"name":"snail","made":7})", "not whole"},
      {R"({"spirula_settings":1,"name":"snail","made":"x","shares":[]})", "not whole"},
      {R"({"spirula_settings":1,"name":"a b","made":7,"shares":[]})", "small letters"},
      {R"({"spirula_settings":1,"name":"","made":7,"shares":[]})", "a name"},
      {with("3"), "not understood"},
      {with(good + "," + good), "twice"},
      {with(R"({"name":"admin","key":"x"})"), "used by the box itself"},
      {with(R"({"name":"../x","key":"x"})"), "small letters"},
      {with(R"({"name":"photos"})"), "key of the share photos"},
      {with(R"({"name":"photos","key":"AQ=="})"), "key of the share photos"},
      {with(R"({"name":"photos","key":")" + std::string(key) + "\\n[client.admin]\\nkey = " + key + "\"}"),
       "key of the share photos"},
  };
  for (const auto& [text, words] : bad) {
    read(text, problem);
    EXPECT_NE(problem.find(words), problem.npos) << text << ": " << problem;
  }
}

TEST(Backup, the_largest_fits_into_a_request) {
  Backup backup{.name = std::string(40, 'x'), .made = 1'800'000'000};
  for (std::size_t i = 0; i < limits::shares_max; ++i)
    backup.shares.push_back({std::string(37, 'x') + std::to_string(100 + i), key});
  EXPECT_LT(boost::json::serialize(to_json(backup)).size(), limits::body_bytes_max);
}

TEST(Backup, what_is_there_stays) {
  Document document;
  document.shares = {{.name = "photos", .made = 7}};
  const RestorePlan plan = plan_restore({.name = "snail", .shares = {{"photos", "a"}, {"music", "b"}}}, document);
  EXPECT_EQ(plan.there, std::vector<std::string>{"photos"});
  EXPECT_EQ(plan.missing, (std::vector<Backup::Share>{{"music", "b"}}));
}

}  // namespace
}  // namespace spirula::appliance
