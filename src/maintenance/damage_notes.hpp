// SPDX-License-Identifier: Apache-2.0
// Brings a repository's damage marks in line with what a survey found. The marks are remembered from before the survey:
// one that somebody else wrote meanwhile says more than the survey does, and stays.
//
// Threads: one at a time.
#pragma once

#include "maintenance/survey.hpp"
#include "repository/damage_mark.hpp"

namespace icecore::maintenance {

class DamageNotes {
 public:
  // Remembers the marks there are: to be made before packs are read and the survey is made. `repository` outlives it.
  explicit DamageNotes(repository::Repository& repository);

  // Packs that somebody found damaged by reading them, and that a point lost blocks with. A survey that is not told
  // what they hold now would find such a point whole.
  const std::set<repository::PackId>& suspects() const noexcept { return suspects_; }
  // Marks that cannot be read.
  const std::vector<BadObject>& unreadable() const noexcept { return unreadable_; }

  // After a repair: notes what points lost, whatever was noted before. Both return the points that had a mark and are
  // whole again. Marks of points that cannot be read stay; those of points that are gone go silently.
  std::vector<std::string> settle_repaired(const Survey& survey);
  // The same by somebody who has only looked; `bad_packs` are those that were found damaged by reading them.
  std::vector<std::string> settle_found(const Survey& survey, const std::set<repository::PackId>& bad_packs);

 private:
  using Marks = std::map<std::string, repository::DamageMark>;
  static Marks marks_for(const Survey& survey);
  void note_found(repository::DamageMark mark);
  std::vector<std::string> remove_healed(const Survey& survey, const Marks& marks);
  const std::set<std::string>& objects_before(const std::string& point) const;

  repository::Repository& repository_;
  repository::DamageObjects before_;
  std::map<std::string, std::vector<repository::DamageMark>> known_;  // by point; those that can be read
  std::set<repository::PackId> suspects_;
  std::vector<BadObject> unreadable_;
};

}  // namespace icecore::maintenance
