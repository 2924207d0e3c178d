#pragma once
#include <optional>
#include <string>

#include "appliance/document_store.h"
#include "base/blocking.h"
#include "base/clock.h"
#include "base/shard.h"
#include "base/task_group.h"

namespace spirula::appliance {

/// What systemd-networkd is told.
std::string networkd_text(const NetworkSettings& settings);

/// The box's address. A change is tried out: unless it is kept within a minute, which takes reaching the page at the
/// new address, all is as before. A restart of the box ends a trial, too; one of this daemon does not.
/// Lives on one shard; stop() before destruction.
class NetworkKeeper {
 public:
  /// `folder`: where networkd looks for what was decided while the machine runs; empty: the network is not ours.
  NetworkKeeper(Shard& shard, DocumentStore& documents, BlockingPool& workers, std::string folder);
  /// Puts in place what is decided, or goes on with a trial.
  Task<> start();
  Task<> stop();

  bool is_ours() const { return !folder_.empty(); }
  const NetworkSettings& decided() const { return documents_.current().network; }
  /// The address itself changes limits::address_changes_after later: who asked is to hear of it at the old one.
  /// Errc::unsupported when the network is not ours.
  Task<Result<>> try_out(NetworkSettings settings);
  /// Errc::not_found when nothing is tried out.
  Task<Result<>> keep();
  /// What is tried out, and for how many seconds still.
  struct Trial {
    NetworkSettings settings;
    int seconds_left = 0;
  };
  std::optional<Trial> trial() const;

 private:
  /// Whether the file was another one before.
  Task<Result<bool>> write(NetworkSettings settings);
  Task<> put_in_place();
  Task<> put_in_place_soon();
  Task<> count_down();
  Task<> take_back();

  Shard& shard_;
  DocumentStore& documents_;
  BlockingPool& workers_;
  std::string folder_;
  std::optional<NetworkSettings> tried_;
  std::int64_t until_ = 0;  ///< seconds since the machine was started
  TaskGroup tasks_;
};

}  // namespace spirula::appliance
