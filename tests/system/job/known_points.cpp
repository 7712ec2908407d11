// SPDX-License-Identifier: Apache-2.0
#include "system/job/known_points.hpp"

#include <algorithm>

#include "job/forwards.hpp"

namespace icecore::system_test {

using Instant = RestlessDomain::Instant;

bool KnownPoints::note(const Instant& now) {
  int of_now = 0;
  for (const std::string& id : subject_.points()) {
    if (is_known(id)) continue;
    const auto interrupted = open_.find(id);
    if (interrupted == open_.end()) ++of_now;
    points_.push_back({id, interrupted == open_.end() ? now : interrupted->second.instant});
  }
  EXPECT_LE(of_now, 1) << "points of one backup";
  note_interrupted(now);
  return of_now > 0;
}

void KnownPoints::note_interrupted(const Instant& now) {
  std::map<std::string, Interrupted> open;
  for (const job::JobRecord& job : open_jobs()) {
    if (job.kind != job::JobKind::backup) continue;
    const auto before = open_.find(job.id);
    Interrupted backup = before == open_.end() ? Interrupted{.instant = now} : before->second;
    backup.complete = job::is_sealed(job.state);
    backup.published = backup.published || is_known(job.id);
    open.emplace(job.id, std::move(backup));
  }
  for (const auto& [id, backup] : open_) {
    if (!open.contains(id)) expect_right_end(id, backup);
  }
  open_ = std::move(open);
}

// One that was published before its job ended may have been forgotten meanwhile.
void KnownPoints::expect_right_end(const std::string& id, const Interrupted& backup) const {
  if (!backup.complete) {
    EXPECT_FALSE(is_known(id)) << id << " was interrupted before it was complete, and is published";
    return;
  }
  const bool lost = backup.pruned && is_told_lost(id, backup);
  EXPECT_TRUE(is_known(id) || backup.published || lost) << id << " was complete, and is not published";
}

bool KnownPoints::is_told_lost(const std::string& id, const Interrupted& backup) const {
  const std::vector<job::JobRecord> ended =
      job::Journal(subject_.state_dir()).backups_beginning(backup.instant.uuid, id);
  return ended.size() == 1 && ended.front().error.find("cannot be published: a prune removed") != std::string::npos;
}

std::vector<job::JobRecord> KnownPoints::open_jobs() const {
  if (!job::Journal::is_there(subject_.state_dir())) return {};
  return job::Journal(subject_.state_dir()).open_jobs();
}

bool KnownPoints::is_known(const std::string& id) const {
  return std::any_of(points_.begin(), points_.end(), [&](const Point& point) { return point.id == id; });
}

void KnownPoints::forget(const std::string& id) {
  std::erase_if(points_, [&](const Point& point) { return point.id == id; });
}

void KnownPoints::note_prune() {
  for (auto& [id, backup] : open_) backup.pruned = true;
}

bool KnownPoints::may_have_lost_one() const {
  return std::any_of(open_.begin(), open_.end(),
                     [](const auto& entry) { return entry.second.complete && entry.second.pruned; });
}

}  // namespace icecore::system_test
