// SPDX-License-Identifier: Apache-2.0
#include "job/restore_finish.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <system_error>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/file_time.hpp"
#include "base/log.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/storage_pool.hpp"
#include "job/restore_blobs.hpp"
#include "job/restore_domain.hpp"
#include "job/restore_memory.hpp"

namespace icecore::job {

namespace {

void replace_by(const PlannedFile& file) {
  if (::rename(file.work_path.c_str(), file.path.c_str()) != 0)
    base::fail_errno(errno, "rename '" + file.work_path.string() + "' to '" + file.path.string() + "'");
}

void name_file(const PlannedFile& file) {
  if (file.device || !std::filesystem::exists(file.work_path)) return;
  if (file.replaces) {
    replace_by(file);
  } else if (!base::rename_to_free_name(file.work_path, file.path)) {
    base::fail(base::Fault::conflict, "'{}' appeared while the restore was running", file.path.string());
  }
  base::sync_folder(file.path.parent_path());
  base::failpoint("restore.named");
}

// Also when a death left it both names.
bool is_named(const PlannedFile& file) {
  return !std::filesystem::exists(file.work_path) || base::is_same_file(file.work_path, file.path);
}

struct Written {
  std::uint64_t inode = 0;
  std::int64_t ns = 0;
};

// Nothing: it is not there.
std::optional<Written> look_at(const std::filesystem::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    base::fail_errno(errno, "look at '" + file.string() + "'");
  }
  return Written{status.st_ino, base::to_ns(status.st_mtim)};
}

bool is_as_written(const PlannedFile& file) {
  if (file.device || file.inode == 0) return true;  // nothing is known of it
  const auto waiting = look_at(file.work_path);
  if (waiting && waiting->inode == file.inode) return true;
  const auto named = look_at(file.path);
  return named && named->inode == file.inode && named->ns == file.written_ns;
}

bool is_on(const hypervisor::DiskModel& now, const hypervisor::DiskModel& planned, const PlannedFile& file) {
  // A pool that was not looked into since does not know its new volume yet.
  if (!now.source.unresolved.empty())
    return now.source.pool == planned.source.pool && now.source.volume == planned.source.volume;
  return is_place_of(now, file);
}

// Only files that are disks of the plan's domain have a place that can be asked for.
bool lies_elsewhere(const hypervisor::DomainModel& model, const RestorePlan& plan) {
  const hypervisor::DomainModel ours = hypervisor::parse_domain(plan.define_xml);
  return std::any_of(plan.files.begin(), plan.files.end(), [&](const PlannedFile& file) {
    const hypervisor::DiskModel* const planned = ours.find_disk(file.target);
    if (planned == nullptr) return false;
    const hypervisor::DiskModel* const now = model.find_disk(file.target);
    return now == nullptr || !is_on(*now, *planned, file);
  });
}

// Neither on the plan's files nor, the domain that gives way, on other disks: it would start from older ones next.
void require_nobody_at_work(hypervisor::Connection& connection, const RestorePlan& plan) {
  require_unused(connection, plan);
  if (!connection.has_domain(plan.domain_uuid)) return;
  hypervisor::Domain domain = connection.domain(plan.domain_uuid);
  require_off(domain);
}

}  // namespace

void note_written(RestorePlan& plan) {
  for (PlannedFile& file : plan.files) {
    file.whole = true;
    if (file.device) continue;
    const auto written = look_at(file.work_path);
    if (!written) base::fail(base::Fault::conflict, "'{}' was removed while it was restored", file.work_path.string());
    file.inode = written->inode;
    file.written_ns = written->ns;
  }
}

std::string why_superseded(hypervisor::Connection& connection, const RestorePlan& plan) {
  for (const PlannedFile& file : plan.files) {
    if (!is_as_written(file))
      return fmt::format("'{}' was used or removed since the restore was interrupted", file.path.string());
  }
  if (plan.replace || plan.domain_uuid.empty() || !connection.has_domain(plan.domain_uuid)) return {};
  hypervisor::Domain domain = connection.domain(plan.domain_uuid);
  if (domain.active()) return fmt::format("domain '{}' runs", domain.name());
  if (lies_elsewhere(domain.inactive_model(), plan)) return fmt::format("domain '{}' is on other disks", domain.name());
  return {};
}

void name_files(hypervisor::Connection* connection, const RestorePlan& plan) {
  if (plan.replace) require_nobody_at_work(*connection, plan);
  for (const PlannedFile& file : plan.files) name_file(file);
}

bool any_named(const RestorePlan& plan) {
  return std::any_of(plan.files.begin(), plan.files.end(),
                     [](const PlannedFile& file) { return file.device || is_named(file); });
}

std::string tell_device(const PlannedFile& file) {
  if (file.whole)
    return fmt::format("device '{}' was given disk '{}' of the point; its old content is gone", file.path.string(),
                       file.target);
  return fmt::format(
      "device '{}' was being written over and holds neither its old content nor disk '{}': restore onto it again",
      file.path.string(), file.target);
}

void define_domain(hypervisor::Connection& connection, const RestorePlan& plan) {
  if (plan.define_xml.empty()) return;
  base::with_context([&] { connection.define(plan.define_xml); }, "define domain '{}'", plan.domain_name);
}

bool is_defined(hypervisor::Connection& connection, const RestorePlan& plan) {
  return connection.has_domain(plan.domain_uuid) &&
         !lies_elsewhere(connection.domain(plan.domain_uuid).inactive_model(), plan);
}

void refresh_pools(hypervisor::Connection* connection, const RestorePlan& plan) {
  if (connection == nullptr) return;
  for (const std::string& pool : plan.pools) {
    try {
      hypervisor::refresh_pool(*connection, pool);
    } catch (const base::Error& error) {
      base::log_warning("{}; the new volumes show after `virsh pool-refresh {}`", error.what(),
                        base::shell_operand(pool));
    }
  }
}

void remove_files(const RestorePlan& plan, bool also_named) {
  remove_memory_file(plan);
  for (const PlannedFile& file : plan.files) {
    if (file.device) continue;
    // A work file that is gone was renamed by this job: only then is the named one ours to remove.
    const bool was_named = is_named(file);
    std::error_code failure;
    std::filesystem::remove(file.work_path, failure);
    if (!failure && also_named && was_named && !file.replaces) std::filesystem::remove(file.path, failure);
    if (failure) base::fail_errno(failure.value(), "remove '" + file.work_path.string() + "'");
  }
  remove_empty_tpm_folders(plan);
}

}  // namespace icecore::job
