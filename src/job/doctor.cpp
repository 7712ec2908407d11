// SPDX-License-Identifier: Apache-2.0
#include "job/doctor.hpp"

#include <unistd.h>

#include <functional>
#include <set>

#include "base/id.hpp"
#include "base/process.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/domain.hpp"
#include "job/backup_plan.hpp"
#include "job/doctor_bitmaps.hpp"
#include "job/domain_lock.hpp"
#include "job/journal.hpp"
#include "job/kept_layer.hpp"
#include "job/layer_since.hpp"
#include "job/overlay_place.hpp"

namespace icecore::job {

namespace {

using Findings = std::vector<Finding>;

constexpr base::Milliseconds k_program_deadline = std::chrono::seconds(10);
constexpr double k_free_share_advised = 0.1;

// Runs one group of checks; what it throws becomes a finding of its own.
void examine(Findings& findings, const std::string& subject, const std::string& hint,
             const std::function<void()>& checks) {
  try {
    checks();
  } catch (const base::Error& error) {
    findings.push_back({Severity::problem, subject, error.what(), error.hint().empty() ? hint : error.hint()});
  } catch (const std::filesystem::filesystem_error& error) {
    findings.push_back({Severity::problem, subject, error.what(), hint});
  }
}

void examine_programs(Findings& findings) {
  for (const char* program : {"qemu-img", "qemu-nbd"}) {
    examine(findings, program, "apt install qemu-utils", [&] {
      const std::string output = base::run_checked({.arguments = {program, "--version"}}, k_program_deadline);
      findings.push_back({Severity::good, program, output.substr(0, output.find('\n')), ""});
    });
  }
}

void examine_state_dir(Findings& findings, const JobContext& context) {
  const std::string folder = context.state_dir.string();
  if (!std::filesystem::exists(context.state_dir)) {
    findings.push_back({Severity::good, "state folder", "'" + folder + "' will be made by the first job", ""});
    return;
  }
  if (::access(folder.c_str(), W_OK) != 0) {
    findings.push_back({Severity::problem, "state folder", "'" + folder + "' is not writable for this user",
                        "run as root, or name another with --state-dir"});
    return;
  }
  const auto [bytes, share] = free_space(context.state_dir);
  const Severity severity = share < k_free_share_advised ? Severity::advice : Severity::good;
  findings.push_back({severity, "state folder", fmt::format("'{}', {} free", folder, base::format_size(bytes)), ""});
}

void examine_job(Findings& findings, const JobRecord& job) {
  const std::string subject =
      fmt::format("{} {} of '{}'", to_string(job.kind), base::short_id(job.id), job.domain_name);
  const std::string since = fmt::format("since {} in state '{}'", base::format_time(job.updated), to_string(job.state));
  if (DomainLock::is_held(job.domain_uuid)) {
    findings.push_back({Severity::good, subject, "is at work, " + since, ""});
  } else {
    findings.push_back({Severity::problem, subject,
                        "was interrupted, " + since + (job.error.empty() ? "" : ": " + job.error), "icecore recover"});
  }
}

// Opening a journal makes one; a diagnosis makes nothing.
std::vector<JobRecord> open_jobs(const JobContext& context) {
  if (!Journal::is_there(context.state_dir)) return {};
  return Journal(context.state_dir).open_jobs();
}

void examine_journal(Findings& findings, const JobContext& context) {
  const std::vector<JobRecord> jobs = open_jobs(context);
  if (jobs.empty()) findings.push_back({Severity::good, "journal", "no job is open", ""});
  for (const JobRecord& job : jobs) examine_job(findings, job);
}

void examine_bitmaps(Findings& findings, hypervisor::Domain& domain, const hypervisor::DomainModel& model,
                     const BitmapOwners& owners) {
  if (DomainLock::is_held(model.uuid)) return;  // a backup is making some
  for (Finding& finding : diagnose_bitmaps(domain, model, owners)) findings.push_back(std::move(finding));
}

// Kept on purpose; but it grows until the next backup.
void examine_layer(Findings& findings, const hypervisor::DomainModel& model, const hypervisor::DiskModel& disk) {
  const std::filesystem::path layer = disk.source.path;
  const auto [bytes, share] = free_space(layer.parent_path());
  const bool is_low = share < k_free_share_advised;
  std::string text = fmt::format("disk '{}' is on the layer '{}' that backups with --change-map=layer keep, {}",
                                 disk.target, layer.string(), describe_layer(layer));
  if (is_low)
    text += fmt::format(", and only {} ({:.0f} %) are free there: the guest is paused when nothing is",
                        base::format_size(bytes), share * 100);
  findings.push_back(
      {is_low ? Severity::advice : Severity::good, "domain '" + model.name + "'", std::move(text),
       fmt::format("icecore recover {} --merge-layers, which ends it", base::shell_operand(model.name))});
}

// One of a domain that was defined anew with another UUID: to its backups it is an image like any other.
void examine_layer_of_another(Findings& findings, const hypervisor::DomainModel& model,
                              const hypervisor::DiskModel& disk, const std::set<std::string>& uuids,
                              const std::string& uri) {
  const std::string other = domain_of_layer(disk.source.path);
  if (other.empty() || uuids.contains(other)) return;
  std::string text = fmt::format(
      "disk '{}' is on the layer '{}' that backups kept for the UUID {}, which no domain has any more: no backup ends "
      "it",
      disk.target, disk.source.path, other);
  // Shallow: what lies below its home may be another domain's too.
  std::string hint = fmt::format(
      "when the domain runs: virsh -c {} blockcommit {} {} --active --shallow --pivot --wait; then remove the file",
      base::shell_word(uri), base::shell_operand(model.name), disk.target);
  findings.push_back({Severity::advice, "domain '" + model.name + "'", std::move(text), std::move(hint)});
}

void examine_overlays(Findings& findings, const hypervisor::DomainModel& model, const std::vector<JobRecord>& jobs) {
  for (const hypervisor::DiskModel& disk : model.disks) {
    if (is_kept_layer(disk.source.path, model.uuid)) examine_layer(findings, model, disk);
    if (!is_our_overlay(disk.source.path, model.uuid)) continue;
    if (DomainLock::is_held(model.uuid)) continue;  // a backup is running
    const bool journalled =
        std::any_of(jobs.begin(), jobs.end(), [&](const JobRecord& job) { return job.domain_uuid == model.uuid; });
    findings.push_back({Severity::problem, "domain '" + model.name + "'",
                        fmt::format("disk '{}' is on our overlay '{}'{}", disk.target, disk.source.path,
                                    journalled ? "" : ", which this journal does not know"),
                        "icecore recover " + base::shell_operand(model.name)});
  }
}

void examine_libvirt(Findings& findings, const JobContext& context, BitmapOwners owners) {
  hypervisor::Connection connection(context.connect_uri);
  const unsigned long version = connection.library_version();
  findings.push_back({Severity::good, "libvirt",
                      fmt::format("{} answers, version {}.{}.{}", context.connect_uri, version / 1'000'000,
                                  version / 1000 % 1000, version % 1000),
                      ""});
  const std::vector<JobRecord> jobs = open_jobs(context);
  for (const JobRecord& job : jobs) owners.open_jobs.insert(job.id);
  const std::vector<hypervisor::DomainSummary> domains = connection.domains();
  std::set<std::string> uuids;
  for (const hypervisor::DomainSummary& summary : domains) uuids.insert(summary.uuid);
  for (const hypervisor::DomainSummary& summary : domains) {
    examine(findings, "domain '" + summary.name + "'", "", [&] {
      hypervisor::Domain domain = connection.domain(summary.uuid);
      const hypervisor::DomainModel model = domain.model();
      examine_overlays(findings, model, jobs);
      for (const hypervisor::DiskModel& disk : model.disks)
        examine_layer_of_another(findings, model, disk, uuids, context.connect_uri);
      examine_bitmaps(findings, domain, model, owners);
    });
  }
}

void examine_repository(Findings& findings, const JobContext& context, repository::Repository& repository) {
  const std::string url = repository.storage().url();
  // Reading the index keeps it in a cache below the state folder, which is for the first job to make.
  if (std::filesystem::exists(context.state_dir)) repository.refresh_index();
  findings.push_back({Severity::good, "repository",
                      fmt::format("'{}' opens, {}", url, repository.config().encrypted ? "encrypted" : "not encrypted"),
                      ""});
}

}  // namespace

std::vector<Finding> diagnose(const JobContext& context, repository::Repository* repository,
                              const std::set<std::string>& known_repositories) {
  Findings findings;
  examine_programs(findings);
  examine(findings, "state folder", "name another with --state-dir", [&] { examine_state_dir(findings, context); });
  examine(findings, "journal", "", [&] { examine_journal(findings, context); });
  examine(findings, "libvirt", "systemctl status libvirtd", [&] {
    examine_libvirt(findings, context, {repository, known_repositories, {}});
  });
  if (repository != nullptr) {
    examine(findings, "repository", "", [&] { examine_repository(findings, context, *repository); });
  }
  return findings;
}

}  // namespace icecore::job
