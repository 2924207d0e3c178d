#include "msg/messenger.h"

#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <future>
#include <thread>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/crc32c.h"
#include "msg/cephx_client.h"
#include "msg/frame.h"
#include "msg/test_cluster.h"

/// The messenger beside plain sockets that do the least possible: two threads, blocking calls, and for the bandwidth
/// the same crc or AES-128-GCM at both ends. Goals: 0.8 of the round trips, 0.85 of the bytes.
namespace spirula::msg {
namespace asio = boost::asio;
namespace {

constexpr std::size_t ping_bytes = 128;
constexpr std::size_t block_bytes = 4 << 20;
constexpr int pings = 2000, blocks = 64;
constexpr int depth = 4;  ///< blocks under way

/// Each end of a connection has a processor to itself, as on two machines; where the scheduler puts them otherwise
/// changes a round trip by half.
void run_on_processor(unsigned number) {
  unsigned count = std::thread::hardware_concurrency();
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(number % std::max(count, 1u), &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

/// For the thread that runs the benchmarks, which other threads come from.
class OnProcessor {
 public:
  explicit OnProcessor(unsigned number) {
    pthread_getaffinity_np(pthread_self(), sizeof before_, &before_);
    run_on_processor(number);
  }
  ~OnProcessor() { pthread_setaffinity_np(pthread_self(), sizeof before_, &before_); }

 private:
  cpu_set_t before_;
};

// --- plain sockets

/// Two ends of one TCP connection over loopback.
std::array<int, 2> socket_pair() {
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  auto* address = reinterpret_cast<sockaddr*>(&at);
  CHECK(bind(listener, address, size) == 0 && listen(listener, 1) == 0 && getsockname(listener, address, &size) == 0);
  int client = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(connect(client, address, size) == 0);
  int server = accept(listener, nullptr, nullptr);
  close(listener);
  int on = 1;
  for (int s : {client, server}) setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return {client, server};
}

bool read_all(int s, std::byte* to, std::size_t size) {
  while (size > 0) {
    ssize_t got = read(s, to, size);
    if (got <= 0) return false;
    to += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

void write_all(int s, const std::byte* from, std::size_t size) {
  while (size > 0) {
    ssize_t put = write(s, from, size);
    CHECK(put > 0);
    from += put;
    size -= static_cast<std::size_t>(put);
  }
}

void plain_round_trips(benchmark::State& state) {
  auto [client, server] = socket_pair();
  OnProcessor here(0);
  std::thread other([s = server] {
    run_on_processor(1);
    std::byte bytes[ping_bytes];
    while (read_all(s, bytes, sizeof bytes)) write_all(s, bytes, sizeof bytes);
  });
  std::byte bytes[ping_bytes]{};
  for (auto _ : state)
    for (int i = 0; i < pings; ++i) {
      write_all(client, bytes, sizeof bytes);
      read_all(client, bytes, sizeof bytes);
    }
  state.SetItemsProcessed(state.iterations() * pings);
  close(client);
  other.join();
  close(server);
}

FrameSecret some_secret() {
  FrameSecret secret;
  secret.key.fill(std::byte{7});
  return secret;
}

void plain_blocks(benchmark::State& state, bool secure) {
  auto [client, server] = socket_pair();
  OnProcessor here(0);
  std::thread other([s = server, secure] {
    run_on_processor(1);
    Buffer buffer = Buffer::allocate(block_bytes, 4096);
    std::byte* bytes = buffer.mutable_data();
    FrameCipher cipher(some_secret(), false);
    constexpr std::size_t run = 256 << 10;
    std::uint32_t crc = 0;
    while (true) {
      if (secure) cipher.start();
      for (std::size_t at = 0; at < block_bytes; at += run) {
        if (!read_all(s, bytes + at, run)) return;
        if (secure)
          cipher.update(bytes + at, bytes + at, run);
        else
          crc = crc32c(crc, ByteView(bytes + at, run));
      }
      std::byte tag[16];
      if (!read_all(s, tag, sizeof tag)) return;
      if (secure) CHECK(cipher.finish_decrypting(tag));
      benchmark::DoNotOptimize(crc);
      write_all(s, tag, sizeof tag);
    }
  });
  Buffer buffer = Buffer::zeros(block_bytes), sealed = Buffer::allocate(256 << 10);
  std::byte* scratch = sealed.mutable_data();
  FrameCipher cipher(some_secret(), true);
  for (auto _ : state) {
    int answered = 0;
    auto answer = [&] {
      std::byte tag[16];
      read_all(client, tag, sizeof tag);
      ++answered;
    };
    for (int i = 0; i < blocks; ++i) {
      std::byte tag[16]{};
      if (secure) {
        cipher.start();
        for (std::size_t at = 0; at < block_bytes; at += sealed.size()) {
          cipher.update(buffer.data() + at, scratch, sealed.size());
          write_all(client, scratch, sealed.size());
        }
        cipher.finish_encrypting(tag);
      } else {
        benchmark::DoNotOptimize(crc32c(0, buffer.view()));
        write_all(client, buffer.data(), block_bytes);
      }
      write_all(client, tag, sizeof tag);
      if (i >= depth) answer();
    }
    while (answered < blocks) answer();
  }
  state.SetBytesProcessed(state.iterations() * blocks * static_cast<std::int64_t>(block_bytes));
  close(client);
  other.join();
  close(server);
}

// --- the messenger

struct Answering : Dispatcher {
  void on_message(ConnectionRef c, Message m) override {
    Message reply;
    reply.type = m.type;
    if (m.data.empty()) reply.front = m.front;
    c->send(std::move(reply));
  }
};

/// Keeps `window` messages under way until `total` are answered.
struct Asking : Dispatcher {
  ConnectionRef connection;
  Message question;
  int unsent = 0, unanswered = 0;
  std::promise<void> done;
  void ask() {
    --unsent;
    connection->send(question);
  }
  void on_message(ConnectionRef, Message) override {
    if (unsent > 0) ask();
    if (--unanswered == 0) done.set_value();
  }
};

class Rig {
 public:
  explicit Rig(ConnectionMode mode)
      : monitor_(keys_, system_random()),
        login_(*KeyName::parse("client.a"), keys_.add("client.a", {{"mon", "allow *"}}), 4, EntityType::none,
               system_random(), client_thread_.shard().clock()),
        service_(monitor_, mode) {
    on(server_thread_, [this](Shard& shard) {
      run_on_processor(1);
      MessengerOptions options;
      options.name = {EntityType::mon, 0};
      options.policy_for = [](EntityType) { return Policy{}; };
      options.auth_service = &service_;
      server_ = Messenger::create(shard, options, answering_);
      CHECK(server_->bind(*Endpoint::parse("127.0.0.1")));
    });
    on(client_thread_, [this](Shard& shard) {
      run_on_processor(0);
      MessengerOptions options;
      options.name = {EntityType::client, -1};
      options.policy_for = [](EntityType) { return Policy{}; };
      options.auth_client = &login_;
      client_ = Messenger::create(shard, options, asking_);
      asking_.connection = client_->connect(shard, EntityType::mon, server_->address());
    });
  }
  ~Rig() {
    asking_.connection.reset();
    for (auto [thread, messenger] : {std::pair(&client_thread_, &client_), std::pair(&server_thread_, &server_)}) {
      std::promise<void> stopped;
      auto finished = [&](std::exception_ptr) { stopped.set_value(); };
      asio::co_spawn(thread->shard().context(), (*messenger)->stop(), finished);
      stopped.get_future().wait();
    }
  }
  void run(int total, int window, std::size_t front, std::size_t data) {
    asking_.done = {};
    asking_.question = {};
    asking_.question.front = Buffer::zeros(front);
    if (data) asking_.question.data.append(Buffer::zeros(data));
    auto future = asking_.done.get_future();
    client_thread_.shard().post([&] {
      asking_.unsent = asking_.unanswered = total;
      for (int i = 0; i < std::min(window, total); ++i) asking_.ask();
    });
    future.wait();
  }

 private:
  /// A monitor that allows one mode only.
  struct OneMode : AuthService {
    AuthService& service;
    ConnectionMode mode;
    OneMode(AuthService& s, ConnectionMode m) : service(s), mode(m) {}
    std::vector<AuthMethod> methods() const override { return service.methods(); }
    std::vector<ConnectionMode> modes(EntityType) const override { return {mode}; }
    Result<std::unique_ptr<AuthAcceptance>> accept(AuthMethod method, EntityType peer, ConnectionMode m) override {
      return service.accept(method, peer, m);
    }
  };
  template <class F>
  static void on(ShardThread& thread, F&& action) {
    std::promise<void> done;
    thread.shard().post([&] {
      action(thread.shard());
      done.set_value();
    });
    done.get_future().wait();
  }

  ShardThread server_thread_{"server"}, client_thread_{"client"};
  test::Keys keys_;
  CephxMonitorService monitor_;
  CephxClient login_;
  OneMode service_;
  Answering answering_;
  Asking asking_;
  std::unique_ptr<Messenger> server_, client_;
};

void messenger_round_trips(benchmark::State& state, ConnectionMode mode) {
  Rig rig(mode);
  rig.run(1, 1, 1, 0);
  for (auto _ : state) rig.run(pings, 1, ping_bytes, 0);
  state.SetItemsProcessed(state.iterations() * pings);
}

void messenger_pipelined(benchmark::State& state, ConnectionMode mode) {
  Rig rig(mode);
  rig.run(1, 1, 1, 0);
  for (auto _ : state) rig.run(pings * 10, 64, ping_bytes, 0);
  state.SetItemsProcessed(state.iterations() * pings * 10);
}

void messenger_blocks(benchmark::State& state, ConnectionMode mode) {
  Rig rig(mode);
  rig.run(1, 1, 1, 0);
  for (auto _ : state) rig.run(blocks, depth, ping_bytes, block_bytes);
  state.SetBytesProcessed(state.iterations() * blocks * static_cast<std::int64_t>(block_bytes));
}

BENCHMARK(plain_round_trips)->UseRealTime()->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(messenger_round_trips, crc, ConnectionMode::crc)->UseRealTime()->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(messenger_round_trips, secure, ConnectionMode::secure)->UseRealTime()->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(messenger_pipelined, crc, ConnectionMode::crc)->UseRealTime()->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(plain_blocks, crc, false)->UseRealTime()->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(messenger_blocks, crc, ConnectionMode::crc)->UseRealTime()->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(plain_blocks, secure, true)->UseRealTime()->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(messenger_blocks, secure, ConnectionMode::secure)->UseRealTime()->MeasureProcessCPUTime();

}  // namespace
}  // namespace spirula::msg
