#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/shard.h"
#include "base/wait.h"
#include "filestore/media_check.h"
#include "msg/daemon_messages.h"
#include "msg/mon_messages.h"

namespace spirula::osd {

/// An object that a pass has found bad.
struct DamagedObject {
  filestore::ObjectId object;
  std::uint64_t bytes = 0;  ///< that do not verify; 0: the object could not be looked at at all
  static void fields(auto& self, auto& wire) {
    wire(self.object);
    wire(self.bytes);
  }
};

/// How far the passes over the store have come; kept in the OSD's own collection, so that a restart goes on.
struct VerificationState {
  static constexpr std::uint8_t version = 1, compat = 1;
  bool under_way = false;
  std::uint64_t began = 0, ended = 0;  ///< seconds since 1970, of the pass under way and of the last whole one; 0: none
  std::optional<filestore::ObjectId> next;        ///< where the pass under way goes on
  std::uint64_t objects = 0, bytes = 0;           ///< looked at in the pass under way, or else in the last one
  std::uint64_t damaged_before = 0, damaged = 0;  ///< found by the last whole pass, and by the one under way
  std::vector<DamagedObject> before, found;       ///< the first of them
  static void fields(auto& self, auto& wire) {
    wire(self.under_way);
    wire(self.began);
    wire(self.ended);
    wire(self.next);
    wire(self.objects);
    wire(self.bytes);
    wire(self.damaged_before);
    wire(self.damaged);
    wire(self.before);
    wire(self.found);
  }
};

/// Looks for blocks that have gone bad, object by object through the whole store (filestore::check_media), before a
/// client asks for them: a pass every osd_verify_interval, at osd_verify_bytes_per_second, and when somebody asks. What
/// it finds is named in the cluster log and raises health OSD_DAMAGED_DATA until a whole pass finds it well again.
/// Lives on the OSD's home shard.
class MediaVerifier {
 public:
  struct Surroundings {
    std::function<bool()> may_begin;                         ///< false: only passes that were asked for (nodeep-scrub)
    std::function<void(msg::LogPriority, std::string)> log;  ///< to the cluster log
  };
  MediaVerifier(Shard& home, const Config& config, filestore::ObjectStore& store, Surroundings around);

  /// Until the task is cancelled or the store fails.
  Task<> run();
  /// A pass begins now; one that is under way is given up for it.
  void begin_now();
  /// As JSON.
  std::string status() const;
  /// What the monitor should be told.
  std::optional<msg::DaemonHealth> health() const;

 private:
  Task<Result<>> load();
  Task<Result<>> save();
  bool due() const;
  Task<Result<>> go_on();
  void note(const filestore::BadObject& bad);
  std::uint64_t seconds_now() const;
  /// Those of the last whole pass until the one under way has found more.
  bool worse_now() const { return state_.damaged > state_.damaged_before; }

  Shard& home_;
  const Config& config_;
  filestore::ObjectStore& store_;
  Surroundings around_;
  VerificationState state_;
  bool anew_ = false;   ///< begin with the first object, whatever is under way
  bool asked_ = false;  ///< the pass under way goes on whatever options and flags say
  Event wanted_;
};

}  // namespace spirula::osd
