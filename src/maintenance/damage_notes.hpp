// SPDX-License-Identifier: Apache-2.0
// Brings a repository's damage marks in line with what a survey found. The marks are remembered from before the survey:
// one that somebody else wrote meanwhile says more than the survey does, and stays.
//
// Threads: one at a time.
#pragma once

#include <map>

#include "maintenance/survey.hpp"
#include "repository/damage_mark.hpp"

namespace icecore::maintenance {

class DamageNotes {
 public:
  // Remembers the marks there are: to be made before the survey. `repository` outlives it.
  explicit DamageNotes(repository::Repository& repository);

  // After a repair: notes what points lost, whatever was noted before. Both return the points that had a mark and are
  // whole again. Marks of points that cannot be read stay; those of points that are gone go silently.
  std::vector<std::string> settle_repaired(const Survey& survey);
  // The same by somebody who has only looked.
  std::vector<std::string> settle_found(const Survey& survey);

 private:
  using Marks = std::map<std::string, repository::DamageMark>;
  static Marks marks_for(const Survey& survey);
  void note_found(repository::DamageMark mark);
  std::vector<std::string> remove_healed(const Survey& survey, const Marks& marks);
  bool is_unchanged(const std::string& point) const;
  std::optional<repository::DamageMark> known(const std::string& point) const;

  repository::Repository& repository_;
  std::map<std::string, base::Bytes> before_;  // by point
};

}  // namespace icecore::maintenance
