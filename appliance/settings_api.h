#pragma once
#include <functional>

#include "appliance/network_keeper.h"
#include "appliance/router.h"
#include "appliance/tls.h"

namespace spirula::appliance {

/// The box itself: its name, its address, its certificate, its clock. Lives on one shard; outlives the router; stop()
/// before destruction.
class SettingsApi {
 public:
  struct Around {
    std::string state;       ///< folder
    std::string address;     ///< of the daemons
    bool set_clock = false;  ///< the machine's clock is ours to set
    bool set_name = false;   ///< and its name
    TlsIdentity own_making;  ///< the box's own certificate
    /// Who the page is, for new connections from now on.
    std::function<Result<>(const TlsIdentity&)> use;
  };
  /// `identity`: the one in use.
  SettingsApi(Shard& shard, DocumentStore& documents, NetworkKeeper& network, BlockingPool& workers,
              TlsIdentity identity, Around around);
  /// The machine gets the name that was decided, and again whenever that changes.
  void start();
  void add_to(Router& router);
  Task<> stop();

  const std::string& fingerprint() const { return identity_.fingerprint; }

 private:
  Task<HttpResponse> get_settings(Call call);
  Task<HttpResponse> rename(Call call);
  Task<> follow_name();
  Task<HttpResponse> try_network(Call call);
  Task<HttpResponse> keep_network(Call call);
  Task<HttpResponse> try_certificate(Call call);
  Task<HttpResponse> keep_certificate(Call call);
  Task<HttpResponse> forget_certificate(Call call);
  Task<HttpResponse> set_clock(Call call);
  Task<> count_down(std::uint64_t trial);

  Shard& shard_;
  DocumentStore& documents_;
  NetworkKeeper& network_;
  BlockingPool& workers_;
  TlsIdentity identity_;
  std::optional<TlsIdentity> before_;  ///< while another one is tried out
  std::uint64_t trial_ = 0;
  MonotonicTime until_{};
  Around around_;
  TaskGroup tasks_;
};

}  // namespace spirula::appliance
