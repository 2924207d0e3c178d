#include "maps/osd_map.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/random.h"

namespace spirula::maps {
namespace {

Buffer golden(const std::string& name) {
  std::ifstream file("tests/golden/maps/" + name, std::ios::binary);
  EXPECT_TRUE(file) << name << ": run the tests from the top of the tree";
  std::string bytes((std::istreambuf_iterator<char>(file)), {});
  return Buffer::copy_of(bytes);
}

class History : public testing::TestWithParam<std::pair<const char*, unsigned>> {
 protected:
  Buffer full(unsigned epoch) {
    return golden(std::string(GetParam().first) + ".osdmap.full." + std::to_string(epoch));
  }
  Buffer incremental(unsigned epoch) {
    return golden(std::string(GetParam().first) + ".osdmap.incremental." + std::to_string(epoch));
  }
};

TEST_P(History, full_maps_keep_their_bytes) {
  for (unsigned epoch = 1; epoch <= GetParam().second; ++epoch) {
    auto map = OsdMap::decode_map(full(epoch));
    ASSERT_TRUE(map) << epoch;
    EXPECT_EQ(map->epoch.value, epoch);
    EXPECT_EQ(to_hex(map->encode_map()), to_hex(full(epoch))) << epoch;
  }
}

TEST_P(History, incrementals_keep_their_bytes) {
  for (unsigned epoch = 1; epoch <= GetParam().second; ++epoch) {
    auto change = OsdMapIncremental::decode_map(incremental(epoch));
    ASSERT_TRUE(change) << epoch;
    EXPECT_EQ(change->epoch.value, epoch);
    EXPECT_EQ(to_hex(change->encode_map()), to_hex(incremental(epoch))) << epoch;
  }
}

TEST_P(History, applying_an_incremental_gives_the_stock_monitor_s_next_map) {
  for (unsigned epoch = 1; epoch < GetParam().second; ++epoch) {
    OsdMap map = *OsdMap::decode_map(full(epoch));
    OsdMapIncremental change = *OsdMapIncremental::decode_map(incremental(epoch + 1));
    ASSERT_TRUE(map.apply(change)) << epoch;
    EXPECT_EQ(to_hex(map.encode_map()), to_hex(full(epoch + 1))) << epoch;
    EXPECT_EQ(*checksum_of_encoded_map(full(epoch + 1)), change.full_crc) << epoch;
  }
}

TEST_P(History, damage_is_malformed) {
  SeededRandom random(7);
  for (int i = 0; i < 300; ++i) {
    Buffer bytes = Buffer::copy_of(full(1 + random.below(GetParam().second)).view());
    bytes.mutable_data()[random.below(bytes.size())] ^= std::byte(1 + random.below(255));
    EXPECT_FALSE(OsdMap::decode_map(bytes));
    EXPECT_FALSE(OsdMap::decode_map(bytes.slice(0, random.below(bytes.size()))));
  }
}

INSTANTIATE_TEST_SUITE_P(Stock, History,
                         testing::Values(std::pair{"upmap", 23u}, std::pair{"lifecycle", 24u}, std::pair{"ranges", 7u}),
                         [](const auto& info) { return std::string(info.param.first); });

TEST(OsdMap, a_network_shuts_out_who_is_in_it) {
  OsdMap map;
  auto address = [](const char* text, std::uint32_t nonce) {
    return msg::Address::msgr2(*Endpoint::parse(text), nonce);
  };
  auto ban = [&](const char* network, std::uint32_t bits) {
    auto listed = address(network, bits);
    listed.type = network_address;
    map.blocklist_ranges[listed] = {100, 0};
  };
  auto listed = [&](const char* text, std::uint32_t now = 99) {
    return map.is_blocklisted(address(text, 7), {now, 0});
  };
  ban("10.2.129.0", 17);
  ban("[2001:db8::]:0", 33);
  EXPECT_TRUE(listed("10.2.255.255:3300"));
  EXPECT_TRUE(listed("10.2.128.0"));
  EXPECT_FALSE(listed("10.2.127.255"));
  EXPECT_FALSE(listed("10.3.128.0"));
  EXPECT_FALSE(listed("10.2.255.255", 100)) << "lapsed";
  EXPECT_TRUE(listed("[2001:db8:7fff::1]:1"));
  EXPECT_FALSE(listed("[2001:db8:8000::1]:1"));
  ban("10.7.7.7", 32);
  EXPECT_TRUE(listed("10.7.7.7"));
  EXPECT_FALSE(listed("10.7.7.6"));
  ban("10.9.9.9", 33);  // no such prefix: from a damaged map
  EXPECT_FALSE(listed("10.9.9.9"));
  ban("0.0.0.0", 0);
  EXPECT_TRUE(listed("10.9.9.9"));
  EXPECT_FALSE(listed("[2001:db8:8000::1]:1")) << "of the other protocol";
}

TEST(Address, of_no_protocol_has_no_port) {
  auto known = msg::Address::msgr2(*Endpoint::parse("10.0.0.1:3300"), 5);
  Buffer bytes = Buffer::copy_of(encode(known).view());
  constexpr std::size_t family_at = 1 + 6 + 4 + 4 + 4;  // marker, envelope, type, nonce, length
  bytes.mutable_data()[family_at] = std::byte{0};
  auto blank = decode<msg::Address>(bytes);
  ASSERT_TRUE(blank);
  EXPECT_EQ(*decode<msg::Address>(encode(*blank)), *blank);

  // The old form, of before the marker: type, nonce, sockaddr_storage.
  Buffer old = Buffer::copy_of(std::string(4 + 4 + 128, '\0'));
  constexpr std::size_t port_at = 4 + 4 + 2;
  old.mutable_data()[port_at] = std::byte{1};
  blank = decode<msg::Address>(old);
  ASSERT_TRUE(blank);
  EXPECT_EQ(*decode<msg::Address>(encode(*blank)), *blank);
}

TEST(OsdMap, an_incremental_must_follow) {
  OsdMap map;
  OsdMapIncremental change;
  change.epoch = Epoch(2);
  EXPECT_FALSE(map.apply(change));
  change.epoch = Epoch(1);
  change.new_weight[3] = weight_in;
  EXPECT_FALSE(map.apply(change)) << "no such OSD";
  change.new_max_osd = 4;
  EXPECT_TRUE(map.apply(change));
}

}  // namespace
}  // namespace spirula::maps
