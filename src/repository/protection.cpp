// SPDX-License-Identifier: Apache-2.0
#include "repository/protection.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/json.hpp"
#include "repository/envelope.hpp"
#include "repository/group.hpp"
#include "storage/get_if_there.hpp"

namespace icecore::repository {

using base::Fault;

namespace {

constexpr std::string_view k_folder = "protections";

Protection read_protection(Repository& repository, const std::string& point) {
  try {
    const base::Bytes object = repository.storage().get(protection_object(point), size_max(ObjectKind::protection));
    return decode_protection(repository.keys(), point, object);
  } catch (const base::Error& error) {
    // Which point is meant says the name. Losing a protection to a flipped bit would be the worse mistake.
    if (error.fault() != Fault::corrupt && error.fault() != Fault::usage) throw;
    return {.point = point, .reason = error.what(), .created = {}, .host = {}};
  }
}

// Nothing, too, when the disk there fails to read it.
std::optional<base::Bytes> bytes_of(Repository& repository, const std::string& object) {
  try {
    return storage::get_if_there(repository.storage(), object, size_max(ObjectKind::manifest));
  } catch (const base::Error& error) {
    if (error.fault() != Fault::corrupt) throw;
    return std::nullopt;
  }
}

void publish_again(Repository& repository, const Manifest& point) {
  publish(repository, point);
  complete_group(repository.keys(), repository.storage(), point);
}

}  // namespace

std::string protection_object(const std::string& point) { return std::string(k_folder) + "/" + point; }

base::Bytes encode_protection(const KeyRing& keys, const Protection& protection) {
  const base::Json json = {{"point", protection.point},
                           {"reason", protection.reason},
                           {"created", base::format_time(protection.created)},
                           {"host", protection.host}};
  const std::string text = json.dump(-1, ' ', false, base::Json::error_handler_t::replace);
  return seal(keys, ObjectKind::protection, protection_object(protection.point), base::as_bytes(text));
}

Protection decode_protection(const KeyRing& keys, const std::string& point, base::ByteView object) {
  const std::string name = protection_object(point);
  const std::string what = "protection '" + name + "'";
  const base::Json json = base::parse_json(base::to_string(open(keys, ObjectKind::protection, name, object)), what);
  const auto text = [&](std::string_view key) { return base::json_field<std::string>(json, key, what); };
  Protection protection{text("point"), text("reason"), parse_stored_time(text("created"), what), text("host")};
  if (protection.point != point) base::fail(Fault::corrupt, "{} is of point '{}'", what, protection.point);
  return protection;
}

bool is_protected(Repository& repository, const std::string& point) {
  return repository.storage().exists(protection_object(point));
}

bool protect(Repository& repository, const Protection& protection) {
  if (is_protected(repository, protection.point)) return false;
  repository.storage().put(protection_object(protection.point), encode_protection(repository.keys(), protection));
  return true;
}

bool unprotect(Repository& repository, const std::string& point) {
  if (!is_protected(repository, point)) return false;
  repository.storage().remove(protection_object(point));
  return true;
}

bool remove_point(Repository& repository, const Manifest& point) {
  if (is_protected(repository, point.id)) return false;
  base::failpoint("repository.before_forget");
  remove_manifest(repository.storage(), point);
  base::failpoint("repository.forgotten");
  // Somebody may have protected it between our look and our deed. They look for the manifest after writing the
  // protection, so that one of us sees the other. Its blocks are there: no prune has run since.
  if (!is_protected(repository, point.id)) return true;
  publish_again(repository, point);
  return false;
}

bool remove_unreadable(Repository& repository, const DamagedManifest& point) {
  const std::string id = point_of_manifest(point.object);
  if (is_protected(repository, id)) return false;
  const std::optional<base::Bytes> bytes = bytes_of(repository, point.object);
  remove_groups_of(repository, id);
  repository.storage().remove(point.object);
  base::failpoint("repository.forgotten");
  if (!bytes || !is_protected(repository, id)) return true;
  repository.storage().put(point.object, *bytes);
  return false;
}

bool leaves_one(Repository& repository, const std::vector<const Manifest*>& others, const Manifest& point) {
  const auto is_there = [&](const Manifest* other) { return repository.storage().exists(manifest_object(*other)); };
  // Newest first: mostly the first answer is the only one needed.
  if (std::any_of(others.rbegin(), others.rend(), is_there)) return true;
  publish_again(repository, point);
  return false;
}

Protections list_protections(Repository& repository) {
  Protections protections;
  for (const storage::ObjectInfo& object : repository.storage().list(std::string(k_folder))) {
    const std::string point = object.name.substr(object.name.rfind('/') + 1);
    protections.emplace(point, read_protection(repository, point));
  }
  return protections;
}

}  // namespace icecore::repository
