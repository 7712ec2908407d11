// SPDX-License-Identifier: Apache-2.0
#include "job/kept_layer.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <regex>

#include "base/error.hpp"
#include "disk/device_identity.hpp"
#include "hypervisor/domain_edit.hpp"
#include "hypervisor/file_use.hpp"
#include "job/layers_below.hpp"

namespace icecore::job {

namespace {

constexpr std::size_t k_run_digits = 8;
constexpr std::string_view k_suffix = ".layer.qcow2";

// The disk in the plan of the job that put the layer there; nothing: the journal does not know.
std::optional<PlannedDisk> made_by(Journal& journal, const std::string& domain_uuid,
                                   const std::filesystem::path& layer) {
  for (const JobRecord& job : journal.backups_beginning(domain_uuid, run_of_layer(layer))) {
    for (PlannedDisk& disk : parse_backup_plan(job.plan, job.id).disks) {
      if (disk.keeps_overlay && disk.overlay_path == layer) return std::move(disk);
    }
  }
  return std::nullopt;
}

// The image that its disk was at home in.
LayerHome home_under(const PlannedDisk& made) {
  return made.home.path.empty() ? LayerHome{made.base_path, made.format, made.definition} : made.home;
}

// A home may be moved: then it is the same file by another name, and the old one leads nowhere.
bool was_put_over(const PlannedDisk& made, const std::filesystem::path& home) {
  const std::filesystem::path then = home_under(made).path;
  if (then == home || disk::is_same_image(then, home)) return true;
  const std::size_t level = made.home.path.empty() ? 0 : 1;
  struct stat status {};
  const bool is_gone = ::stat(then.c_str(), &status) != 0;
  return is_gone && level < made.chain.size() && made.chain[level].inode != 0 && ::stat(home.c_str(), &status) == 0 &&
         status.st_ino == made.chain[level].inode;
}

}  // namespace

std::string layer_name(const std::string& domain_uuid, const std::string& target, const std::string& job_id) {
  return domain_uuid + "." + target + "." + job_id.substr(0, k_run_digits) + std::string(k_suffix);
}

std::string layer_pattern(const std::string& domain_uuid, const std::string& target) {
  return layer_name(domain_uuid, target, "*");
}

bool is_kept_layer(const std::filesystem::path& path, const std::string& domain_uuid) {
  // The target as libvirt's schema has it: "vda1" is one.
  static const std::regex tail(R"(\.[a-z][a-zA-Z0-9_]*\.[0-9a-f]{8}\.layer\.qcow2)");
  const std::string name = path.filename().string();
  return name.starts_with(domain_uuid) && std::regex_match(name.substr(domain_uuid.size()), tail);
}

std::string domain_of_layer(const std::filesystem::path& path) {
  constexpr std::size_t k_uuid_length = 36;
  const std::string uuid = path.filename().string().substr(0, k_uuid_length);
  return uuid.size() == k_uuid_length && is_kept_layer(path, uuid) ? uuid : "";
}

std::string run_of_layer(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  return name.substr(name.size() - k_suffix.size() - k_run_digits, k_run_digits);
}

std::size_t count_kept_layers(const std::vector<disk::ImageInfo>& chain, const std::string& domain_uuid) {
  const auto home = std::find_if_not(
      chain.begin(), chain.end(), [&](const disk::ImageInfo& image) { return is_kept_layer(image.path, domain_uuid); });
  return static_cast<std::size_t>(home - chain.begin());
}

std::string no_layer_reason(const hypervisor::DiskModel& disk, const std::vector<disk::ImageInfo>& chain,
                            const std::string& domain_uuid, bool transient) {
  if (transient) return "a transient domain has no definition that could hold a layer";
  const bool encrypted = std::any_of(chain.begin(), chain.end(), [](const auto& image) { return image.encrypted; });
  if (!disk.encryption.empty() || encrypted) return "its image is encrypted";
  // libvirt goes back to one only when the active image has it, and a layer that is merged loses its own.
  if (!chain.front().internal_snapshots.empty())
    return fmt::format("'{}' has internal snapshots", chain.front().path.string());
  for (std::size_t i = count_kept_layers(chain, domain_uuid); i < chain.size(); ++i) {
    if (is_kept_layer(chain[i].path, domain_uuid))
      return fmt::format("somebody put '{}' over the layer '{}'", chain.front().path.string(), chain[i].path.string());
  }
  return "";
}

std::string definition_of_home(Journal& journal, const std::string& domain_uuid, const std::filesystem::path& layer,
                               const std::filesystem::path& home) {
  const std::optional<PlannedDisk> made = made_by(journal, domain_uuid, layer);
  return made && home_under(*made).path == home ? home_under(*made).definition : "";
}

std::string strange_home(hypervisor::Connection& connection, Journal& journal, const std::string& domain_uuid,
                         const std::filesystem::path& layer, const std::filesystem::path& home) {
  if (is_kept_layer(home, domain_uuid)) return "";  // a merge that was not finished
  if (const std::optional<PlannedDisk> made = made_by(journal, domain_uuid, layer)) {
    if (was_put_over(*made, home)) return "";
    return fmt::format("its layer was put over '{}', and somebody put it over '{}', which is not ours to write to",
                       home_under(*made).path.string(), home.string());
  }
  for (const hypervisor::FileUse& use : hypervisor::users_of(connection, home, layers_below)) {
    if (use.uuid == domain_uuid) continue;
    return fmt::format("'{}', over which its layer lies, is {} of domain '{}' too", home.string(), use.role,
                       use.domain);
  }
  return "";
}

std::optional<base::Error> refuse_strange_home(hypervisor::Connection& connection, Journal& journal,
                                               const std::string& domain_uuid, const PlannedDisk& disk) {
  if (!disk.keeps_overlay || disk.home.path.empty()) return std::nullopt;
  const std::string strange = strange_home(connection, journal, domain_uuid, disk.base_path, disk.home.path);
  if (strange.empty()) return std::nullopt;
  base::Error error(base::Fault::conflict, fmt::format("disk '{}': {}", disk.target, strange));
  return error.add_hint(fmt::format("another --change-map backs it up where it is, on '{}'", disk.base_path.string()));
}

void name_home(PlannedDisk& disk, Journal& journal, const std::string& domain_uuid) {
  if (disk.home.path.empty()) return;
  disk.home.definition = definition_of_home(journal, domain_uuid, disk.base_path, disk.home.path);
  if (const auto made = made_by(journal, domain_uuid, disk.base_path)) disk.home.settled_ns = made->frozen_ns;
}

std::string without_layers(const std::string& xml, Journal& journal) {
  const hypervisor::DomainModel model = hypervisor::parse_domain(xml);
  std::string text = xml;
  for (const hypervisor::DiskModel& disk : model.disks) {
    if (!is_kept_layer(disk.source.path, model.uuid)) continue;
    const std::vector<disk::ImageInfo> chain = disk::inspect_chain(disk.source.path, "qcow2");
    const std::size_t layers = count_kept_layers(chain, model.uuid);
    if (layers == chain.size()) continue;  // over nothing: there is no home to name
    const std::filesystem::path& home = chain[layers].path;
    const std::string definition = definition_of_home(journal, model.uuid, chain[layers - 1].path, home);
    text = definition.empty() ? hypervisor::set_disk_source(text, disk.target, home.string(), chain[layers].format)
                              : hypervisor::put_image_back(text, disk.target, definition);
  }
  return text;
}

}  // namespace icecore::job
