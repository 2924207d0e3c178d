#include "msg/fuzz_bodies.h"
#include "msg/mds_messages.h"

/// Any bytes as what file system clients say to an MDS and it to them. (What the server makes of them is
/// mds/mds_messages_fuzz.cc.)
namespace {

using namespace spirula;
using namespace spirula::msg;

template <class T>
void check_both_layouts(const Buffer& bytes) {
  for (std::uint64_t features : {reply_envelopes, features::all}) {
    Decoder decoder(bytes, features);
    T value{};
    decoder(value);
    if (!decoder.finish()) continue;
    Encoder encoder(features);
    encoder(value);
    Buffer once = encoder.take();
    Decoder again(once, features);
    T back{};
    again(back);
    CHECK(again.finish().has_value());
    Encoder twice(features);
    twice(back);
    CHECK(twice.take() == once);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 2) return 0;
  Message message = message_from(bytes, size);
  check_body<ClientSession>(message);
  check_body<ClientRequest>(message);
  check_body<ClientReply>(message);
  check_body<ClientCaps>(message);
  check_body<ClientCapRelease>(message);
  check_body<ClientLease>(message);
  check_body<ClientSnap>(message);
  check_body<ClientQuota>(message);
  check_body<ClientRequestForward>(message);
  check_body<ClientMetrics>(message);
  check_value<SnapRealm>(message.front);
  check_both_layouts<InodeStat>(message.front);
  check_both_layouts<DirStat>(message.front);
  check_both_layouts<LeaseStat>(message.front);
  if (auto reconnect = read_reconnect(message)) {
    Message again = make_reconnect(*reconnect);
    auto back = read_reconnect(again);
    CHECK(back.has_value());
    CHECK(make_reconnect(*back).data == again.data);
  }
  return 0;
}
