#pragma once
#include <map>
#include <memory>

#include "base/promise.h"
#include "base/task_group.h"
#include "base/wait.h"
#include "librados/objecter.h"
#include "librados/op_target.h"
#include "maps/mon_client.h"

/// The inside of the objecter, for its own sources: objecter.cc (what callers see), objecter_impl.cc (sessions,
/// sending, answers) and linger.cc (watches and notifications).
namespace spirula::librados {

struct Objecter::Impl {
  struct Session;

  struct Linger;

  struct Op {
    std::uint64_t tid = 0;
    std::shared_ptr<Linger> linger;  ///< the operation makes this one known
    Operation operation;
    Target target;
    Session* session = nullptr;
    std::int32_t attempts = 0;
    MonotonicTime submitted;
    Promise<OperationResult> done;
  };
  using OpRef = std::shared_ptr<Op>;

  /// One OSD. Its connection is lossy: when it breaks another is made and everything is sent again.
  struct Session {
    std::int32_t osd = -1;
    msg::AddressVector address;
    msg::ConnectionRef connection;
    std::map<std::uint64_t, OpRef> ops;
    std::map<msg::PgId, std::map<msg::HObject, msg::OsdBackoff>> backoffs;  ///< by where they begin
    std::size_t backoff_count = 0;
    unsigned failures = 0;
    Clock::TimerId reconnect = 0;
  };

  /// A watch, or a notification that waits for its answers. An OSD ties both to a connection: on another one, or at
  /// another OSD, they must be made known again.
  struct Linger {
    std::uint64_t cookie = 0;
    ObjectRef object;
    Target target;
    WatchEvents events;  ///< of a watch
    Duration timeout{};
    std::uint32_t generation = 0;
    bool is_watch = false, closing = false;
    std::weak_ptr<msg::Connection> known_on;  ///< where it was sent last, and,
    bool known = false;                       ///< when this is set, answered
    Event disturbed;                          ///< it was known, and is no longer
    Promise<msg::WatchNotify> completion;     ///< of a notification
  };
  using LingerRef = std::shared_ptr<Linger>;

  Impl(Shard& s, msg::Messenger& m, maps::MonClient& mons, maps::OsdMapFeed& f, ObjecterOptions o);

  // objecter_impl.cc
  Session* session_for(std::int32_t osd);
  Session* session_of(const msg::ConnectionRef& connection);
  void open(Session& session);
  void close(Session& session);
  void connection_lost(Session& session);
  bool backed_off(const Session& session, const Op& op) const;
  void send(Op& op);
  void assign(const OpRef& op);
  void finish(const OpRef& op);
  void map_changed();
  void take_reply(Session& session, const msg::Message& message);
  void take_backoff(Session& session, const msg::Message& message);
  Task<Result<OperationResult>> submit(Target target, Operation operation, std::shared_ptr<Linger> linger = nullptr);
  Task<Result<OperationResult>> within_budget(Target target, Operation operation, std::uint64_t bytes,
                                              std::shared_ptr<Linger> linger);
  Task<Result<OperationResult>> run(Target target, Operation operation, std::shared_ptr<Linger> linger);

  // linger.cc
  Task<Result<OperationResult>> tell_watch(LingerRef linger, msg::WatchOp what);
  Task<> keep_watch(LingerRef linger);
  Task<> acknowledge(LingerRef linger, std::uint64_t notify_id, Buffer reply);
  void give_up(const LingerRef& linger, std::error_code why);
  void disturb(Linger& linger);
  void take_watch_notify(const msg::Message& message);
  void connection_closed(const msg::Connection* connection);
  void lingers_follow(const maps::OsdMap& map);

  Shard& shard;
  msg::Messenger& messenger;
  maps::MonClient& monitors;
  maps::OsdMapFeed& feed;
  ObjecterOptions options;
  Budget op_budget, byte_budget;
  bool stopping = false;
  std::uint64_t last_tid = 0, last_cookie = 0;
  std::map<std::uint64_t, OpRef> ops;
  std::map<std::int32_t, std::unique_ptr<Session>> sessions;
  std::map<std::uint64_t, LingerRef> lingers;
  Figures figures;
  std::size_t calls = 0;
  WaitList drained;  ///< waits for calls to become 0
  TaskGroup tasks;   ///< watches
};

}  // namespace spirula::librados
