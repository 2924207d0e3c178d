#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "mds/test_client.h"
#include "tests/simulation/file_world.h"

namespace spirula::simulation {

using namespace std::chrono_literals;
using mds::Client;
using msg::ClientCaps;
using msg::ClientReply;
using msg::ClientRequest;
using msg::ClientSession;
using msg::MdsOp;
namespace cap = mds::cap;

namespace {
constexpr int no_entry = 2, exists = 17, not_empty = 39;
constexpr std::uint32_t directory = 0040000, file = 0100000;

std::string parent_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

/// How many of the names lead to it is how many links it has.
void count_links(Names& names) {
  std::map<std::uint64_t, std::uint32_t> links;
  for (const auto& [path, state] : names)
    if (!state.is_dir()) ++links[state.ino];
  for (auto& [path, state] : names)
    if (!state.is_dir() && state.ino) state.links = links[state.ino];
}
}  // namespace

/// A connection whose messages take their time, in both directions, and are gone with it.
class FileClient::Link : public mds::FakeConnection {
 public:
  Link(FileClient& client, FileWorld& world)
      : FakeConnection(world.host, client.id()), client_(client), world_(world), group_(world.host) {}

  void start() {
    group_.spawn(pump(to_client_, to_client_wanted_, true));
    group_.spawn(pump(to_server_, to_server_wanted_, false));
  }
  void send(msg::Message message) override {
    to_client_.push_back(std::move(message));
    to_client_wanted_.set();
  }
  void tell(msg::Message message) {
    to_server_.push_back(std::move(message));
    to_server_wanted_.set();
  }
  void close() override { break_off(); }
  bool closed() const override { return broken_; }
  void break_off() {
    broken_ = true;
    group_.cancel();
  }
  Task<> stop() {
    break_off();
    co_await group_.join();
  }

 private:
  Task<> pump(std::deque<msg::Message>& queue, Event& wanted, bool to_client) {
    while (!broken_) {
      if (queue.empty()) {
        wanted.reset();
        if (!co_await wanted.wait()) co_return;
        continue;
      }
      if (!co_await world_.host.clock().sleep(std::chrono::microseconds(20 + world_.dice(1500)))) co_return;
      if (broken_) co_return;
      msg::Message message = std::move(queue.front());
      queue.pop_front();
      if (to_client)
        client_.handle(std::move(message));
      else if (world_.server)
        world_.server->on_message(std::static_pointer_cast<msg::Connection>(shared_from_this()), std::move(message));
    }
  }

