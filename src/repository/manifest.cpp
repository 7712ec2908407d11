// SPDX-License-Identifier: Apache-2.0
#include "repository/manifest.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/log.hpp"
#include "repository/envelope.hpp"
#include "repository/group.hpp"
#include "repository/publish_check.hpp"

namespace icecore::repository {

using base::Fault;

namespace {

constexpr std::string_view k_hex = "0123456789abcdef";

// Both become parts of an object's name, so nothing else may be in them.
void check_identity(const Manifest& manifest) {
  const bool id_good = manifest.id.size() == 32 && manifest.id.find_first_not_of(k_hex) == std::string::npos;
  const bool uuid_good = manifest.domain_uuid.size() == 36 &&
                         manifest.domain_uuid.find_first_not_of("0123456789abcdef-") == std::string::npos;
  if (!id_good) base::fail(Fault::usage, "'{}' is no restore point id", manifest.id);
  if (!uuid_good) base::fail(Fault::usage, "'{}' is no lower-case UUID", manifest.domain_uuid);
}

// A point that turned out incomplete, which nobody was told of yet. Each by itself: with staging the manifest is here
// and a group's object only there.
void take_back(Repository& repository, const Manifest& manifest) noexcept {
  const auto remove = [&](const std::string& object) {
    try {
      if (!object.empty()) repository.storage().remove(object);
    } catch (const std::exception& error) {
      base::log_warning("'{}' lacks blocks and could not be removed again: {}", object, error.what());
    }
  };
  const std::string group = manifest.group ? group_object(*manifest.group) : "";
  remove(group);
  remove(manifest_object(manifest));
  remove(group);
}

void require_all_blocks(const Manifest& manifest, std::size_t gone) {
  if (gone == 0) return;
  throw base::Error(Fault::conflict, fmt::format("a prune removed {} blocks that this backup of '{}' relied on", gone,
                                                 manifest.domain_name))
      .add_hint("run the backup again");
}

base::Bytes sealed_bytes(Repository& repository, const Manifest& manifest) {
  return seal(repository.keys(), ObjectKind::manifest, manifest_object(manifest), encode_manifest(manifest));
}

std::string_view last_part(std::string_view name) { return name.substr(name.rfind('/') + 1); }

}  // namespace

std::string compact_time(base::Timestamp time) {
  std::string text = base::format_time(time);
  std::erase_if(text, [](char c) { return c == '-' || c == ':' || c == '.'; });
  return text;
}

std::string manifest_object(const std::string& domain_uuid, base::Timestamp time, const std::string& id) {
  return "manifests/" + domain_uuid + "/" + compact_time(time) + "-" + id;
}

const ManifestDisk* Manifest::find_disk(std::string_view target) const {
  const auto found = std::find_if(disks.begin(), disks.end(), [&](const auto& disk) { return disk.target == target; });
  return found == disks.end() ? nullptr : &*found;
}

std::string manifest_object(const Manifest& manifest) {
  return manifest_object(manifest.domain_uuid, manifest.time, manifest.id);
}

std::string point_of_manifest(const std::string& object) { return object.substr(object.rfind('-') + 1); }

std::string publish_unlooked(Repository& repository, const Manifest& manifest) {
  check_identity(manifest);
  const std::string object = manifest_object(manifest);
  repository.storage().put(object, sealed_bytes(repository, manifest));
  return object;
}

std::string publish(Repository& repository, const Manifest& manifest) {
  check_identity(manifest);
  const std::string object = manifest_object(manifest);
  const base::Bytes bytes = sealed_bytes(repository, manifest);
  require_all_blocks(manifest, count_gone_blocks(repository, manifest));
  base::failpoint("repository.before_manifest");
  const bool was_there = repository.storage().size_of(object).has_value();
  repository.storage().put(object, bytes);
  // Once more: a prune may have read the manifests before this one and replaced the index after the first look. What
  // it marked cannot be deleted while our lock is held.
  const std::size_t gone = count_gone_blocks(repository, manifest);
  if (gone > 0 && !was_there) take_back(repository, manifest);
  require_all_blocks(manifest, gone);
  return object;
}

Manifest load_manifest(Repository& repository, const std::string& object) {
  const base::Bytes bytes = repository.storage().get(object, size_max(ObjectKind::manifest));
  const base::Bytes payload = open(repository.keys(), ObjectKind::manifest, object, bytes);
  const std::string what = "manifest '" + object + "'";
  Manifest manifest = decode_manifest(payload, what);
  if (manifest_object(manifest) != object)
    base::fail(Fault::corrupt, "{} describes '{}'", what, manifest_object(manifest));
  return manifest;
}

std::vector<std::string> list_manifest_objects(Repository& repository, const std::optional<std::string>& domain_uuid) {
  std::vector<std::string> names;
  for (storage::ObjectInfo& object :
       repository.storage().list(domain_uuid ? "manifests/" + *domain_uuid : "manifests")) {
    names.push_back(std::move(object.name));
  }
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    return std::pair(last_part(a), std::string_view(a)) < std::pair(last_part(b), std::string_view(b));
  });
  return names;
}

std::vector<Manifest> list_manifests(Repository& repository, const std::optional<std::string>& domain_uuid,
                                     std::vector<DamagedManifest>* damaged) {
  std::vector<Manifest> manifests;
  for (const std::string& object : list_manifest_objects(repository, domain_uuid)) {
    try {
      manifests.push_back(load_manifest(repository, object));
    } catch (const base::Error& error) {
      if (error.fault() == Fault::not_found) continue;  // forgotten meanwhile
      if (damaged == nullptr || (error.fault() != Fault::corrupt && error.fault() != Fault::usage)) throw;
      damaged->push_back({object, error.what(), error.fault() == Fault::usage});
    }
  }
  return manifests;
}

}  // namespace icecore::repository
