#pragma once
#include <memory>
#include <string>

#include "base/shard.h"
#include "base/wait.h"
#include "msg/mds_messages.h"
#include "msg/messenger.h"

namespace spirula::appliance {

/// A file-system client that lives for a handful of requests: it opens a session, asks, and closes. It keeps no caps,
/// so nothing of it has to be recalled. Lives on one shard; the
/// messenger hands it what MDSs say.
class FolderClient : public msg::Dispatcher {
 public:
  explicit FolderClient(Shard& shard) : shard_(shard) {}

  /// With the MDS at `address`. Errc::timed_out, Errc::access.
  Task<Result<>> open(msg::Messenger& messenger, msg::AddressVector address);
  /// Until it is safe in the MDS's journal. The MDS's error; Errc::timed_out, Errc::closed.
  Task<Result<>> ask(msg::ClientRequest request);
  Task<> close();

  void on_message(msg::ConnectionRef connection, msg::Message message) override;
  void on_connect(msg::ConnectionRef connection) override;
  void on_reset(msg::ConnectionRef connection) override;

 private:
  /// What is waited for, and how it ended.
  struct Outcome {
    Event known;
    std::error_code error;
    void set(std::error_code how = {}) {
      if (known.is_set()) return;
      error = how;
      known.set();
    }
  };
  Task<Result<>> wait_for(Outcome& outcome, Duration patience);

  Shard& shard_;
  msg::ConnectionRef connection_;
  Outcome opened_, closed_, answered_;
  std::uint64_t tid_ = 0;
};

msg::ClientRequest make_folder_request(const std::string& name, std::uint32_t mode);
msg::ClientRequest set_attribute_request(const std::string& path, const std::string& name, const std::string& value);

}  // namespace spirula::appliance
