#pragma once
#include <memory>
#include <set>
#include <unordered_map>
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
  std::error_code broken() const { return broken_; }

  // msg::Dispatcher
  void on_message(msg::ConnectionRef connection, msg::Message message) override;
  void on_reset(msg::ConnectionRef connection) override;

 private:
  struct Waiting {
    Event done;
    Answer answer;
  };
  LoadSession(Shard& shard, Duration timeout) : shard_(shard), timeout_(timeout) {}
  Task<Result<msg::AddressVector>> find_mds();
  void take_reply(const msg::Message& message);
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
  std::uint64_t pushed_ = 0;        ///< messages that came unasked: who asks to close says how many (Ceph: push_seq)
  std::set<std::uint64_t> unsafe_;  ///< requests without their last answer
  std::unordered_map<std::uint64_t, Waiting*> waiting_;
  std::vector<msg::ClientCapRelease::Item> releases_;
  MonotonicTime renewed_{};
};

}  // namespace spirula::mds
