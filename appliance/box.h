#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "appliance/cluster_link.h"
#include "appliance/disks.h"
#include "appliance/document_store.h"
#include "appliance/jobs.h"
#include "appliance/render.h"
#include "appliance/supervisor.h"
#include "base/blocking.h"

namespace spirula::appliance {

struct BoxOptions {
  Places places;
  std::string programs;                 ///< folder of cmon, cosd, cmds
  std::vector<std::string> disks_only;  ///< see list_disks()
};

/// A disk the owner chose.
struct DiskChoice {
  std::string path;
  std::string typed;  ///< its erase_word(), if it holds data
};

/// The life of the box: from chosen disks to running daemons, and back to them after a restart. Lives on one shard;
/// stop() must complete before destruction.
/// Invariant: a disk is formatted only if the document names it, not yet made, with what the owner agreed to erase; and
/// the document is on stable storage before the disk is touched.
class Box {
 public:
  Box(Shard& shard, BoxOptions options, DocumentStore& documents, JobBoard& jobs, Supervisor& supervisor,
      BlockingPool& workers);

  /// Goes on where the document says we were: starts the daemons, or resumes a set-up that was cut short.
  void start();
  /// The daemons end, if the supervisor's do, and their disks are unmounted.
  Task<> stop();

  /// Errc::io: `words` says why the disks cannot be listed.
  Task<Result<std::vector<Disk>>> list_disks(std::string& words);
  /// Checks the choice, writes it down and begins. The job's id; or an error and in `words` what to do.
  Task<Result<std::uint64_t>> set_up(std::vector<DiskChoice> choices, unsigned copies, std::string name,
                                     std::string& words);
  /// Takes a set-up back that cannot get to its end, so that other disks can be chosen: no client ever saw it.
  Task<Result<>> give_up_setup(std::string& words);
  /// One disk more: the job's id.
  Task<Result<std::uint64_t>> add_disk(DiskChoice choice, std::string& words);
  /// Takes a disk out, working or broken, once all that was on it is on others: the job's id. It is not erased.
  Task<Result<std::uint64_t>> remove_disk(int osd, std::string& words);
  /// Changes one's mind about that.
  Task<Result<>> keep_disk(int osd, std::string& words);
  /// How many copies of every file are kept from now on; those that are missing are made in the background.
  Task<Result<>> set_copies(unsigned copies, std::string& words);

  /// nullptr while the cluster cannot be asked.
  ClusterLink* link() { return link_.get(); }
  /// Errc::closed while the cluster cannot be asked.
  Task<Result<std::string>> share_key(ShareRecord share);
  /// What could not be started, by the daemon's name, in words; empty when all is well.
  const std::map<std::string, std::string>& troubles() const { return troubles_; }
  Supervisor& supervisor() { return supervisor_; }
  const BoxOptions& options() const { return options_; }

 private:
  Task<Result<>> make(JobBoard::Progress& progress);
  Task<Result<>> make_monitor_store(std::string& words);
  Task<Result<>> make_disk(DiskRecord disk, std::string& words);
  /// Makes what is added, empties what leaves.
  Task<Result<>> settle_disks(JobBoard::Progress& progress);
  Result<std::uint64_t> start_settling();
  Task<Result<>> fill_in_disk(DiskRecord disk, JobBoard::Progress& progress);
  Task<Result<>> empty_disk(DiskRecord disk, JobBoard::Progress& progress);
  Task<Result<>> forget_disk(DiskRecord disk);
  /// By the number of their OSD. Errc::closed while the cluster cannot be asked.
  Task<Result<std::set<int>>> disks_that_work();
  /// Bytes of files, each counted once. Errc::closed while the cluster cannot be asked.
  Task<Result<std::uint64_t>> bytes_stored();
  Task<> stop_daemons();
  Task<Result<>> bring_up(JobBoard::Progress& progress);
  Task<Result<>> render();
  Result<> write_conf() const;
  Result<> make_keys();
  Task<Result<>> start_monitor(std::string& words);
  Task<Result<>> start_osd(DiskRecord disk, std::string& words);
  Task<Result<>> start_mds(std::string name);
  Task<Result<>> make_file_system();
  Task<Result<>> apply_copies();
  Task<Result<>> fetch_key(std::string entity, std::string mon, std::string osd, std::string mds);
  /// Until `question` about the cluster's status is answered with yes. Errc::timed_out.
  Task<Result<>> wait_until(std::function<bool(const boost::json::value&)> question, Duration patience);
  Task<Result<>> wait_for_file_system();
  Service service(const std::string& name) const;
  Task<Result<>> run(std::vector<std::string> argv, std::string& words);

  Shard& shard_;
  BoxOptions options_;
  DocumentStore& documents_;
  JobBoard& jobs_;
  Supervisor& supervisor_;
  BlockingPool& workers_;
  std::unique_ptr<ClusterLink> link_;
  std::map<std::string, std::string> troubles_;
};

}  // namespace spirula::appliance
