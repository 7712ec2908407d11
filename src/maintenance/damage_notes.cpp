// SPDX-License-Identifier: Apache-2.0
#include "maintenance/damage_notes.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "repository/envelope.hpp"
#include "storage/get_if_there.hpp"

namespace icecore::maintenance {

using repository::DamagedDisk;
using repository::DamageMark;

namespace {

std::optional<base::Bytes> read_mark(repository::Repository& repository, const std::string& point) {
  return storage::get_if_there(repository.storage(), repository::damage_object(point),
                               repository::size_max(repository::ObjectKind::damage));
}

bool covers_all(const DamageMark& mark, const std::vector<DamagedDisk>& disks) {
  return std::all_of(disks.begin(), disks.end(),
                     [&](const DamagedDisk& disk) { return repository::covers(mark, disk.disk, disk.lost); });
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

DamageNotes::DamageNotes(repository::Repository& repository) : repository_(repository) {
  for (const std::string& point : repository::list_damaged_points(repository)) {
    if (auto bytes = read_mark(repository, point)) before_[point] = std::move(*bytes);
  }
}

std::vector<std::string> DamageNotes::settle_repaired(const Survey& survey) {
  const Marks marks = marks_for(survey);
  for (const auto& [point, mark] : marks) repository::store_damage(repository_, mark);
  return remove_healed(survey, marks);
}

std::vector<std::string> DamageNotes::settle_found(const Survey& survey) {
  const Marks marks = marks_for(survey);
  for (const auto& [point, mark] : marks) note_found(mark);
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

void DamageNotes::note_found(DamageMark mark) {
  if (!is_unchanged(mark.point_id)) return;
  const std::optional<DamageMark> before = known(mark.point_id);
  const bool all_known = before && covers_all(*before, mark.disks);
  if (all_known && covers_all(mark, before->disks)) return;
  mark.repaired = all_known && before->repaired;
  repository::store_damage(repository_, mark);
}

std::vector<std::string> DamageNotes::remove_healed(const Survey& survey, const Marks& marks) {
  std::vector<std::string> healed;
  if (!survey.taken_back.empty()) return healed;  // what only counts as taken back is not whole yet
  for (const auto& [point, bytes] : before_) {
    if (marks.contains(point) || is_unreadable(survey, point) || !is_unchanged(point)) continue;
    repository_.storage().remove(repository::damage_object(point));
    if (is_there(survey, point)) healed.push_back(point);
  }
  return healed;
}

bool DamageNotes::is_unchanged(const std::string& point) const {
  const auto before = before_.find(point);
  const std::optional<base::Bytes> now = read_mark(repository_, point);
  return before == before_.end() ? !now : now == before->second;
}

// Nothing, too, when it cannot be read.
std::optional<DamageMark> DamageNotes::known(const std::string& point) const {
  const auto before = before_.find(point);
  if (before == before_.end()) return std::nullopt;
  try {
    return repository::decode_damage(repository_, point, before->second);
  } catch (const base::Error& error) {
    if (error.fault() != base::Fault::corrupt) throw;
    return std::nullopt;
  }
}

}  // namespace icecore::maintenance
