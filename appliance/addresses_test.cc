#include "appliance/addresses.h"

#include <gtest/gtest.h>

#include "base/net.h"

namespace spirula::appliance {
namespace {

TEST(Addresses, are_those_others_can_use) {
  auto address = primary_address();
  if (!address) return;  // a machine without a network has none, and says so
  auto endpoint = Endpoint::parse(*address);
  ASSERT_TRUE(endpoint) << *address;
  EXPECT_NE(*address, "0.0.0.0");
  EXPECT_NE(*address, "127.0.0.1");
}

}  // namespace
}  // namespace spirula::appliance
