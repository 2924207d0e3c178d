#include "base/codec.h"

#include <gtest/gtest.h>

namespace spirula {
namespace {

struct Old {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::vector<std::string> names;
  static void fields(auto& self, auto& wire) { wire(self.names, 3); }
};

struct New {
  static constexpr std::uint8_t version = 2, compat = 1;
  std::vector<std::string> names;
  std::uint32_t flags = 7;
  std::map<std::uint16_t, std::optional<std::int64_t>> more;
  static void fields(auto& self, auto& wire) {
    wire(self.names, 3);
    wire.since(2, self.flags);
    wire.since(2, self.more);
  }
};

TEST(Codec, newer_reads_older_and_older_skips_what_newer_appended) {
  Old old{{"a", "bc"}};
  auto read = decode<New>(encode(old));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->names, old.names);
  EXPECT_EQ(read->flags, 7u);

  New fresh{{"x"}, 9, {{1, -5}, {2, {}}}};
  std::pair<New, std::uint32_t> followed{fresh, 42};
  auto back = decode<std::pair<Old, std::uint32_t>>(encode(followed));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->first.names, fresh.names);
  EXPECT_EQ(back->second, 42u);
  EXPECT_EQ(decode<New>(encode(fresh))->more, fresh.more);
}

TEST(Codec, every_truncation_is_malformed) {
  Buffer whole = encode(New{{"one", "two"}, 1, {{3, 4}}});
  for (std::size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(decode<New>(whole.slice(0, n))) << n;
}

TEST(Codec, counts_are_checked_against_limit_and_bytes) {
  EXPECT_FALSE(decode<Old>(encode(New{{"1", "2", "3", "4"}, 0, {}})));
  EXPECT_FALSE(decode<std::vector<std::uint64_t>>(encode(std::uint32_t{0xffffffff})));
}

TEST(Codec, layout_is_little_endian_with_an_envelope) {
  EXPECT_EQ(to_hex(encode(Old{{"a"}})),
            "0101090000000100000001000000"
            "61");
}

}  // namespace
}  // namespace spirula
