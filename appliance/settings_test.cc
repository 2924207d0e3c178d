#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include <filesystem>

#include "appliance/files.h"
#include "appliance/limits.h"
#include "appliance/network_keeper.h"
#include "appliance/setup_file.h"
#include "appliance/tls.h"
#include "base/coroutine.h"
#include "base/wait.h"

namespace spirula::appliance {
namespace {

class Settings : public testing::Test {
 protected:
  Settings() { std::filesystem::create_directories(folder_); }
  ~Settings() override { std::filesystem::remove_all(folder_); }
  DocumentStore documents() {
    std::string problem;
    auto store = DocumentStore::open(folder_, problem);
    EXPECT_TRUE(store) << problem;
    return std::move(*store);
  }
  std::string folder_ = testing::TempDir() + "settings_test." + std::to_string(::getpid());
};

NetworkSettings read(const char* text, std::string& problem) {
  problem.clear();
  return parse_network(boost::json::parse(text).as_object(), problem);
}

TEST(NetworkSettings, are_checked) {
  std::string problem;
  auto fixed = read(R"({"automatic":false,"address":"10.0.0.5/24","gateway":"10.0.0.1","name_server":""})", problem);
  EXPECT_EQ(problem, "");
  EXPECT_EQ(networkd_text(fixed),
            "[Match]\nType=ether\n\n[Network]\nMulticastDNS=no\nDHCP=no\nAddress=10.0.0.5/24\nGateway=10.0.0.1\n");
  EXPECT_EQ(read(R"({"automatic":true,"address":3})", problem), NetworkSettings{});
  for (auto bad : {R"({})", R"({"automatic":1})", R"({"automatic":false})",
                   R"({"automatic":false,"address":"10.0.0.5","gateway":"","name_server":""})",
                   R"({"automatic":false,"address":"10.0.0.5/32","gateway":"","name_server":""})",
                   R"({"automatic":false,"address":"10.0.0.5/24x","gateway":"","name_server":""})",
                   "{\"automatic\":false,\"address\":\"10.0.0.5\\n[Route]/24\",\"gateway\":\"\",\"name_server\":\"\"}",
                   R"({"automatic":false,"address":"10.0.0.5/24","gateway":"router","name_server":""})",
                   R"({"automatic":false,"address":"10.0.0.5/24","gateway":"","name_server":"10.0.0.1 x"})"}) {
    read(bad, problem);
    EXPECT_NE(problem, "") << bad;
  }
}

TEST_F(Settings, an_address_is_tried_and_kept_or_taken_back) {
  auto store = documents();
  const std::string file = folder_ + "/net/05-spirula.network";
  const NetworkSettings fixed{.automatic = false, .address = "10.0.0.5/24"};
  run_main([&](Shard& shard) -> Task<int> {
    BlockingPool workers("worker", 1);
    NetworkKeeper network(shard, store, workers, folder_ + "/net");
    co_await network.start();
    EXPECT_EQ(read_file(file), networkd_text({}));
    EXPECT_EQ((co_await network.keep()).error(), Errc::not_found);
    EXPECT_TRUE(co_await network.try_out(fixed));
    EXPECT_EQ(read_file(file), networkd_text(fixed));
    EXPECT_GT(network.trial()->seconds_left, limits::trial_seconds.count() - 5);
    co_await network.stop();
    // The daemon starts anew, as it does when the address changes: the trial goes on.
    NetworkKeeper again(shard, store, workers, folder_ + "/net");
    co_await again.start();
    EXPECT_EQ(again.trial()->settings, fixed);
    EXPECT_EQ(read_file(file), networkd_text(fixed));
    co_await again.stop();
    // Its minute is over while nobody looks.
    EXPECT_TRUE(write_file(folder_ + "/net/spirula-trial.json",
                           R"({"automatic":false,"address":"10.0.0.5/24","gateway":"","name_server":"","until":1})",
                           0600));
    NetworkKeeper late(shard, store, workers, folder_ + "/net");
    co_await late.start();
    EXPECT_FALSE(late.trial());
    EXPECT_EQ(read_file(file), networkd_text({}));
    EXPECT_TRUE(co_await late.try_out(fixed));
    EXPECT_TRUE(co_await late.keep());
    EXPECT_EQ(store.current().network, fixed);
    co_await late.stop();
    NetworkKeeper foreign(shard, store, workers, "");
    EXPECT_EQ((co_await foreign.try_out(fixed)).error(), Errc::unsupported);
    co_return 0;
  });
}

TEST_F(Settings, own_certificates) {
  auto made = make_identity({"box.local"}, {"127.0.0.1"});
  auto other = make_identity({"box.local"}, {});
  ASSERT_TRUE(made && other);
  EXPECT_EQ(load_own_identity(folder_).error(), from_errno(ENOENT));
  EXPECT_FALSE(identity_from(made->certificate_pem, other->key_pem));
  EXPECT_FALSE(identity_from("", ""));
  ASSERT_TRUE(save_own_identity(folder_, *other));
  auto loaded = load_own_identity(folder_);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->fingerprint, other->fingerprint);
  EXPECT_TRUE(forget_own_identity(folder_));
  EXPECT_TRUE(forget_own_identity(folder_));
  EXPECT_FALSE(load_own_identity(folder_));
}

TEST_F(Settings, a_file_for_the_first_start) {
  const std::string path = folder_ + "/settings.json";
  auto apply = [&](const char* text) {
    EXPECT_TRUE(write_file(path, text, 0600));
    auto store = documents();
    return apply_setup_file(path, folder_, store);
  };
  {
    auto store = documents();
    EXPECT_EQ(apply_setup_file(path, folder_, store), "");
  }
  for (auto bad : {"", "[]", "{", R"({"claim_code":"short"})", R"({"claim_code":"ABCD2345\nmore"})",
                   R"({"claim_code":1})", R"({"name":"x"})", R"({"network":{"automatic":false}})"})
    EXPECT_NE(apply(bad), "") << bad;
  EXPECT_FALSE(read_file(folder_ + "/claim-code"));
  EXPECT_EQ(apply(R"({"claim_code":"SHELL-2026",
      "network":{"automatic":false,"address":"10.0.0.5/24","gateway":"","name_server":""}})"),
            "");
  EXPECT_EQ(read_file(folder_ + "/claim-code"), "SHELL-2026\n");
  EXPECT_EQ(documents().current().network.address, "10.0.0.5/24");
  EXPECT_EQ(apply(R"({"claim_code":"OTHER-2026"})"), "") << "not looked at later";
  EXPECT_EQ(read_file(folder_ + "/claim-code"), "SHELL-2026\n");
}

}  // namespace
}  // namespace spirula::appliance
