// SPDX-License-Identifier: Apache-2.0
#include "job/staging_check.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/id.hpp"
#include "staging/spool.hpp"

namespace icecore::job {

namespace {

using staging::ObjectClass;
using staging::ObjectState;
using staging::QueuedObject;
using Objects = std::vector<QueuedObject>;

// A prune elsewhere leaves the blocks that a waiting point counts on for so long.
constexpr std::chrono::hours k_wait_advised{24};

// "manifests/<uuid>/20261121T093000123Z-<id>"
struct StagedPoint {
  std::string domain_uuid;
  base::Timestamp time{};
  std::string id;
};

StagedPoint point_of(const std::string& name) {
  constexpr std::size_t k_time_letters = 19;
  const std::size_t uuid = name.find('/') + 1;
  const std::size_t file = name.rfind('/') + 1;
  StagedPoint point;
  if (file <= uuid || name.size() < file + k_time_letters + 1) base::fail(base::Fault::corrupt, "it holds '{}'", name);
  point.domain_uuid = name.substr(uuid, file - uuid - 1);
  const std::string time = name.substr(file, k_time_letters);
  point.time =
      base::parse_time(fmt::format("{}-{}-{}T{}:{}:{}.{}Z", time.substr(0, 4), time.substr(4, 2), time.substr(6, 2),
                                   time.substr(9, 2), time.substr(11, 2), time.substr(13, 2), time.substr(15, 3)));
  point.id = base::short_id(name.substr(file + k_time_letters + 1));
  return point;
}

Objects manifests_in(const staging::UploadQueue& queue, ObjectState state) {
  Objects objects = queue.in_state(state);
  std::erase_if(objects, [](const QueuedObject& object) { return object.kind != ObjectClass::manifest; });
  return objects;
}

void find_waiting(const staging::UploadQueue& queue, const std::string& url, const std::string& upload,
                  base::Timestamp now, std::vector<Finding>& findings) {
  const Objects waiting = manifests_in(queue, ObjectState::queued);
  if (waiting.empty()) return;
  base::Timestamp oldest = base::Timestamp::max();
  for (const QueuedObject& object : waiting) oldest = std::min(oldest, point_of(object.name).time);
  const bool long_ago = now - oldest > k_wait_advised;
  findings.push_back(
      {long_ago ? Severity::problem : Severity::advice, "staging",
       fmt::format("{} restore points of '{}' are on this host only, the oldest of {}; {} wait for their "
                   "upload",
                   waiting.size(), url, base::format_time(oldest), base::format_size(queue.bytes_queued())),
       upload});
}

void find_refused(const staging::UploadQueue& queue, const std::string& url, const std::string& upload,
                  std::vector<Finding>& findings) {
  Objects later = manifests_in(queue, ObjectState::published);
  for (const QueuedObject& kept : manifests_in(queue, ObjectState::kept)) later.push_back(kept);
  for (const QueuedObject& object : manifests_in(queue, ObjectState::refused)) {
    const StagedPoint point = point_of(object.name);
    const bool made_up_for = std::any_of(later.begin(), later.end(), [&](const QueuedObject& other) {
      return other.number > object.number && point_of(other.name).domain_uuid == point.domain_uuid;
    });
    if (made_up_for) continue;
    findings.push_back(
        {Severity::problem, "staging",
         fmt::format("restore point {} of domain {} cannot be published in '{}': {}", point.id, point.domain_uuid, url,
                     object.note),
         fmt::format("back that domain up again: icecore backup {}; or when it is gone: {} --drop-refused",
                     point.domain_uuid, upload)});
  }
}

}  // namespace

std::vector<Finding> diagnose_staging(const std::filesystem::path& staging_dir, const std::string& upload,
                                      base::Timestamp now) {
  std::vector<Finding> findings;
  for (const staging::SpoolPlace& place : staging::find_spools(staging_dir)) {
    // Opening a queue makes one; a diagnosis makes nothing.
    if (!std::filesystem::exists(place.folder / "queue.sqlite")) continue;
    try {
      const staging::UploadQueue queue(place.folder);
      find_waiting(queue, place.url, upload, now, findings);
      find_refused(queue, place.url, upload, findings);
    } catch (const base::Error& error) {
      findings.push_back({Severity::problem, "staging '" + place.folder.string() + "'", error.what(), error.hint()});
    }
  }
  if (findings.empty()) findings.push_back({Severity::good, "staging", "nothing waits for its upload", ""});
  return findings;
}

}  // namespace icecore::job
