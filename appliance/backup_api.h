#pragma once
#include "appliance/backup.h"
#include "appliance/box.h"
#include "appliance/router.h"

namespace spirula::appliance {

/// The settings file to download, and what to do with one that is brought back. Lives on one shard; outlives the
/// router.
class BackupApi {
 public:
  BackupApi(Shard& shard, DocumentStore& documents, Box& box, JobBoard& jobs)
      : shard_(shard), documents_(documents), box_(box), jobs_(jobs) {}
  void add_to(Router& router);

 private:
  Task<HttpResponse> download(Call call);
  Task<HttpResponse> plan(Call call);
  Task<HttpResponse> restore(Call call);
  /// Refuses, or reads the file into `backup`.
  std::optional<HttpResponse> read(const Call& call, Backup& backup);
  Task<Result<>> bring_back(Backup backup, JobBoard::Progress& progress);
  Task<Result<>> bring_back_share(Backup::Share share);

  Shard& shard_;
  DocumentStore& documents_;
  Box& box_;
  JobBoard& jobs_;
};

}  // namespace spirula::appliance
