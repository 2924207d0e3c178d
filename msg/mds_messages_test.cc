#include "msg/mds_messages.h"

#include <gtest/gtest.h>

namespace spirula::msg {
namespace {

// Sizes of the packed structs in Linux include/linux/ceph/ceph_fs.h.
constexpr std::size_t reply_inode_size = 221, caps_size = 176;

InodeStat example() {
  InodeStat stat;
  stat.ino = 0x10000000000;
  stat.mode = 0100644;
  stat.size = 5;
  stat.symlink = "";
  stat.layout = {4 << 20, 1, 4 << 20, 3, ""};
  stat.cap = {1, 2, 3, 4, 0, 1, ReplyCap::flag_auth};
  stat.change_attribute = 9;
  stat.rsnaps = 2;
  stat.xattrs = Buffer::copy_of("abcd");
  return stat;
}

TEST(MdsMessages, inode_stat_in_envelopes_and_in_the_legacy_layout) {
  InodeStat stat = example();
  Buffer enveloped = encode(stat, reply_envelopes);
  // envelope, fixed part, symlink, dir layout, xattrs, inline data, quota, namespace, btime, change, pin, snap, rsnaps
  EXPECT_EQ(enveloped.size(), 6 + reply_inode_size + 4 + 8 + 8 + 12 + 22 + 4 + 8 + 8 + 4 + 8 + 8);
  auto back = decode<InodeStat>(enveloped, reply_envelopes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->rsnaps, 2u);
  EXPECT_EQ(encode(*back, reply_envelopes), enveloped);

  Buffer legacy = encode(stat, features::all);
  EXPECT_EQ(legacy.size(), reply_inode_size + 4 + 8 + 8 + 12 + 22 + 4 + 8 + 8);
  auto legacy_back = decode<InodeStat>(legacy, features::all);
  ASSERT_TRUE(legacy_back);
  EXPECT_EQ(legacy_back->change_attribute, 9u);
  EXPECT_EQ(legacy_back->rsnaps, 0u);
  Buffer oldest = encode(stat, 0);
  EXPECT_EQ(oldest.size(), reply_inode_size + 4 + 8 + 8);
}

TEST(MdsMessages, caps_have_the_kernels_layout) {
  ClientCaps caps;
  caps.ino = 7;
  caps.middle = Buffer::copy_of("xyz");
  Message message = make_message(caps);
  EXPECT_EQ(message.front.size(), caps_size + 4 + 8 + 4 + 4 + 8 + 4 + 4 + 4 + 8 + 8 + 4 + 8 + 8);
  auto back = read_message<ClientCaps>(message);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->middle.text(), "xyz");
  caps.op = ClientCaps::Op::import;
  Message import = make_message(caps);
  EXPECT_EQ(import.front.size(), message.front.size() + 21);
  EXPECT_TRUE(read_message<ClientCaps>(import));
}

TEST(MdsMessages, request_round_trip_with_arguments_and_releases) {
  ClientRequest request;
  request.op = MdsOp::create;
  request.path = {1, "a"};
  ClientRequest::Open open;
  open.flags = ClientRequest::Open::create;
  open.mode = 0644;
  request.set(open);
  request.releases.push_back({1, 2, 3, 4, 5, 6, 7, 8, "a"});
  request.gids = {10, 20};
  Message message = make_message(request, 77);
  auto back = read_message<ClientRequest>(message);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->open().mode, 0644u);
  EXPECT_EQ(back->open().pool, -1);
  EXPECT_EQ(back->path, request.path);
  ASSERT_EQ(back->releases.size(), 1u);
  EXPECT_EQ(back->releases[0].name, "a");
  EXPECT_EQ(back->gids, request.gids);

  // What kernel 6.1 sends ends after the groups, as version 4.
  Message old = message;
  old.version = 4;
  old.front = message.front.slice(0, message.front.size() - 4);
  EXPECT_TRUE(read_message<ClientRequest>(old));
  for (std::size_t n = 0; n < old.front.size(); ++n) {
    Message cut = old;
    cut.front = old.front.slice(0, n);
    EXPECT_FALSE(read_message<ClientRequest>(cut)) << n;
  }
}

TEST(MdsMessages, session_versions) {
  ClientSession session;
  session.op = ClientSession::Op::open;
  session.features.bits = 0x7fff;
  session.metric_spec.bits = 1;
  Message message = make_message(session);
  EXPECT_EQ(message.front.size(), 66u) << "as stock logs it: client_session(open) v5 (66)";
  auto back = read_message<ClientSession>(message);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->features.bits, 0x7fffu);

  message.version = 0;  // the kernel leaves the header version of a bare head at zero
  message.front = message.front.slice(0, 28);
  ASSERT_TRUE(read_message<ClientSession>(message));
}

TEST(MdsMessages, reconnect_of_every_version) {
  ClientReconnect reconnect;
  CapReconnect cap;
  cap.ino = 5;
  cap.path = "f";
  cap.path_base = 1;
  cap.flock_locks.push_back({0, 0, 4, 5, 6, FileLockRecord::exclusive});
  reconnect.caps.push_back(cap);
  reconnect.realms.push_back({1, 1, 0});
  reconnect.more = true;
  Message message = make_reconnect(reconnect);
  auto back = read_reconnect(message);
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->more);
  ASSERT_EQ(back->caps.size(), 1u);
  EXPECT_EQ(back->caps[0].flock_locks, cap.flock_locks);

  // Version 3 has bare realms up to its end.
  Encoder encoder;
  encoder.raw(message.data.flatten().slice(0, message.data.size() - (4 + 6 + 24 + 1)));
  for (std::uint64_t number : {1, 1, 0}) encoder(number);
  message.version = 3;
  message.data = BufferList(encoder.take());
  back = read_reconnect(message);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->realms.size(), 1u);
  message.version = 2;
  EXPECT_FALSE(read_reconnect(message));
}

}  // namespace
}  // namespace spirula::msg
