#pragma once
#include <deque>
#include <memory>
#include <vector>

#include "base/coroutine.h"
#include "msg/messenger.h"

/// For unit tests of whatever sits on a messenger: connections that go nowhere. The test sees what was sent and says
/// what happens.
namespace spirula::msg {

class FakeConnection : public Connection {
 public:
  FakeConnection(Shard& shard, EntityType type, AddressVector peer)
      : shard_(shard), name_{type, -1}, peer_(std::move(peer)) {}

  Shard& shard() const override { return shard_; }
  void send(Message message) override {
    if (!closed_) sent.push_back(std::move(message));
  }
  void close() override { closed_ = true; }
  bool closed() const override { return closed_; }
  EntityName peer_name() const override { return name_; }
  AddressVector peer_address() const override { return peer_; }
  std::uint64_t peer_features() const override { return features::all; }
  const Identity& identity() const override { return who; }
  AuthSession* auth_session() const override { return nullptr; }
  bool is_lossy() const override { return true; }
  bool is_secure() const override { return false; }

  /// The oldest message sent and not taken yet; type 0 if there is none.
  Message take() {
    if (sent.empty()) return {};
    Message first = std::move(sent.front());
    sent.pop_front();
    return first;
  }
  /// The same, skipping messages of other types.
  Message take(std::uint16_t type) {
    while (!sent.empty() && sent.front().type != type) sent.pop_front();
    return take();
  }

  std::deque<Message> sent;
  Identity who;

 private:
  Shard& shard_;
  EntityName name_;
  AddressVector peer_;
  bool closed_ = false;
};
using FakeConnectionRef = std::shared_ptr<FakeConnection>;

class FakeMessenger : public Messenger {
 public:
  explicit FakeMessenger(Dispatcher& dispatcher) : dispatcher_(dispatcher) {}

  Result<> bind(Endpoint) override { return Errc::unsupported; }
  AddressVector address() const override { return {}; }
  void set_address(AddressVector) override {}
  void set_name(EntityName name) override { name_ = name; }
  ConnectionRef connect(Shard& home, EntityType type, const AddressVector& peer) override {
    made.push_back(std::make_shared<FakeConnection>(home, type, peer));
    return made.back();
  }
  Task<> stop() override { co_return; }

  FakeConnectionRef last() const { return made.back(); }
  void stand(const FakeConnectionRef& connection, std::uint64_t global_id = 4100) {
    connection->who.global_id = global_id;
    dispatcher_.on_connect(connection);
  }
  template <class Body>
  void deliver(const FakeConnectionRef& connection, const Body& body, std::uint64_t tid = 0) {
    dispatcher_.on_message(connection, make_message(body, tid));
  }
  void deliver_message(const FakeConnectionRef& connection, Message message) {
    dispatcher_.on_message(connection, std::move(message));
  }
  void reset(const FakeConnectionRef& connection) {
    connection->close();
    dispatcher_.on_reset(connection);
  }
  void fail(const FakeConnectionRef& connection, std::error_code why) {
    dispatcher_.on_connect_failed(connection, why);
  }

  std::vector<FakeConnectionRef> made;

 private:
  Dispatcher& dispatcher_;
  EntityName name_;
};

}  // namespace spirula::msg
