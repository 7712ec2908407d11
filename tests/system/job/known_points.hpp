// SPDX-License-Identifier: Apache-2.0
// What each restore point of a RestlessDomain must give back. A backup that was interrupted may become a point later,
// and one that was complete has to: which it was, the journal says.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "job/journal.hpp"
#include "system/job/restless_domain.hpp"

namespace icecore::system_test {

class KnownPoints {
 public:
  struct Point {
    std::string id;
    RestlessDomain::Instant instant;
  };

  // `subject` must outlive it.
  explicit KnownPoints(const ProtectedDomain& subject) : subject_(subject) {}

  // After a command that may have published, or have left a job behind. A new point is that of a backup interrupted
  // before, and holds the instant of that, or else is the command's own, and of `now`: then true. Expects of each
  // interrupted backup whose job has ended that it is a point exactly when it had been complete.
  bool note(const RestlessDomain::Instant& now);
  // Those that were not forgotten, oldest first.
  const std::vector<Point>& all() const noexcept { return points_; }
  void forget(const std::string& id);

  // What a complete backup relied on may be forgotten and pruned before it is published, which is told then.
  void note_prune();
  bool may_have_lost_one() const;
  // Of whatever kind: where disks are, and what the domain's UUID is, is its business.
  bool has_open_job() const { return !open_jobs().empty(); }

 private:
  // Its job is open.
  struct Interrupted {
    RestlessDomain::Instant instant;
    bool complete = false;   // sealed: from there on it only goes forwards
    bool published = false;  // all the same
    bool pruned = false;     // there was a prune since
  };
  bool is_known(const std::string& id) const;
  std::vector<job::JobRecord> open_jobs() const;
  void note_interrupted(const RestlessDomain::Instant& now);
  void expect_right_end(const std::string& id, const Interrupted& backup) const;
  bool is_told_lost(const std::string& id, const Interrupted& backup) const;

  const ProtectedDomain& subject_;
  std::vector<Point> points_;
  std::map<std::string, Interrupted> open_;  // by the id of the point to be
};

}  // namespace icecore::system_test