  FileClient& client_;
  FileWorld& world_;
  TaskGroup group_;
  std::deque<msg::Message> to_client_, to_server_;
  Event to_client_wanted_, to_server_wanted_;
  bool broken_ = false;
};

FileClient::FileClient(FileWorld& world, unsigned number, std::int64_t id) : world_(world), number_(number), id_(id) {
  history_.emplace_back();
}

FileClient::~FileClient() = default;

// --- the server comes and goes -------------------------------------------------------------------------------------

void FileClient::server_came() {
  if (dead_) return;
  link_ = std::make_shared<Link>(*this, world_);
  links_.push_back(link_);
  link_->start();
  if (!session_) return;
  back_ = true;
  for (auto& [tid, request] : unsafe_) send_request(request, true);
  // What it gave back with a flush goes before it says what it has (Linux: ceph_early_kick_flushing_caps).
  for (auto& [tid, flush] : flushes_) {
    auto held = caps_.find(flush.ino);
    flush.sent_again = true;
    flush.sent = held == caps_.end() || !(held->second.issued & cap::file_write);
    if (flush.sent) send_flush(tid, flush);
  }
  msg::ClientReconnect reconnect;
  for (const auto& [ino, held] : caps_) {
    msg::CapReconnect item;
    item.ino = ino;
    item.cap_id = held.id;
    item.wanted = held.wanted;
    item.issued = held.issued;
    reconnect.caps.push_back(std::move(item));
  }
  for (auto& [ino, held] : caps_) held.sequence = held.issue_sequence = 1;
  link_->tell(msg::make_reconnect(reconnect));
}

void FileClient::server_is_active() {
  if (dead_) return;
  active_ = true;
  if (!session_) {
    ClientSession open;
    open.features.bits = 0xffff;
    link_->tell(msg::make_message(open));
    return;
  }
  for (auto& [tid, flush] : flushes_)
    if (!std::exchange(flush.sent, true)) send_flush(tid, flush);
  if (pending_) send_request(*pending_, false);
}

void FileClient::server_went() {
  active_ = false;
  if (link_) link_->break_off();
  for (auto& [tid, request] : unsafe_) request.sent_again = true;
}

void FileClient::die() {
  dead_ = true;
  if (link_) link_->break_off();
  replied_.set();
}

bool FileClient::may_die() const {
  if (dead_ || done || !session_) return false;
  // What is sent again after a restart comes in another order than it was done.
  auto again = [](const auto& entry) { return entry.second.sent_again; };
  return std::ranges::none_of(unsafe_, again) && std::ranges::none_of(flushes_, again);
}

Task<> FileClient::leave() {
  if (!dead_ && session_) {
    ClientSession close;
    close.op = ClientSession::Op::request_close;
    leaving_ = true;
    link_->tell(msg::make_message(close));
    for (int i = 0; i < 1000 && session_; ++i) co_await world_.pass(1ms);
    EXPECT_FALSE(session_) << "client " << id_ << " is not let go";
  }
  dead_ = true;
  for (auto& link : links_) co_await link->stop();
}

std::size_t FileClient::confirmed() const {
  std::size_t upto = history_.size() - 1;
  if (pending_ && pending_->index) upto = std::min(upto, pending_->index - 1);
  for (const auto& [tid, request] : unsafe_) upto = std::min(upto, request.index - 1);
  for (const auto& [tid, flush] : flushes_) upto = std::min(upto, flush.index - 1);
  return upto;
}

std::string FileClient::describe() const {
  return fmt::format("client {} of {}: {} states, {} confirmed, {} seen, {} unsafe, {} flushes, pending {}", id_,
                     number_, history_.size(), confirmed(), seen, unsafe_.size(), flushes_.size(),
                     pending_ ? pending_->body.describe() : "nothing");
}

// --- messages ------------------------------------------------------------------------------------------------------

void FileClient::handle(msg::Message message) {
  if (dead_) return;
  if (message.type == ClientReply::message_type) return handle_reply(message);
  if (message.type == ClientCaps::message_type) {
    const auto body = *msg::read_message<ClientCaps>(message);
    if (body.op != ClientCaps::Op::flush_ack) return handle_caps(body);
    flushes_.erase(message.tid);
    return;
  }
  if (message.type != ClientSession::message_type) return;
  const auto body = *msg::read_message<ClientSession>(message);
  if (body.op == ClientSession::Op::open) {
    if (back_) return;  // brought back; the rest follows when the server is active
    session_ = true;
    if (pending_) send_request(*pending_, false);
  } else if (body.op == ClientSession::Op::close) {
    EXPECT_TRUE(unsafe_.empty() && flushes_.empty()) << describe();
    session_ = back_ = false;
    caps_.clear();
    if (active_ && !leaving_) server_is_active();
  } else if (body.op == ClientSession::Op::recall_state) {
    // It gives back what it has not open.
    std::vector<std::uint64_t> given;
    for (const auto& [ino, held] : caps_)
      if (!held.wanted && given.size() + body.caps_max < caps_.size()) given.push_back(ino);
    for (std::uint64_t ino : given) drop_caps(ino);
  }
}

void FileClient::take_stat(const msg::InodeStat& stat) {
  CapState& held = caps_[stat.ino];
  held.id = stat.cap.cap_id;
  held.issued = stat.cap.caps;
  held.sequence = held.issue_sequence = stat.cap.sequence;
}

void FileClient::handle_caps(const ClientCaps& body) {
  auto it = caps_.find(body.ino);
  if (body.op == ClientCaps::Op::export_) {
    if (it != caps_.end() && it->second.id == body.cap_id) caps_.erase(it);
    return;
  }
  if (it == caps_.end() || it->second.id != body.cap_id) {
    msg::ClientCapRelease release;
    release.items.push_back({body.ino, body.cap_id, 0, body.sequence});
    link_->tell(msg::make_message(release));
    return;
  }
  CapState& held = it->second;
  const cap::Bits lost = held.issued & ~body.caps;
  held.issued = body.caps;
  held.sequence = body.sequence;
  if (body.op == ClientCaps::Op::import) held.issue_sequence = body.issue_sequence;
  if (!lost) return;
  tell_caps(body.ino, held);
}

void FileClient::tell_caps(std::uint64_t ino, const CapState& held) {
  ClientCaps body;
  body.op = ClientCaps::Op::update;
  body.ino = ino;
  body.cap_id = held.id;
  body.sequence = held.sequence;
  body.issue_sequence = held.issue_sequence;
  body.caps = held.issued;
  body.wanted = held.wanted;
  link_->tell(msg::make_message(body));
}

void FileClient::drop_caps(std::uint64_t ino) {
  auto it = caps_.find(ino);
  if (it == caps_.end()) return;
  msg::ClientCapRelease release;
  release.items.push_back({ino, it->second.id, 0, it->second.sequence});
  caps_.erase(it);
  if (link_ && !link_->closed()) link_->tell(msg::make_message(release));
}

void FileClient::handle_reply(const msg::Message& message) {
  const mds::ParsedReply parsed = Client::parse(message);
  if (parsed.head.safe && unsafe_.erase(message.tid)) return;
  if (!pending_ || pending_->tid != message.tid) return;
  target_ = 0;
  if (parsed.dir) take_stat(*parsed.dir);
  if (parsed.target) take_stat(*parsed.target), target_ = parsed.target->ino;
  listed_.clear();
  for (const auto& [name, stat] : parsed.entries) {
    take_stat(stat);
    listed_.push_back({name, {stat.ino, stat.mode, stat.links, stat.size}});
    if (listed_.back().state.is_dir()) listed_.back().state.links = 1, listed_.back().state.size = 0;
  }
  listed_to_end_ = parsed.flags & 1;
  if (parsed.head.result == 0 && pending_->body.op == MdsOp::create && target_) {
    caps_[target_].wanted |= cap::wanted_by_open(pending_->body.open().flags);
  }
  if (!parsed.head.safe) {
    Request& request = unsafe_[message.tid] = *pending_;
    if (request.body.op == MdsOp::create || request.body.op == MdsOp::mkdir) request.body.ino = target_;
  }
  pending_.reset();
  reply_ = parsed.head;
  replied_.set();
}

void FileClient::send_request(const Request& request, bool replay) {
  ClientRequest body = request.body;
  if (replay) body.flags |= ClientRequest::flag_replay;
  if (!replay) body.ino = 0;
  body.oldest_tid = unsafe_.empty() ? request.tid : std::min(request.tid, unsafe_.begin()->first);
  link_->tell(msg::make_message(body, request.tid));
}

const FileState* FileClient::state_of(std::uint64_t ino) const {
  for (const auto& [path, state] : history_.back())
    if (state.ino == ino) return &state;
  return nullptr;
}

/// As it is now: what was to be flushed may have been cut off since.
void FileClient::send_flush(std::uint64_t tid, const Flush& flush) {
  auto it = caps_.find(flush.ino);
  const FileState* state = state_of(flush.ino);
  ClientCaps body;
  body.op = ClientCaps::Op::flush;
  body.ino = flush.ino;
  if (it != caps_.end()) {
    body.cap_id = it->second.id;
    body.sequence = it->second.sequence;
    body.issue_sequence = it->second.issue_sequence;
    body.caps = it->second.issued;
    body.wanted = it->second.wanted;
  }
  body.dirty = cap::file_write;
  body.size = state ? state->size : 0;
  body.oldest_flush_tid = flushes_.begin()->first;
  body.flags = world_.dice(2) ? ClientCaps::flag_sync : 0;
  link_->tell(msg::make_message(body, tid));
}

// --- what it does --------------------------------------------------------------------------------------------------

Task<int> FileClient::call(ClientRequest request) {
  request.flags |= ClientRequest::flag_want_dentry;
  request.stamp = {100, 0};
  reply_.reset();
  replied_.reset();
  pending_ = Request{++last_tid_, std::move(request), history_.size() - 1, false};
  if (session_ && active_) send_request(*pending_, false);
  while (!reply_ && !dead_) {
    Result<> waited = co_await replied_.wait_until(world_.host.clock(), world_.host.clock().now() + 10min);
    if (!waited) {
      ADD_FAILURE() << "no answer: " << describe() << (active_ ? " active" : "") << (session_ ? " session" : "") << "\n"
                    << (world_.server ? world_.server->requests_json() + world_.server->sessions_json() : "no server");
      die();
    }
  }
  world_.note(reply_ ? static_cast<std::uint64_t>(reply_->result) : 7);
  co_return reply_ ? -reply_->result : -1;
}

Names& FileClient::push() {
  return history_.emplace_back(history_.back());
}

bool FileClient::is_own(const std::string& name) const {
  return name.starts_with(fmt::format("{}-", number_));
}

/// One of its possible names, taken or free; empty: there was none.
std::string FileClient::pick(bool taken) {
  const Names& names = history_.back();
  for (int i = 0; i < 20; ++i) {
    std::string path = fmt::format("d{}/{}-{}", world_.dice(folders), number_, static_cast<char>('a' + world_.dice(4)));
    auto it = names.find(path);
    if (it != names.end() && it->second.is_dir() && world_.dice(2)) {
      path += fmt::format("/{}", static_cast<char>('x' + world_.dice(2)));
      it = names.find(path);
    }
    if ((it != names.end()) == taken) return path;
  }
  return {};
}

Task<> FileClient::work() {
  started = true;
  while (!dead_ && !world_.over && history_.size() < world_.plan.steps) {
    co_await step();
    if (world_.dice(3) == 0) co_await world_.pass(std::chrono::milliseconds(world_.dice(100)));
  }
  done = true;
}

Task<> FileClient::step() {
  if (world_.dice(6) == 0) co_return co_await look(static_cast<unsigned>(world_.dice(folders)));
  co_await change();
}

Task<> FileClient::change(ClientRequest request, int expected, std::function<void(Names&)> effect) {
  // The state after it is there before the answer: whoever dies waiting for that may have done it or not.
  if (!expected) {
    effect(push());
    count_links(history_.back());
  }
  const int error = co_await call(request);
  if (dead_) co_return;
  EXPECT_EQ(error, expected) << describe() << ": " << request.describe();
}

Task<> FileClient::change() {
  const Names& now = history_.back();
  const std::string from = pick(true), to = pick(false);
  const FileState state = from.empty() ? FileState{} : now.at(from);
  const std::size_t below = static_cast<std::size_t>(
      std::ranges::count_if(now, [&](const auto& entry) { return entry.first.starts_with(from + "/"); }));
  switch (world_.dice(10)) {
    case 0:
    case 1: {
      if (to.empty()) break;
      co_await change(Client::create(to, ClientRequest::Open::create | ClientRequest::Open::exclusive | 2), 0,
                      [&](Names& names) { names[to] = {0, file | 0644, 1, 0}; });
      if (!dead_ && target_) history_.back()[to].ino = target_;
      break;
    }
    case 2: {
      if (to.empty() || to.size() > 6) break;
      co_await change(Client::request(MdsOp::mkdir, to), 0, [&](Names& names) { names[to] = {0, directory, 1, 0}; });
      if (!dead_ && target_) history_.back()[to].ino = target_;
      break;
    }
    case 3: {
      if (from.empty()) break;
      const bool full = below && state.is_dir();
      co_await change(Client::request(state.is_dir() ? MdsOp::rmdir : MdsOp::unlink, from), full ? not_empty : 0,
                      [&](Names& names) { names.erase(from); });
      if (!dead_ && !full && !state_of(state.ino)) drop_caps(state.ino);
      break;
    }
    case 4:
    case 5: {
      // Onto a free name or over another file; folders do not go into folders.
      std::string target = world_.dice(3) ? to : pick(true);
      if (from.empty() || target.empty() || from == target || (state.is_dir() && target.size() > 6)) break;
      auto over = now.find(target);
      const FileState lost = over == now.end() ? FileState{} : over->second;
      if (over != now.end() && (lost.is_dir() || state.is_dir() || lost.ino == state.ino || !lost.ino)) break;
      if (target.starts_with(from + "/")) break;
      co_await change(Client::request(MdsOp::rename, target, from), 0, [&](Names& names) {
        Names moved;
        for (const auto& [path, each] : names)
          if (path == from || path.starts_with(from + "/")) moved[target + path.substr(from.size())] = each;
        std::erase_if(names, [&](const auto& entry) {
          return entry.first == from || entry.first.starts_with(from + "/") || entry.first == target;
        });
        names.merge(moved);
      });
      if (!dead_ && lost.ino && !state_of(lost.ino)) drop_caps(lost.ino);
      break;
    }
    case 6: {
      if (from.empty() || to.empty() || state.is_dir() || !state.ino) break;
      co_await change(Client::request(MdsOp::link, to, from), 0, [&](Names& names) { names[to] = state; });
      break;
    }
    case 7: {
      if (from.empty()) break;
      ClientRequest request = Client::request(MdsOp::setattr, from);
      ClientRequest::Setattr args;
      const bool cuts = !state.is_dir() && world_.dice(2);
      const auto bits = static_cast<std::uint32_t>(world_.dice(0777));
      args.mask = cuts ? ClientRequest::Setattr::size_bit : ClientRequest::Setattr::mode_bit;
      args.mode = bits;
      args.size = state.size / 2;
      args.old_size = state.size;
      request.set(args);
      co_await change(request, 0, [&](Names& names) {
        for (auto& [path, each] : names) {
          if (path != from && !(state.ino && each.ino == state.ino)) continue;
          if (cuts)
            each.size = args.size;
          else
            each.mode = (each.mode & 0170000) | bits;
        }
      });
      break;
    }
    case 8: {
      // Written, if it may.
      auto held = caps_.find(state.ino);
      if (from.empty() || state.is_dir() || !state.ino || held == caps_.end()) break;
      if (!(held->second.issued & cap::file_write) || !active_ || !session_) break;
      if (world_.dice(4) == 0) {
        held->second.wanted = 0;
        tell_caps(state.ino, held->second);
        break;
      }
      Names& names = push();
      for (auto& [path, each] : names)
        if (each.ino == state.ino) each.size = state.size + 1 + world_.dice(5000);
      const std::uint64_t size = names.at(from).size;
      for (auto& [path, each] : names)
        if (each.ino == state.ino) each.size = size;
      const Flush flush{state.ino, history_.size() - 1};
      flushes_[++last_flush_] = flush;
      send_flush(last_flush_, flush);
      break;
    }
    case 9: {
      if (to.empty() || from.empty()) break;
      if (world_.dice(2))
        co_await change(Client::request(MdsOp::mkdir, from), exists, {});
      else
        co_await change(Client::request(MdsOp::unlink, to), no_entry, {});
      break;
    }
  }
}

// --- what it sees --------------------------------------------------------------------------------------------------

Task<std::optional<std::vector<FileClient::Entry>>> FileClient::list(std::string path) {
  std::vector<Entry> all;
  ClientRequest request = Client::request(MdsOp::readdir, path);
  for (;;) {
    request.set(ClientRequest::Readdir{0, 0, 0, ClientRequest::Readdir::flag_bit_flags, 0});
    if (!all.empty()) request.path2 = {0, all.back().name};
    if (co_await call(request)) co_return std::nullopt;
    all.insert(all.end(), listed_.begin(), listed_.end());
    if (listed_to_end_ || listed_.empty()) break;
  }
  co_return all;
}

Task<> FileClient::look(unsigned folder) {
  const std::string name = fmt::format("d{}", folder);
  std::map<unsigned, std::pair<FileClient*, std::size_t>> from;
  for (auto& other : world_.clients)
    if (other.get() != this) from[other->number()] = {other.get(), other->confirmed()};
  auto entries = co_await list(name);
  if (dead_) co_return;
  EXPECT_TRUE(entries) << describe();
  if (!entries) co_return;
  std::set<std::string> once;
  for (const Entry& entry : *entries) EXPECT_TRUE(once.insert(entry.name).second) << entry.name << " is there twice";
  compare_own(name, *entries);
  for (auto& other : world_.clients) {
    auto known = from.find(other->number());
    if (known == from.end() || known->second.first != other.get()) continue;
    compare_other(*other, name, *entries, known->second.second);
  }
}

void FileClient::compare_own(const std::string& folder, const std::vector<Entry>& entries) {
  std::size_t count = 0;
  for (auto& [path, state] : history_.back()) {
    if (parent_of(path) != folder) continue;
    ++count;
    auto it = std::ranges::find(entries, path.substr(folder.size() + 1), &Entry::name);
    EXPECT_TRUE(it != entries.end()) << describe() << ": its own " << path << " is lost";
    if (it == entries.end()) continue;
    EXPECT_TRUE(state.fits(it->state)) << describe() << ": " << path << " mode " << it->state.mode << " for "
                                       << state.mode << ", size " << it->state.size << " for " << state.size
                                       << ", links " << it->state.links << " for " << state.links;
    state.ino = it->state.ino;
  }
  const auto own = std::ranges::count_if(entries, [&](const Entry& entry) { return is_own(entry.name); });
  EXPECT_EQ(static_cast<std::size_t>(own), count) << describe() << ": names it does not have";
}

/// Each name in some state it had, not before what was confirmed when the question was asked. That state may not be
/// undone from now on.
void FileClient::compare_other(FileClient& other, const std::string& folder, const std::vector<Entry>& entries,
                               std::size_t from) {
  std::set<std::string> paths;
  for (std::size_t i = from; i < other.history_.size(); ++i)
    for (const auto& [path, state] : other.history_[i])
      if (parent_of(path) == folder) paths.insert(path);
  for (const Entry& entry : entries)
    if (other.is_own(entry.name)) paths.insert(folder + "/" + entry.name);
  for (const std::string& path : paths) {
    auto shown = std::ranges::find(entries, path.substr(folder.size() + 1), &Entry::name);
    bool found = false;
    for (std::size_t i = from; i < other.history_.size() && !found; ++i) {
      auto had = other.history_[i].find(path);
      const bool there = had != other.history_[i].end();
      found = there == (shown != entries.end()) && (!there || had->second.fits(shown->state));
      if (found) other.seen = std::max(other.seen, i);
    }
    EXPECT_TRUE(found) << "client " << id_ << " sees " << path << (shown == entries.end() ? " not" : "") << " as "
                       << other.describe() << " never had it";
  }
}

Task<> FileClient::take_over(const FileClient& from) {
  Names found;
  std::deque<std::string> to_list;
  for (unsigned i = 0; i < folders; ++i) to_list.push_back(fmt::format("d{}", i));
  while (!to_list.empty()) {
    const std::string folder = to_list.front();
    to_list.pop_front();
    auto entries = co_await list(folder);
    if (!entries) co_return;
    for (const Entry& entry : *entries) {
      if (folder.find('/') == folder.npos && !is_own(entry.name)) continue;
      found[folder + "/" + entry.name] = entry.state;
      if (entry.state.is_dir()) to_list.push_back(folder + "/" + entry.name);
    }
  }
  const std::vector<Names>& history = from.history();
  for (std::size_t i = std::max(from.confirmed(), from.seen); i < history.size(); ++i) {
    if (!std::ranges::equal(history[i], found, [](const auto& one, const auto& two) {
          return one.first == two.first && one.second.fits(two.second);
        }))
      continue;
    history_ = {found};
    co_return;
  }
  std::string names;
  for (const auto& [path, state] : found)
    names += fmt::format(" {} {:o} {} {}", path, state.mode, state.size, state.links);
  std::string expected;
  for (const auto& [path, state] : history.back())
    expected += fmt::format(" {} {:o} {} {}", path, state.mode, state.size, state.links);
  ADD_FAILURE() << from.describe() << " died; what is there is none of its states:" << names << "\nthe last was"
                << expected;
}

}  // namespace spirula::simulation
