// SPDX-License-Identifier: Apache-2.0
#include "job/restore_domain.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/domain_edit.hpp"
#include "hypervisor/storage_pool.hpp"
#include "hypervisor/text_diff.hpp"
#include "hypervisor/volume.hpp"
#include "job/backup_plan.hpp"
#include "job/firmware.hpp"

namespace icecore::job {

using base::Fault;
using repository::Manifest;

namespace {

std::string for_eyes(const std::string& xml) { return hypervisor::normalised_xml(hypervisor::without_secrets(xml)); }

constexpr std::size_t k_id_digits = 8;  // of a point, for people

// A disk that is kept as it is must not lie where another one is restored to.
void require_disks_apart(const RestorePlan& plan, const hypervisor::DomainModel& model) {
  for (const PlannedFile& file : plan.files) {
    for (const hypervisor::DiskModel& disk : model.disks) {
      if (disk.target == file.target || !is_place_of(disk, file)) continue;
      base::fail(Fault::conflict, "disk '{}' would be restored to '{}', which is disk '{}' of the domain", file.target,
                 file.path.string(), disk.target);
    }
  }
}

bool has_tpm_state(const Manifest& manifest) {
  return std::any_of(manifest.blobs.begin(), manifest.blobs.end(),
                     [](const repository::ManifestBlob& blob) { return blob.kind == k_tpm_blob; });
}

// The pool of a disk that was a volume and is restored to where that volume lies; empty: it was none, it comes back
// elsewhere, or the pool is not there or not started, so that a domain which named the volume would not start.
std::string pool_of(hypervisor::Connection& connection, const hypervisor::DomainModel& saved, const PlannedFile& file) {
  const hypervisor::DiskModel* const disk = saved.find_disk(file.target);
  if (disk == nullptr || disk->source.kind != hypervisor::SourceKind::volume) return {};
  if (!disk->source.unresolved.empty() || !is_place_of(*disk, file)) return {};
  return hypervisor::find_pool(connection, disk->source.pool).active ? disk->source.pool : std::string();
}

// As the definition named it, where that leads there: a link may lead elsewhere tomorrow.
std::string name_in_definition(const hypervisor::DomainModel& saved, const PlannedFile& file) {
  const hypervisor::DiskModel* const disk = saved.find_disk(file.target);
  return disk != nullptr && is_place_of(*disk, file) ? disk->source.path : file.path.string();
}

std::vector<hypervisor::DiskPlacement> place_disks(hypervisor::Connection& connection, RestorePlan& plan,
                                                   const std::string& saved_xml) {
  hypervisor::DomainModel saved = hypervisor::parse_domain(saved_xml);
  hypervisor::resolve_volumes(connection, saved);
  std::vector<hypervisor::DiskPlacement> placements;
  for (const PlannedFile& file : plan.files) {
    const std::string pool = pool_of(connection, saved, file);
    if (!pool.empty()) plan.pools.insert(pool);
    placements.push_back({file.target, name_in_definition(saved, file), file.format, !pool.empty()});
  }
  return placements;
}

[[noreturn]] void fail_domain_exists(const std::string& name) {
  base::Error error(Fault::conflict, fmt::format("domain '{}' exists", name));
  throw error.add_hint("restore under another name with --as NAME, or in its place with --replace");
}

// Which is another domain for all icecore knows: nothing of it is replaced.
[[noreturn]] void fail_name_taken(const std::string& name) {
  base::Error error(Fault::conflict, fmt::format("another domain is called '{}', with another UUID", name));
  throw error.add_hint(
      fmt::format("restore under another name with --as NAME, or rename that one: virsh domrename {} NAME",
                  base::shell_operand(name)));
}

[[noreturn]] void fail_same_identity(const std::string& name) {
  base::Error error(Fault::conflict, fmt::format("domain '{}' has the same UUID, which only one can have", name));
  throw error.add_hint(
      fmt::format("leave out --keep-identity for a second domain, or `virsh domrename {} NAME` to give "
                  "this one another name",
                  base::shell_operand(name)));
}

// libvirt defines no UUID it knows under another name.
void require_same_name(const hypervisor::Domain& domain, const std::string& name) {
  if (domain.name() == name) return;
  base::Error error(Fault::conflict,
                    fmt::format("domain '{}' is called '{}' now, so it cannot be replaced", name, domain.name()));
  throw error.add_hint(fmt::format("virsh domrename {} {}; or restore under another name with --as NAME",
                                   base::shell_operand(domain.name()), base::shell_operand(name)));
}

// Nobody has its disks but its definition.
void require_replaceable(hypervisor::Domain domain, const std::string& name) {
  require_same_name(domain, name);
  require_off(domain);
  require_at_rest(std::move(domain));
}

}  // namespace

bool is_place_of(const hypervisor::DiskModel& disk, const PlannedFile& file) {
  return std::filesystem::weakly_canonical(disk.source.path) == std::filesystem::weakly_canonical(file.path);
}

void require_off(hypervisor::Domain& domain) {
  if (!domain.active()) return;
  base::Error error(Fault::busy, fmt::format("domain '{}' is running and cannot be replaced", domain.name()));
  throw error.add_hint("virsh shutdown " + base::shell_operand(domain.name()));
}

void require_at_rest(hypervisor::Domain domain) {
  if (domain.migrated_away()) {
    base::Error error(
        Fault::conflict,
        fmt::format("domain '{}' was migrated away: its disks may be in use there, and cannot be replaced",
                    domain.name()));
    throw error.add_hint("migrate it back first; or restore under another name with --as NAME");
  }
  if (domain.has_managed_save()) {
    base::Error error(
        Fault::conflict,
        fmt::format("domain '{}' has a saved memory image that fits only its present disks", domain.name()));
    throw error.add_hint("virsh managedsave-remove " + base::shell_operand(domain.name()));
  }
}

void require_place_for_domain(hypervisor::Connection& connection, const Manifest& manifest,
                              const RestoreOptions& options) {
  const std::string name = options.new_name.value_or(manifest.domain_name);
  const bool has_uuid = (!options.new_name || options.keep_identity) && connection.has_domain(manifest.domain_uuid);
  if (has_uuid && options.replace) {
    require_replaceable(connection.domain(manifest.domain_uuid), name);
    return;
  }
  if (has_uuid && options.keep_identity) fail_same_identity(connection.domain(manifest.domain_uuid).name());
  if (has_uuid) fail_domain_exists(connection.domain(manifest.domain_uuid).name());
  if (connection.has_domain(name)) fail_name_taken(name);
}

void require_no_overlays(hypervisor::Connection& connection, const Manifest& manifest, const RestoreOptions& options) {
  if (!options.replace || !connection.has_domain(manifest.domain_uuid)) return;
  hypervisor::Domain domain = connection.domain(manifest.domain_uuid);
  for (const hypervisor::DiskModel& disk : domain.inactive_model().disks) {
    if (!is_our_overlay(disk.source.path, domain.uuid())) continue;
    base::Error error(Fault::conflict, fmt::format("disk '{}' of domain '{}' is on '{}', an overlay that a backup left",
                                                   disk.target, domain.name(), disk.source.path));
    throw error.add_hint("icecore recover " + base::shell_operand(domain.name()));
  }
}

std::string replaced_definition(hypervisor::Connection& connection, const Manifest& manifest,
                                const RestoreOptions& options) {
  const bool is_there = options.replace && connection.has_domain(manifest.domain_uuid);
  return is_there ? connection.domain(manifest.domain_uuid).inactive_xml() : std::string();
}

void plan_domain(hypervisor::Connection& connection, PreparedRestore& prepared, const Manifest& manifest,
                 const RestoreOptions& options, const std::string& replaced) {
  const std::string& saved = manifest.inactive_xml.empty() ? manifest.live_xml : manifest.inactive_xml;
  hypervisor::RestoreXmlOptions xml_options;
  if (options.new_name) xml_options.name = *options.new_name;
  xml_options.new_identity = options.new_name.has_value() && !options.keep_identity;
  xml_options.keep_other_disks = options.replace;
  xml_options.present_xml = replaced;
  xml_options.single_disks = !options.disks.empty();
  xml_options.networks = options.networks;
  xml_options.nvram_path = prepared.firmware.nvram.string();
  xml_options.boot_files = prepared.firmware.boot_files;
  xml_options.tpm_restored = has_tpm_state(manifest);
  xml_options.disks = place_disks(connection, prepared.plan, saved);
  if (manifest.inactive_xml.empty())
    prepared.notes.push_back("the domain was transient: what comes back is defined for good");
  const hypervisor::RestoreXml xml = hypervisor::make_restore_xml(saved, xml_options);
  require_disks_apart(prepared.plan, hypervisor::parse_domain(xml.xml));
  prepared.plan.domain_name = xml.name;
  prepared.plan.domain_uuid = xml.uuid;
  prepared.plan.define_xml = xml.xml;
  prepared.notes.insert(prepared.notes.end(), xml.notices.begin(), xml.notices.end());
  prepared.xml_diff =
      replaced.empty()
          ? hypervisor::unified_diff(for_eyes(saved), for_eyes(xml.xml),
                                     "restore point " + manifest.id.substr(0, k_id_digits), "domain " + xml.name)
          : hypervisor::unified_diff(for_eyes(replaced), for_eyes(xml.xml), "domain " + xml.name + " now",
                                     "domain " + xml.name + " restored");
}

}  // namespace icecore::job
