#include "msg/osd_messages.h"

#include <fmt/format.h>

namespace spirula::msg {
namespace {

/// Hands the data of a message to its operations.
template <BufferList OsdOp::* payload>
bool split(std::vector<OsdOp>& ops, const BufferList& data) {
  std::size_t at = 0;
  for (OsdOp& op : ops) {
    if (op.payload_length > data.size() - at) return false;
    op.*payload = data.slice(at, op.payload_length);
    at += op.payload_length;
  }
  return at == data.size();
}

template <BufferList OsdOp::* payload>
BufferList join(std::vector<OsdOp>& ops) {
  BufferList data;
  for (OsdOp& op : ops) {
    op.payload_length = static_cast<std::uint32_t>((op.*payload).size());
    data.append(op.*payload);
  }
  return data;
}

void head(auto& self, auto& wire) {
  wire(self.pg);
  wire(self.hash);
  wire(self.epoch);
  wire(self.flags);
  wire(self.id);
  wire(self.trace);
  wire(self.client_incarnation);
  wire(self.mtime);
  wire(self.locator);
  wire(self.object, limits::object_name_bytes_max);
}

void tail(auto& self, auto& wire) {
  wire(self.snap);
  wire(self.snap_context);
  wire(self.retry_attempt);
  wire(self.client_features);
}

}  // namespace

void OsdRequest::encode(Encoder& encoder) const {
  head(*this, encoder);
  encoder(static_cast<std::uint16_t>(ops.size()));
  for (const OsdOp& op : ops) encoder(op);
  tail(*this, encoder);
}

void OsdRequest::decode(Decoder& decoder) {
  if (decoder.version() < 8) return decoder.fail();
  head(*this, decoder);
  auto count = decoder.read<std::uint16_t>();
  if (count > limits::ops_per_request_max || decoder.remaining() < count * osd_op_bytes) return decoder.fail();
  ops.resize(count);
  for (OsdOp& op : ops) decoder(op);
  tail(*this, decoder);
}

void OsdReply::encode(Encoder& encoder) const {
  encoder(object);
  encoder(pg);
  encoder(flags);
  encoder(result);
  encoder(bad_replay_version);
  encoder(epoch);
  encoder(ops);
  encoder(retry_attempt);
  for (const OsdOp& op : ops) encoder(op.result);
  encoder(version);
  encoder(user_version);
  encoder(redirect);
  encoder(trace);
}

void OsdReply::decode(Decoder& decoder) {
  if (decoder.version() < 7) return decoder.fail();
  decoder(object, limits::object_name_bytes_max);
  decoder(pg);
  decoder(flags);
  decoder(result);
  decoder(bad_replay_version);
  decoder(epoch);
  decoder(ops, limits::ops_per_request_max);
  decoder(retry_attempt);
  for (OsdOp& op : ops) decoder(op.result);
  decoder(version);
  decoder(user_version);
  decoder(redirect);
  decoder.since(8, trace);
}

RequestId OsdRequest::request_id(EntityName sender, std::uint64_t tid) const {
  if (id.client.type != EntityType::none || id.tid != 0) return id;
  return {sender, tid, static_cast<std::int32_t>(client_incarnation)};
}

HObject OsdRequest::object_id() const {
  HObject place;
  place.key = locator.key;
  place.name = object;
  place.snap = object.empty() ? SnapId{} : snap;
  place.hash = hash;
  place.name_space = locator.name_space;
  place.pool = pg.pg.pool;
  return place;
}

std::string OsdRequest::describe() const {
  std::string text = fmt::format("osd_op({} {} [", pg.pg.describe(), object);
  for (std::size_t i = 0; i < ops.size(); ++i) text += (i ? "," : "") + ops[i].describe();
  return text + fmt::format("] snapc {:x} flags {:#x} e{})", snap_context.sequence.value, flags, epoch.value);
}

Result<OsdRequest> read_osd_request(const Message& message) {
  TRY(OsdRequest request, read_message<OsdRequest>(message));
  if (!split<&OsdOp::input>(request.ops, request.data)) return Errc::malformed;
  return request;
}

Message make_osd_request(OsdRequest request, std::uint64_t tid) {
  request.data = join<&OsdOp::input>(request.ops);
  return make_message(request, tid);
}

Result<OsdReply> read_osd_reply(const Message& message) {
  TRY(OsdReply reply, read_message<OsdReply>(message));
  if (!split<&OsdOp::output>(reply.ops, reply.data)) return Errc::malformed;
  return reply;
}

Message make_osd_reply(OsdReply reply, std::uint64_t tid) {
  reply.data = join<&OsdOp::output>(reply.ops);
  return make_message(reply, tid);
}

}  // namespace spirula::msg
