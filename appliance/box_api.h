#pragma once
#include "appliance/box.h"
#include "appliance/router.h"
#include "appliance/status.h"

namespace spirula::appliance {

/// Disks, setting up, shares, how it goes. Lives on one shard; outlives the router.
class BoxApi {
 public:
  BoxApi(Shard& shard, DocumentStore& documents, Box& box, Watcher& watcher)
      : shard_(shard), documents_(documents), box_(box), watcher_(watcher) {}
  void add_to(Router& router);

 private:
  Task<HttpResponse> get_config(Call call);
  Task<HttpResponse> list_disks(Call call);
  Task<HttpResponse> plan(Call call);
  Task<HttpResponse> set_up(Call call);
  Task<HttpResponse> give_up_setup(Call call);
  Task<HttpResponse> add_disk(Call call);
  Task<HttpResponse> remove_disk(Call call);
  Task<HttpResponse> keep_disk(Call call);
  const DiskRecord* find_disk(const std::string& name) const;
  Task<HttpResponse> set_copies(Call call);
  Task<HttpResponse> start(Call call);
  Task<HttpResponse> get_status(Call call);
  Task<HttpResponse> get_history(Call call);
  Task<HttpResponse> list_shares(Call call);
  Task<HttpResponse> make_share(Call call);
  Task<HttpResponse> get_share(Call call);
  Task<HttpResponse> remove_share(Call call);

  const ShareRecord* find_share(const std::string& name) const;
  /// The share with its mount lines, which hold its key.
  Task<HttpResponse> describe_share(ShareRecord share);

  Shard& shard_;
  DocumentStore& documents_;
  Box& box_;
  Watcher& watcher_;
  bool share_busy_ = false;  ///< one share is made or removed at a time
};

}  // namespace spirula::appliance
