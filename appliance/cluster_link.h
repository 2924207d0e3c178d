#pragma once
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/shard.h"
#include "base/task.h"

namespace spirula::appliance {

/// What the monitor said to one command.
struct Answer {
  int result = 0;  ///< 0 or a negative errno
  boost::json::value output;
  std::string words;
};

/// Our own cluster as its administrator sees it. Lives on one shard; close() must complete before destruction.
class ClusterLink {
 public:
  /// From the text of a ceph.conf that names the monitors and client.admin's keyring, until a monitor has let us in.
  /// Errc::timed_out, Errc::access, Errc::invalid.
  static Task<Result<std::unique_ptr<ClusterLink>>> open(Shard& shard, std::string conf, Duration timeout);
  ~ClusterLink();
  Task<> close();

  /// One command, {"prefix": "osd pool ls", ...}; its output is read as JSON, null where there is none.
  /// `input`: what comes with it, as by -i.
  Task<Result<Answer>> command(boost::json::object words, std::string input = {});
  /// The same, where a refusal is an error, too: it is logged, with the monitor's words.
  Task<Result<boost::json::value>> need(boost::json::object words, std::string input = {});
  /// Makes `/name` in the file system, writable for every user, whose files' objects have this namespace; sets that
  /// once more if the folder is there already. Errc::timed_out when no MDS answers.
  Task<Result<>> make_share_folder(std::string name, std::string name_space);

 private:
  ClusterLink();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spirula::appliance
