// SPDX-License-Identifier: Apache-2.0
#include "maintenance/damage_notes.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace icecore::maintenance {

using repository::DamagedDisk;
using repository::DamageMark;
using repository::PackId;

namespace {

bool covers_all(const DamageMark& mark, const std::vector<DamagedDisk>& disks) {
  return std::all_of(disks.begin(), disks.end(),
                     [&](const DamagedDisk& disk) { return repository::covers(mark, disk.disk, disk.lost); });
}

bool says_the_same(const DamageMark& a, const DamageMark& b) {
  return covers_all(a, b.disks) && covers_all(b, a.disks) && a.packs == b.packs;
}

bool is_unreadable(const Survey& survey, const std::string& point) {
  return std::any_of(survey.bad_manifests.begin(), survey.bad_manifests.end(),
                     [&](const BadObject& bad) { return bad.object.ends_with("-" + point); });
}

bool is_there(const Survey& survey, const std::string& point) {
  return std::any_of(survey.points.begin(), survey.points.end(),
                     [&](const repository::Manifest& each) { return each.id == point; });
}

}  // namespace

DamageNotes::DamageNotes(repository::Repository& repository)
    : repository_(repository), before_(repository::list_damage(repository)) {
  for (const auto& [point, objects] : before_) {
    for (const std::string& object : objects) {
      try {
        const auto mark = repository::load_mark(repository, object);
        if (!mark) continue;
        suspects_.insert(mark->packs.begin(), mark->packs.end());
        known_[point].push_back(*mark);
      } catch (const base::Error& error) {
        if (error.fault() != base::Fault::corrupt && error.fault() != base::Fault::usage) throw;
        unreadable_.push_back({object, error.what()});
      }
    }
  }
}

std::vector<std::string> DamageNotes::settle_repaired(const Survey& survey) {
  const Marks marks = marks_for(survey);
  for (const auto& [point, mark] : marks) repository::store_damage(repository_, mark, objects_before(point));
  return remove_healed(survey, marks);
}

std::vector<std::string> DamageNotes::settle_found(const Survey& survey, const std::set<PackId>& bad_packs) {
  Marks marks = marks_for(survey);
  for (auto& [point, mark] : marks) {
    mark.packs = bad_packs;
    note_found(mark);
  }
  return remove_healed(survey, marks);
}

DamageNotes::Marks DamageNotes::marks_for(const Survey& survey) {
  Marks marks;
  for (const DiskLoss& loss : survey.losses) {
    DamageMark& mark = marks[loss.point_id];
    mark.point_id = loss.point_id;
    mark.noted = base::now();
    mark.disks.push_back({loss.disk, loss.ranges});
  }
  return marks;
}

// What a repair has taken care of stays so, as long as nothing is lost beside it.
void DamageNotes::note_found(DamageMark mark) {
  const auto found = known_.find(mark.point_id);
  const std::vector<DamageMark> known = found == known_.end() ? std::vector<DamageMark>() : found->second;
  mark.repaired = std::any_of(known.begin(), known.end(), [&](const DamageMark& before) {
    return before.repaired && covers_all(before, mark.disks);
  });
  const std::set<std::string>& before = objects_before(mark.point_id);
  if (before.size() == 1 && known.size() == 1 && says_the_same(known.front(), mark)) return;
  repository::store_damage(repository_, mark, before);
}

std::vector<std::string> DamageNotes::remove_healed(const Survey& survey, const Marks& marks) {
  std::vector<std::string> healed;
  if (!survey.taken_back.empty()) return healed;  // what only counts as taken back is not whole yet
  for (const auto& [point, objects] : before_) {
    if (marks.contains(point) || is_unreadable(survey, point)) continue;
    for (const std::string& object : objects) repository_.storage().remove(object);
    if (is_there(survey, point)) healed.push_back(point);
  }
  if (healed.empty()) return healed;
  const std::set<std::string> noted_meanwhile = repository::list_damaged_points(repository_);
  std::erase_if(healed, [&](const std::string& point) { return noted_meanwhile.contains(point); });
  return healed;
}

const std::set<std::string>& DamageNotes::objects_before(const std::string& point) const {
  static const std::set<std::string> none;
  const auto found = before_.find(point);
  return found == before_.end() ? none : found->second;
}

}  // namespace icecore::maintenance
