#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/coroutine.h"
#include "base/simulation.h"
#include "base/task_group.h"
#include "base/wait.h"
#include "mds/memory_store.h"
#include "mds/server.h"

/// The server of the file system through many lives, and clients that remember what they were promised. The objects are
/// in memory and outlive the server; it dies at any change of one of them.
namespace spirula::simulation {

/// What a client knows of one of its names.
struct FileState {
  std::uint64_t ino = 0;  ///< 0: not known, fits any
  std::uint32_t mode = 0, links = 1;
  std::uint64_t size = 0;
  bool is_dir() const { return (mode & 0170000) == 0040000; }
  bool fits(const FileState& seen) const {
    return (!ino || !seen.ino || ino == seen.ino) && mode == seen.mode && size == seen.size && links == seen.links;
  }
};
using Names = std::map<std::string, FileState>;  ///< by path

class FileClient;

class FileWorld {
 public:
  struct Plan {
    unsigned clients = 3;
    unsigned steps = 40;     ///< of each client
    unsigned lives_max = 6;  ///< of the server while clients work
    bool clients_die = true;
    std::uint64_t crash_at = 0;  ///< not 0: the server dies once, at this change of an object, counted from the start
  };
  FileWorld(std::uint64_t seed, Plan plan);
  ~FileWorld();
  /// All of it. Complaints are test failures.
  void run();
  /// Changes of objects while clients worked.
  std::uint64_t changes() const { return changes_; }
  std::uint64_t digest = 0;  ///< of everything that happened

  sim::Simulation world;
  sim::Host& host;
  mds::MemoryStore store;
  std::unique_ptr<mds::Server> server;
  const Plan plan;
  bool over = false;  ///< clients finish what they are doing
  std::vector<std::unique_ptr<FileClient>> clients, dead;

  std::uint64_t dice(std::uint64_t bound) { return world.random().below(bound); }
  Task<> pass(Duration time);
  void note(std::uint64_t what) { digest = (digest ^ what) * 0x100000001b3; }

 private:
  Task<> live();
  Task<> begin_life(bool fresh);
  Task<> start_server(bool fresh, Event& up);
  Task<> end_life();
  Task<> make_folders();
  Task<> replace_dead();
  Task<> audit();
  void die();
  bool everybody_done() const;

  std::uint64_t crash_in_ = 0;
  std::uint64_t changes_ = 0;
  bool dying_ = false;
  FileClient* newcomer_ = nullptr;  ///< that takes over from a dead one
  std::int64_t next_id_ = 10;
  Event died_;
  std::function<void()> on_death_;
};

/// A client that works in its own names, in folders it shares with the others, and looks at theirs. Every change makes
/// a further state of its history; what was confirmed, or what somebody else has seen, may never be undone.
class FileClient {
 public:
  static constexpr unsigned folders = 2;

  FileClient(FileWorld& world, unsigned number, std::int64_t id);
  ~FileClient();

  /// A server is there: the session is opened, or what was is brought back.
  void server_came();
  void server_is_active();
  void server_went();
  /// Says nothing any more.
  void die();
  /// Lets go of everything.
  Task<> leave();
  Task<> work();
  /// Takes over from one that died: its state has to be one that it passed through, and late enough.
  Task<> take_over(const FileClient& from);
  bool idle() const { return unsafe_.empty() && flushes_.empty() && !pending_; }
  bool may_die() const;

  std::int64_t id() const { return id_; }
  unsigned number() const { return number_; }
  bool is_dead() const { return dead_; }
  bool done = false, started = false;

  struct Entry {
    std::string name;
    FileState state;
  };
  Task<std::optional<std::vector<Entry>>> list(std::string path);
  Task<int> call(msg::ClientRequest request);  ///< the error, 0 if none

  const std::vector<Names>& history() const { return history_; }
  std::size_t confirmed() const;
  std::size_t seen = 0;
  std::string describe() const;

 private:
  class Link;
  struct CapState {
    std::uint64_t id = 0;
    std::uint32_t sequence = 0, issue_sequence = 0;
    mds::cap::Bits issued = 0, wanted = 0;
  };
  struct Request {
    std::uint64_t tid = 0;
    msg::ClientRequest body;
    std::size_t index = 0;  ///< of the state after it
    bool sent_again = false;
  };
  struct Flush {
    std::uint64_t ino = 0;
    std::size_t index = 0;
    bool sent = true, sent_again = false;
  };

  void handle(msg::Message message);
  void handle_caps(const msg::ClientCaps& body);
  void handle_reply(const msg::Message& message);
  void take_stat(const msg::InodeStat& stat);
  void send_request(const Request& request, bool replay);
  void send_flush(std::uint64_t tid, const Flush& flush);
  void tell_caps(std::uint64_t ino, const CapState& held);
  void drop_caps(std::uint64_t ino);
  Names& push();
  Task<> step();
  Task<> change();
  Task<> change(msg::ClientRequest request, int expected, std::function<void(Names&)> effect);
  Task<> look(unsigned folder);
  Task<> look_at_all();
  void compare_own(const std::string& folder, const std::vector<Entry>& entries);
  void compare_other(FileClient& other, const std::string& folder, const std::vector<Entry>& entries, std::size_t from);
  std::string pick(bool taken);
  bool is_own(const std::string& name) const;
  const FileState* state_of(std::uint64_t ino) const;

  FileWorld& world_;
  unsigned number_;
  std::int64_t id_;
  bool dead_ = false, session_ = false, active_ = false, leaving_ = false;
  bool back_ = false;  ///< its session is of an earlier life of the server
  std::shared_ptr<Link> link_;
  std::vector<std::shared_ptr<Link>> links_;  ///< with those that are broken
  std::uint64_t last_tid_ = 0, last_flush_ = 0;
  std::map<std::uint64_t, CapState> caps_;
  std::map<std::uint64_t, Request> unsafe_;
  std::map<std::uint64_t, Flush> flushes_;
  std::optional<Request> pending_;
  std::optional<msg::ClientReply> reply_;
  std::vector<Entry> listed_;
  bool listed_to_end_ = true;
  std::uint64_t target_ = 0;  ///< the inode the last reply was about
  std::vector<Names> history_;
  Event replied_;
};

}  // namespace spirula::simulation
