#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/wait.h"
#include "librados/cluster.h"
#include "maps/fs_map.h"
#include "msg/mds_messages.h"

namespace spirula::mds {

/// One client of a file system, with no cache and no data: it says what a client says and gives back what it is
/// granted. For load, so it costs little. Lives on one shard; close() must complete before destruction.
class LoadSession : public msg::Dispatcher {
 public:
  /// Logs in, finds the MDS of the first file system and opens a session. Errc::not_found: none is active.
  static Task<Result<std::unique_ptr<LoadSession>>> open(Shard& shard, Config& config, Duration timeout);
  ~LoadSession() override;
  /// Whatever is not safe yet becomes so, then the session ends.
  Task<> close();

  struct Answer {
    std::int32_t result = 0;  ///< a negative errno
    std::uint64_t ino = 0;    ///< of what the request was about, if the answer shows it
    std::uint64_t files = 0;  ///< names in it, if it is a directory
    bool is_dir = false;
  };
  /// Until the first answer, safe or not. Errc::timed_out, Errc::closed: the session is gone.
  Task<Result<Answer>> call(msg::ClientRequest request);
  /// The next request, for as long as there is one.
  using Source = std::function<std::optional<msg::ClientRequest>()>;
  /// Keeps `depth` requests of `next` under way until it has no more and all are answered; how many were. One at a
  /// time. Errors as of call(), and whatever a request is answered. No task waits for a single request: what generates
  /// load shares the machine with what it measures.
  Task<Result<std::uint64_t>> keep_busy(std::size_t depth, Source next);

  // msg::Dispatcher
  void on_message(msg::ConnectionRef connection, msg::Message message) override;
  void on_reset(msg::ConnectionRef connection) override;

 private:
  struct Call {
    Event done;
    Answer answer;
  };
  struct Run {
    Source next;
    std::size_t under_way = 0;
    std::uint64_t answered = 0;
    std::error_code problem;
    Event over;
  };
  /// A request that is not answered, or not safe yet.
  struct Request {
    bool answered = false;
    Call* call = nullptr;  ///< who waits; nobody if it is one of `run_`
  };
  LoadSession(Shard& shard, Duration timeout) : shard_(shard), timeout_(timeout) {}
  Task<Result<msg::AddressVector>> find_mds();
  std::uint64_t send(msg::ClientRequest request, Call* call);
  void take_reply(const msg::Message& message);
  void start_next();
  void one_answered(const Answer& answer);
  void take_caps(const msg::ClientCaps& caps);
  void give_back(const msg::InodeStat& stat);
  void send_releases();
  void send_session(msg::ClientSession::Op op);

  Shard& shard_;
  Duration timeout_;
  std::unique_ptr<librados::Cluster> cluster_;
  msg::ConnectionRef connection_;
  std::error_code broken_;
  Event opened_, closed_, all_safe_;
  std::optional<maps::FsMap> map_;
  Event map_came_;
  std::uint64_t last_tid_ = 0;
  std::uint64_t pushed_ = 0;  ///< messages that came unasked: who asks to close says how many (Ceph: push_seq)
  std::map<std::uint64_t, Request> requests_;
  Run* run_ = nullptr;
  std::vector<msg::ClientCapRelease::Item> releases_;
  MonotonicTime renewed_{};
};

}  // namespace spirula::mds
