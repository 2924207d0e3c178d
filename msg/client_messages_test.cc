#include <gtest/gtest.h>

#include "msg/message.h"
#include "msg/mon_messages.h"
#include "msg/osd_messages.h"
#include "msg/pool_stats.h"

namespace spirula::msg {
namespace {

template <class T>
T there_and_back(const T& body) {
  auto read = read_message<T>(make_message(body));
  EXPECT_TRUE(read);
  return read ? *read : T{};
}

TEST(ClientMessages, an_osd_request_keeps_its_payloads_apart) {
  OsdRequest request;
  request.pg = {{3, 5}};
  request.hash = 0x12345;
  request.object = "name";
  request.ops.emplace_back(OpCode::write);
  request.ops.back().extent() = {4096, 3, 0, 0};
  request.ops.back().input = Buffer::copy_of("abc");
  request.ops.emplace_back(OpCode::setxattr);
  request.ops.back().as<XattrOperand>() = {4, 2};
  request.ops.back().input = Buffer::copy_of("nameva");
  request.snap_context = {SnapId{4}, {SnapId{4}, SnapId{2}}};
  Message message = make_osd_request(request, 77);
  EXPECT_EQ(message.tid, 77u);
  auto read = read_osd_request(message);
  ASSERT_TRUE(read);
  ASSERT_EQ(read->ops.size(), 2u);
  EXPECT_EQ(read->ops[0].extent().offset, 4096u);
  EXPECT_EQ(read->ops[0].input.flatten().text(), "abc");
  EXPECT_EQ(read->ops[1].input.flatten().text(), "nameva");
  EXPECT_EQ(read->snap_context, request.snap_context);
  EXPECT_EQ(read->describe(), "osd_op(3.5 name [write 4096~3 in=3b,setxattr name in=6b] snapc 4 flags 0x0 e0)");

  message.data = Buffer::copy_of("abcnamev");
  EXPECT_FALSE(read_osd_request(message)) << "less data than the operations claim";
  message.data = Buffer::copy_of("abcnamevalue");
  EXPECT_FALSE(read_osd_request(message)) << "more data than the operations claim";
}

TEST(ClientMessages, an_operation_is_38_bytes) {
  for (OpCode code : {OpCode::read, OpCode::setxattr, OpCode::call, OpCode::pgnls, OpCode::rollback, OpCode::watch,
                      OpCode::notify, OpCode::assert_version, OpCode::set_alloc_hint, OpCode::copy_from2,
                      OpCode::write_same, OpCode::checksum, OpCode::omap_clear, OpCode{0xffff}})
    EXPECT_EQ(encode(OsdOp(code)).size(), osd_op_bytes) << describe(code);
}

TEST(ClientMessages, a_reply_and_its_results) {
  OsdReply reply;
  reply.ops.emplace_back(OpCode::read);
  reply.ops.back().output = Buffer::copy_of("hello");
  reply.ops.back().result = -2;
  auto read = read_osd_reply(make_osd_reply(reply, 1));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->ops[0].output.flatten().text(), "hello");
  EXPECT_EQ(read->ops[0].result, -2);
}

TEST(ClientMessages, hobjects_order_by_reversed_hash) {
  HObject low, high;
  low.pool = high.pool = 1;
  low.hash = 0x2;   // reversed 0x40000000
  high.hash = 0x1;  // reversed 0x80000000
  EXPECT_LT(HObject::min(), low);
  EXPECT_LT(low, high);
  EXPECT_LT(high, HObject::max());
  EXPECT_EQ(encode(HObject::min()).size(), 39u);
  EXPECT_EQ(*decode<HObject>(encode(high)), high);
}

TEST(ClientMessages, monitor_bodies) {
  MonSubscribe subscribe{{{"osdmap", {7, 0}}, {"monmap", {0, SubscribeItem::flag_onetime}}}, "host"};
  EXPECT_EQ(there_and_back(subscribe).what, subscribe.what);
  PoolOp op;
  op.kind = PoolOpKind::create_snap;
  op.name = "snap";
  EXPECT_EQ(there_and_back(op).name, "snap");
  EXPECT_EQ(encode(StatfsReply{}).size(), 56u);
  FsMapMessage map{Epoch{4}, Buffer::copy_of("bytes")};
  EXPECT_EQ(there_and_back(map).map.text(), "bytes");
  GetPoolStatsReply stats;
  stats.pools["p"].stats.sum.repaired = 9;
  EXPECT_EQ(there_and_back(stats).pools, stats.pools);
}

}  // namespace
}  // namespace spirula::msg
