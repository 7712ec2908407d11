// SPDX-License-Identifier: Apache-2.0
#include "job/restore_checks.hpp"

#include <fmt/ranges.h>

#include "base/error.hpp"
#include "base/id.hpp"

namespace icecore::job {

using base::Fault;
using repository::Manifest;

void require_sound_options(const RestoreOptions& options) {
  if (options.disks_only && !options.to && !options.pool && options.disk_paths.empty())
    base::fail(Fault::usage, "--disks-only needs --to DIR, --pool NAME or --disk-path TARGET=PATH");
  if (options.disks_only && (options.new_name || options.replace || options.start)) {
    base::fail(Fault::usage, "--disks-only defines no domain; it does not go with --as, --replace or --start");
  }
  if (options.keep_identity && !options.new_name)
    base::fail(Fault::usage, "--keep-identity goes with --as NAME; without a new name a domain keeps it anyway");
  if (options.new_name && options.replace) base::fail(Fault::usage, "--as and --replace exclude each other");
  if (options.to && options.replace) base::fail(Fault::usage, "--to and --replace exclude each other");
  if (options.to && options.pool) base::fail(Fault::usage, "--to and --pool exclude each other");
  if (options.pool && options.replace) base::fail(Fault::usage, "--pool and --replace exclude each other");
  if (options.paused && (options.discard_memory || options.start || options.disks_only))
    base::fail(Fault::usage,
               "--paused is about the guest's memory; it does not go with --discard-memory, --start or "
               "--disks-only");
  if (options.disks_only && !options.networks.empty())
    base::fail(Fault::usage, "--disks-only defines no domain; it does not go with --map-network");
}

std::optional<repository::DamageMark> accepted_damage(repository::Repository& repository, const Manifest& manifest,
                                                      const RestoreOptions& options) {
  std::optional<repository::DamageMark> damage = repository::load_damage(repository, manifest.id);
  if (!damage || options.allow_damaged) return damage;
  throw base::Error(Fault::corrupt,
                    fmt::format("restore point {} of '{}' has lost blocks of {} disks", base::short_id(manifest.id),
                                manifest.domain_name, damage->disks.size()))
      .add_hint(
          fmt::format("take another point, or --allow-damaged: lost ranges then read as zeroes; `icecore show {}` "
                      "lists them",
                      base::short_id(manifest.id)));
}

std::vector<std::string> damage_notes(const repository::DamageMark& damage, std::uint64_t block_bytes) {
  std::vector<std::string> notes;
  for (const repository::DamagedDisk& disk : damage.disks) {
    for (const repository::BlockRange& range : disk.lost) {
      notes.push_back(fmt::format("disk '{}': {} bytes at byte {} are lost and read as zeroes", disk.disk,
                                  range.count * block_bytes, range.first * block_bytes));
    }
  }
  return notes;
}

void require_compatible(const std::vector<hypervisor::Finding>& findings) {
  std::vector<std::string> problems;
  std::string cure;
  for (const hypervisor::Finding& finding : findings) {
    if (!finding.blocks) continue;
    if (problems.empty()) cure = finding.cure;
    problems.push_back(finding.what);
  }
  if (problems.empty()) return;
  base::Error error(Fault::conflict, fmt::format("the domain cannot run on this host: {}", fmt::join(problems, "; ")));
  throw error.add_hint(cure + "; or --allow-incompatible, which defines it all the same");
}

}  // namespace icecore::job
