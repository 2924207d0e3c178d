#include "base/coroutine.h"
#include "base/log.h"
#include "mds/memory_store.h"
#include "mds/server.h"

/// Whatever a client with a session sends: the server answers, refuses or ignores it, and its tree stays sound.
/// Input: a byte of message type, a byte of version, then front (and for reconnects data).
namespace spirula::mds {
namespace {

class DeafConnection : public msg::Connection {
 public:
  explicit DeafConnection(Shard& shard) : shard_(shard) { identity_.caps = "allow rwp"; }
  Shard& shard() const override { return shard_; }
  void send(msg::Message) override {}
  void close() override {}
  bool closed() const override { return false; }
  msg::EntityName peer_name() const override { return {msg::EntityType::client, 7}; }
  msg::AddressVector peer_address() const override { return {}; }
  std::uint64_t peer_features() const override { return msg::features::all; }
  const msg::Identity& identity() const override { return identity_; }
  msg::AuthSession* auth_session() const override { return nullptr; }
  bool is_lossy() const override { return false; }
  bool is_secure() const override { return false; }

 private:
  Shard& shard_;
  msg::Identity identity_;
};

Task<int> feed(Shard& shard, Buffer input) {
  MemoryStore store;
  ServerOptions options;
  options.journal_interval = {};
  options.data_pools = {3};
  Server server(shard, store, options);
  (void)co_await server.format();
  co_await server.activate();
  auto connection = std::make_shared<DeafConnection>(shard);
  msg::ClientSession open;
  open.features.bits = 0xffff;
  server.on_message(connection, msg::make_message(open));
  (void)co_await server.flush_journal();
  constexpr std::uint16_t types[] = {22, 23, 24, 0x310, 0x311, 0x313, 29};
  std::size_t at = 0;
  for (std::uint64_t tid = 1; at + 4 <= input.size() && tid < 64; ++tid) {
    auto byte = [&](std::size_t i) { return std::to_integer<std::uint8_t>(input.data()[at + i]); };
    msg::Message message;
    message.type = types[byte(0) % std::size(types)];
    message.version = byte(1) % 12;
    message.tid = tid;
    std::size_t size = std::min<std::size_t>(byte(2) | byte(3) << 8, input.size() - at - 4);
    message.front = input.slice(at + 4, size);
    if (message.type == msg::ClientReconnect::message_type) message.data = BufferList(message.front);
    if (message.type == msg::ClientCaps::message_type) message.middle = message.front;
    at += 4 + size;
    server.on_message(connection, std::move(message));
    for (int i = 0; i < 4; ++i) (void)co_await shard.clock().sleep(Duration{});
  }
  (void)co_await server.flush_journal();
  server.tree().verify();
  co_await server.stop();
  connection->context.reset();  // as a connection does that closes
  co_return 0;
}

}  // namespace
}  // namespace spirula::mds

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace spirula;
  log_set_level("", LogLevel::error);
  Buffer input = Buffer::copy_of(std::as_bytes(std::span(data, size)));
  run_main([input](Shard& shard) { return mds::feed(shard, input); });
  return 0;
}
