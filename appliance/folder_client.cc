#include "appliance/folder_client.h"

#include "base/coroutine.h"
#include "maps/daemon_link.h"

namespace spirula::appliance {

using msg::ClientReply;
using msg::ClientRequest;
using msg::ClientSession;

namespace {

constexpr Duration patience = std::chrono::seconds(20);
constexpr std::uint64_t bit(unsigned feature) {
  return std::uint64_t{1} << feature;
}

}  // namespace

Task<Result<>> FolderClient::open(msg::Messenger& messenger, msg::AddressVector address) {
  opened_.known.reset();
  connection_ = messenger.connect(shard_, msg::EntityType::mds, address);
  co_return co_await wait_for(opened_, patience);
}

Task<Result<>> FolderClient::wait_for(Outcome& outcome, Duration time) {
  CO_TRY(co_await outcome.known.wait_until(shard_.clock(), shard_.clock().now() + time));
  if (outcome.error) co_return outcome.error;
  co_return Result<>{};
}

Task<Result<>> FolderClient::ask(ClientRequest request) {
  if (!connection_) co_return Errc::closed;
  answered_.known.reset();
  ++tid_;
  request.oldest_tid = tid_;
  request.stamp = msg::Time::from(shard_.clock().wall());
  connection_->send(msg::make_message(request, tid_));
  co_return co_await wait_for(answered_, patience);
}

Task<> FolderClient::close() {
  if (!connection_) co_return;
  closed_.known.reset();
  ClientSession body;
  body.op = ClientSession::Op::request_close;
  connection_->send(msg::make_message(body));
  (void)co_await wait_for(closed_, std::chrono::seconds(2));
  if (connection_) connection_->close();
  connection_.reset();
}

void FolderClient::on_connect(msg::ConnectionRef connection) {
  ClientSession body;
  body.op = ClientSession::Op::request_open;
  body.features.bits = 0xff | bit(msg::fs_features::mimic) | bit(msg::fs_features::reply_encoding);
  body.metadata = {{"hostname", maps::hostname()}, {"entity_id", "applianced"}, {"root", "/"}};
  connection->send(msg::make_message(body));
}

void FolderClient::on_message(msg::ConnectionRef, msg::Message message) {
  if (message.type == ClientSession::message_type) {
    auto body = msg::read_message<ClientSession>(message);
    if (!body) return;
    if (body->op == ClientSession::Op::open) opened_.set();
    if (body->op == ClientSession::Op::reject) opened_.set(make_error_code(Errc::access));
    if (body->op == ClientSession::Op::close) closed_.set();
  }
  if (message.type == ClientReply::message_type && message.tid == tid_) {
    auto reply = msg::read_message<ClientReply>(message);
    if (!reply) return;
    if (reply->result < 0)
      answered_.set(from_wire(reply->result));
    else if (reply->safe)
      answered_.set();
  }
}

void FolderClient::on_reset(msg::ConnectionRef) {
  for (auto* outcome : {&opened_, &closed_, &answered_}) outcome->set(make_error_code(Errc::closed));
  connection_.reset();
}

ClientRequest make_folder_request(const std::string& name, std::uint32_t mode) {
  ClientRequest request;
  request.op = msg::MdsOp::mkdir;
  request.path = {msg::root_ino.value, name};
  request.set(ClientRequest::Mknod{.mode = mode});
  return request;
}

ClientRequest set_attribute_request(const std::string& path, const std::string& name, const std::string& value) {
  ClientRequest request;
  request.op = msg::MdsOp::set_xattr;
  request.path = {msg::root_ino.value, path};
  request.path2 = {0, name};
  request.set(ClientRequest::Setxattr{});
  request.data.append(Buffer::copy_of(value));
  return request;
}

}  // namespace spirula::appliance
