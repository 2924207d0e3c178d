#include <algorithm>

#include "mds/request.h"
#include "mds/test_client.h"

/// What clients must not say, or do not say in time: a defined answer, the server up, nothing lost, nobody else delayed
/// for ever.
namespace spirula::mds {
namespace {

using namespace std::chrono_literals;

ClientCaps caps_of(const InodeStat& stat) {
  ClientCaps body;
  body.op = ClientCaps::Op::update;
  body.ino = stat.ino;
  body.cap_id = stat.cap.cap_id;
  body.sequence = body.issue_sequence = stat.cap.sequence;
  body.caps = stat.cap.caps;
  body.wanted = stat.cap.caps;
  return body;
}

TEST(ServerBadInput, cap_messages_for_what_a_client_does_not_hold) {
  serve([](Fresh& fresh) -> Task<> {
    auto& [shard, store, server] = fresh;
    Client owner(shard, server, 1), stranger(shard, server, 2);
    co_await owner.open();
    co_await stranger.open();
    ParsedReply made = co_await owner.call(Client::create("f"));
    EXPECT_TRUE(made.target);
    if (!made.target) co_return;
    std::uint64_t tid = 0;
    for (const bool known : {true, false}) {
      for (const std::uint64_t cap_id : {made.target->cap.cap_id, std::uint64_t{0}, ~std::uint64_t{0}}) {
        ClientCaps flush = caps_of(*made.target);
        if (!known) flush.ino = 0x123456789;
        flush.cap_id = cap_id;
        flush.dirty = ~0u;
        flush.size = 1 << 20;
        flush.mode = 0777;
        flush.uid = 99;
        stranger.tell(flush, ++tid);
        msg::ClientCapRelease release;
        release.items.push_back({flush.ino, cap_id, 0, made.target->cap.sequence});
        server.on_message(stranger.connection, msg::make_message(release));
      }
    }
    std::vector<ClientCaps> told = stranger.caps();
    EXPECT_EQ(told.size(), tid) << "each flush is acknowledged, or the client would wait for it";
    for (const ClientCaps& each : told) EXPECT_EQ(each.op, ClientCaps::Op::flush_ack);
    const Inode* inode = server.tree().find(Ino{made.target->ino});
    EXPECT_TRUE(inode);
    if (!inode) co_return;
    EXPECT_EQ(inode->record.size, 0u);
    EXPECT_EQ(inode->record.uid, 0u);
    EXPECT_EQ(inode->record.mode & 07777, 0644u);
    EXPECT_TRUE(inode->caps.find(ClientId{1})) << "its owner has its caps still";
    EXPECT_FALSE(inode->caps.find(ClientId{2}));
    inode->caps.verify();
  });
}

TEST(ServerBadInput, a_flush_that_comes_twice_or_with_an_old_sequence) {
  serve([](Fresh& fresh) -> Task<> {
    auto& [shard, store, server] = fresh;
    Client client(shard, server, 1);
    co_await client.open();
    ParsedReply made = co_await client.call(Client::create("f"));
    if (!made.target) co_return;
    const Inode* inode = server.tree().find(Ino{made.target->ino});
    ClientCaps flush = caps_of(*made.target);
    flush.dirty = cap::file_write;
    flush.size = 100;
    client.tell(flush, 5);
    flush.size = 5000;
    client.tell(flush, 5);
    EXPECT_EQ(inode->record.size, 100u) << "the same flush is done once";
    for (const std::uint32_t sequence : {0u, 1u << 30, ~0u}) {
      flush.sequence = flush.issue_sequence = sequence;
      flush.caps = ~0u;
      flush.size = 200;
      client.tell(flush, 6);
      inode->caps.verify();
    }
    EXPECT_EQ(inode->record.size, 200u);
    const Cap* cap = inode->caps.find(ClientId{1});
    EXPECT_TRUE(cap);
    if (cap) EXPECT_EQ(cap->issued & ~(cap->pending | made.target->cap.caps), 0u) << "nobody grants himself a cap";
    EXPECT_TRUE(co_await server.flush_journal());
    std::vector<ClientCaps> told = client.caps();
    EXPECT_EQ(std::ranges::count(told, ClientCaps::Op::flush_ack, &ClientCaps::op), 5);
  });
}

TEST(ServerBadInput, requests_with_impossible_flags_and_arguments) {
  serve([](Fresh& fresh) -> Task<> {
    auto& [shard, store, server] = fresh;
    Client client(shard, server, 1);
    co_await client.open();
    (void)co_await client.call(Client::request(MdsOp::mkdir, "d"));
    EXPECT_TRUE(co_await server.flush_journal());
    auto result = [&](ClientRequest request) -> Task<int> {
      ParsedReply reply = co_await client.call(std::move(request));
      co_return reply.head.result;
    };
    for (const std::uint32_t op : {0u, 0x999u, 0x1999u, ~0u}) {
      const int answered = co_await result(Client::request(static_cast<MdsOp>(op), "d"));
      EXPECT_EQ(answered, -95) << op;
    }
    ClientRequest flags = Client::request(MdsOp::mkdir, "d");
    flags.flags = ~0u;
    flags.ino = 1;
    int answered = co_await result(flags);
    EXPECT_EQ(answered, -17) << "a replay when nothing is replayed is a request";
    ClientRequest nowhere = Client::request(MdsOp::getattr, "");
    nowhere.path = {0x7fffffffffff, ""};
    answered = co_await result(nowhere);
    EXPECT_EQ(answered, -116);
    for (const MdsOp op :
         {MdsOp::lookup,        MdsOp::getattr,        MdsOp::open,          MdsOp::readdir,       MdsOp::create,
          MdsOp::mkdir,         MdsOp::mknod,          MdsOp::symlink,       MdsOp::link,          MdsOp::unlink,
          MdsOp::rmdir,         MdsOp::rename,         MdsOp::setattr,       MdsOp::set_xattr,     MdsOp::remove_xattr,
          MdsOp::set_layout,    MdsOp::set_dir_layout, MdsOp::set_file_lock, MdsOp::get_file_lock, MdsOp::lookup_ino,
          MdsOp::lookup_parent, MdsOp::lookup_name,    MdsOp::list_snaps,    MdsOp::make_snap}) {
      for (const char* path : {"", "d", "none/x", "d/..", "/", "//d//"}) {
        ClientRequest request = Client::request(op, path, path);
        request.args.fill(0xff);
        const std::uint64_t tid = client.send(request);
        ParsedReply reply = co_await client.reply(tid);
        EXPECT_NE(reply.head.op, MdsOp{}) << describe(op) << " " << path << ": no answer";
        for (ClientCaps& caps : client.caps()) {  // this client is obedient at least
          if (caps.op != ClientCaps::Op::revoke) continue;
          caps.op = ClientCaps::Op::update;
          client.tell(caps);
        }
        server.tree().verify();
        EXPECT_FALSE(server.failed());
      }
    }
    ParsedReply well = co_await client.call(Client::request(MdsOp::mkdir, "well"));
    EXPECT_EQ(well.head.result, 0);
  });
}

TEST(ServerBadInput, who_never_answers_a_revocation_is_evicted_and_others_go_on) {
  run_simulated([](sim::Host& host) -> Task<> {
    MemoryStore store;
    Server server(host, store, test_options());
    bool blocklisted = false;
    server.set_blocklist([&](msg::AddressVector) -> Task<Result<msg::Epoch>> {
      blocklisted = true;
      co_return msg::Epoch{5};
    });
    co_await boot(server, true);
    Client silent(host, server, 1), other(host, server, 2);
    co_await silent.open();
    co_await other.open();
    const std::uint64_t made = silent.send(Client::create("f"));
    co_await silent.safe(made);
    const std::uint64_t stat = other.send(Client::getattr("f"));
    const std::uint64_t elsewhere = other.send(Client::request(MdsOp::mkdir, "elsewhere"));
    ParsedReply at_once = co_await other.reply(elsewhere);
    EXPECT_EQ(at_once.head.result, 0) << "what needs nothing of the silent one does not wait";
    const MonotonicTime asked = host.clock().now();
    for (int i = 0; i < 40 && other.connection->received.empty(); ++i) {
      EXPECT_TRUE(co_await host.clock().sleep(5s));
      ClientSession renew;  // it lives, and does not answer
      renew.op = ClientSession::Op::request_renew_caps;
      server.on_message(silent.connection, msg::make_message(renew));
      server.on_message(other.connection, msg::make_message(renew));
      (void)other.take(ClientSession::message_type);
      (void)other.caps();
      std::erase_if(other.connection->received, [&](const msg::Message& m) { return m.tid == elsewhere; });
    }
    const Duration waited = host.clock().now() - asked;
    EXPECT_GE(waited, test_options().revoke_timeout);
    EXPECT_LE(waited, test_options().revoke_timeout + 15s);
    ParsedReply answered = co_await other.reply(stat);
    EXPECT_TRUE(answered.target);
    EXPECT_EQ(answered.head.result, 0);
    EXPECT_TRUE(blocklisted) << "before its caps went to others";
    EXPECT_EQ(server.figures().sessions, 1u);
    co_await server.stop();
  });
}

}  // namespace
}  // namespace spirula::mds
