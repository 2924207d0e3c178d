#include "mon/command_types.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "mon/command.h"

namespace spirula::mon {
namespace {

std::string read(const char* words, const char* json) {
  auto values = read_values(Parameter(words), boost::json::parse(json));
  if (!values) return "refused";
  std::string all;
  for (const auto& value : *values) all += (all.empty() ? "" : "|") + value;
  return all;
}

/// For each type that a signature can name: what is let through, and what is not.
TEST(CommandTypes, every_type_refuses_what_it_is_not) {
  struct Case {
    const char* words;
    std::vector<std::pair<const char*, const char*>> good;  ///< JSON, as text
    std::vector<const char*> bad;
  };
  const std::vector<Case> cases = {
      {"name=a,type=CephString",
       {{R"("x y")", "x y"}, {R"("")", ""}},
       {"1", "1.5", "true", "[]", R"(["x"])", "{}", R"({"x":1})"}},
      {"name=a,type=CephString,goodchars=[A-Za-z0-9-_.]",
       {{R"("aZ0-_.")", "aZ0-_."}},
       {R"("a b")", R"("a=b")", R"("a/b")", R"("\u0000")", R"("\u00e9")"}},
      {"name=a,type=CephString,goodchars=[range]", {{R"("range")", "range"}}, {R"("banana")", R"("x")"}},
      {"name=a,type=CephInt,range=0|65536",
       {{"0", "0"}, {"65536", "65536"}, {R"("7")", "7"}},
       {"-1", "65537", "1.5", "1e300", "99999999999999999999", R"("x")", R"("")", R"("1.5")", "true", "[1]", "{}"}},
      {"name=a,type=CephInt", {{"-5", "-5"}}, {"18446744073709551615", R"("9223372036854775808")", R"("nan")"}},
      {"name=a,type=CephFloat,range=0.0|1.0",
       {{"0", "0"}, {"0.5", "0.5"}, {R"("1e-3")", "1e-3"}},
       {"-0.1", "1.1", R"("nan")", R"("inf")", R"("1,5")", "true", "[0.5]", "{}"}},
      {"name=a,type=CephBool",
       {{"true", "true"}, {"false", "false"}, {R"("--yes-i-really-mean-it")", "--yes-i-really-mean-it"}},
       {"1", "0.5", R"("yes")", R"("")", "[true]", "{}"}},
      {"name=a,type=CephChoices,strings=add|rm", {{R"("add")", "add"}}, {R"("ad")", R"("")", "1", R"(["add"])", "{}"}},
      {"name=a,type=CephUUID",
       {{R"("6a66898e-1c9b-4dba-b988-6438b71cb330")", "6a66898e-1c9b-4dba-b988-6438b71cb330"}},
       {R"("6a66898e")", R"("")", "1", "[]", "{}"}},
      {"name=a,type=CephPgid", {{R"("1.1f")", "1.1f"}}, {R"("1")", R"("1.zz")", R"("x.1")", "1.1", "[]", "{}"}},
      {"name=a,type=CephOsdName", {{R"("osd.3")", "osd.3"}, {"3", "3"}}, {"1.5", "true", "[3]", "{}"}},
      {"name=a,type=CephPoolname", {{R"("rbd")", "rbd"}}, {R"("")", "1", "[1]", R"(["rbd"])", "{}"}},
      {"name=a,type=CephObjectname", {{R"("o")", "o"}}, {R"("")", "1", "[]", "{}"}},
      {"name=a,type=CephEntityAddr", {{R"("10.0.0.1:0/3")", "10.0.0.1:0/3"}}, {R"("")", "1", "[]", "{}"}},
      {"name=a,type=CephString,n=N",
       {{R"(["x","y"])", "x|y"}, {R"("x")", "x"}, {"[]", ""}},
       {"[1]", R"(["x",null])", R"([["x"]])", R"([{}])", "{}"}},
  };
  for (const auto& each : cases) {
    for (const auto& [json, text] : each.good) EXPECT_EQ(read(each.words, json), text) << each.words << " " << json;
    for (const auto* json : each.bad) EXPECT_EQ(read(each.words, json), "refused") << each.words << " " << json;
  }
}

TEST(CommandTypes, every_type_that_a_signature_names_is_tested_above) {
  const std::vector<std::string> known = {"CephString",   "CephInt",        "CephFloat",     "CephBool",
                                          "CephChoices",  "CephUUID",       "CephPgid",      "CephOsdName",
                                          "CephPoolname", "CephObjectname", "CephEntityAddr"};
  auto parsed = boost::json::parse(all_commands().descriptions());
  for (const auto& member : parsed.as_object())
    for (const auto& part : member.value().as_object().at("sig").as_array())
      if (part.is_object()) {
        std::string type(part.as_object().at("type").as_string());
        EXPECT_NE(std::ranges::find(known, type), known.end()) << type;
      }
}

TEST(CommandTypes, nothing_reaches_a_command_that_its_signature_does_not_allow) {
  ParsedCommand command;
  CommandTable::Problem problem;
  for (auto json : {R"({"prefix":"osd pool create","pool":[1]})", R"({"prefix":"osd pool create","pool":{"a":1}})",
                    R"({"prefix":"osd pool create","pool":"p","pg_num":"many"})", R"({"prefix":["osd","tree"]})"}) {
    EXPECT_FALSE(all_commands().parse(json, command, problem)) << json;
    EXPECT_EQ(problem.result, -EINVAL) << json;
    EXPECT_FALSE(problem.text.empty()) << json;
  }
}

}  // namespace
}  // namespace spirula::mon
