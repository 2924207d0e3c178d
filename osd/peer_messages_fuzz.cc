#include "osd/peer_messages.h"

#include "filestore/record.h"
#include "msg/fuzz_bodies.h"

/// Any bytes as what one OSD says to another: refused, or what was read encodes to bytes that read back the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace spirula;
  using namespace spirula::msg;
  using namespace spirula::osd;
  if (size < 2) return 0;
  Message message = message_from(bytes, size);
  check_body<PeerRequest>(message);
  check_body<PeerReply>(message);
  check_body<ReplicaWrite>(message);
  check_body<ReplicaAck>(message);
  check_body<PeerPing>(message);
  check_value<CopyInfo>(message.front);
  check_value<LogPayload>(message.front);
  check_value<Activation>(message.front);
  check_value<Activated>(message.front);
  check_value<PullOrder>(message.front);
  check_value<FamilyPayload>(message.front);
  check_value<ChunkPayload>(message.front);
  check_value<RangeOrder>(message.front);
  check_value<RangePayload>(message.front);
  check_value<FilledPayload>(message.front);
  (void)filestore::decode_record(message.front, message.data);
  return 0;
}
