#include <cstring>

#include "base/coroutine.h"
#include "base/log.h"
#include "base/shard.h"
#include "msg/cephx_client.h"
#include "msg/fuzz_frames.h"
#include "msg/handshake.h"
#include "msg/handshake_frames.h"
#include "msg/test_cluster.h"

/// A peer that sends these bytes, whatever it is told. The first byte chooses our side and the method; after a
/// handshake that succeeds (auth none can) the next frames are read as idents.
namespace {

using namespace spirula;
using namespace spirula::msg;

class Recording : public Stream {
 public:
  explicit Recording(ByteView bytes) : bytes_(bytes) {}
  Task<Result<std::size_t>> read_some(std::span<std::byte> into) override {
    if (bytes_.empty()) co_return Errc::closed;
    std::size_t count = std::min(into.size(), bytes_.size());
    std::memcpy(into.data(), bytes_.data(), count);
    bytes_ = bytes_.subspan(count);
    co_return count;
  }
  Task<Result<>> write(std::span<const ByteView>) override { co_return Result<>{}; }
  void close() override {}
  std::unique_ptr<Stream> move_to(Shard&) override { return std::make_unique<Recording>(bytes_); }
  Endpoint local() const override { return {}; }
  Endpoint remote() const override { return {}; }

 private:
  ByteView bytes_;
};

Task<int> play(Shard& shard, unsigned choice, ByteView bytes) {
  SeededRandom random(1);
  test::Keys keys;
  CephxMonitorService monitor(keys, random);
  CephxTicketService tickets(EntityType::osd, random, [&] { return keys.now(); });
  tickets.set_secrets(keys.secrets(EntityType::osd));
  NoneService none([] { return std::uint64_t{1}; });
  Transport transport(shard, std::make_unique<Recording>(bytes));
  if (choice & 4) {
    CephxClient login(*KeyName::parse("client.a"), keys.add("client.a", {{"mon", "allow *"}}), 4, EntityType::none,
                      random, shard.clock());
    NoneClient claim(*KeyName::parse("client.a"));
    AuthClient& client = (choice & 1) ? static_cast<AuthClient&>(login) : claim;
    auto attempt = client.attempt(EntityType::mon);
    auto done = co_await authenticate_connecting(transport, EntityType::client, EntityType::mon, **attempt);
    if (!done) co_return 0;
  } else {
    AuthService* services[] = {&none, &monitor, &tickets, &none};
    auto done = co_await authenticate_accepting(transport, EntityType::osd, *services[choice & 3]);
    if (!done) co_return 0;
  }
  while (true) {
    Result<> read = co_await transport.read_control();
    if (!read) co_return 0;
    (void)transport.take<wire::ClientIdent>();
    (void)transport.take<wire::ServerIdent>();
    (void)transport.take<wire::Reconnect>();
    (void)transport.take<wire::SessionReset>();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  log_set_level("", LogLevel::error);
  ByteView bytes = std::as_bytes(std::span(data + 1, size - 1));
  unsigned choice = data[0];
  std::vector<std::byte> played;
  if (choice & 8) {
    static constexpr std::string_view banner("ceph v2\n\x10\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 26);
    played = frames_from(bytes);
    ByteView first = as_bytes(banner);
    played.insert(played.begin(), first.begin(), first.end());
    bytes = played;
  }
  return run_main([=](Shard& shard) { return play(shard, choice, bytes); });
}
