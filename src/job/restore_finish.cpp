// SPDX-License-Identifier: Apache-2.0
#include "job/restore_finish.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/log.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/storage_pool.hpp"
#include "job/restore_blobs.hpp"
#include "job/restore_memory.hpp"

namespace icecore::job {

namespace {

void name_file(const PlannedFile& file) {
  if (file.device || !std::filesystem::exists(file.work_path)) return;
  const unsigned flags = file.replaces ? 0 : RENAME_NOREPLACE;
  if (::renameat2(AT_FDCWD, file.work_path.c_str(), AT_FDCWD, file.path.c_str(), flags) != 0) {
    if (errno == EEXIST)
      base::fail(base::Fault::conflict, "'{}' appeared while the restore was running", file.path.string());
    base::fail_errno(errno, "rename '" + file.work_path.string() + "' to '" + file.path.string() + "'");
  }
  base::sync_folder(file.path.parent_path());
  base::failpoint("restore.named");
}

}  // namespace

void name_files(hypervisor::Connection* connection, const RestorePlan& plan) {
  if (plan.replace) require_unused(*connection, plan);
  for (const PlannedFile& file : plan.files) name_file(file);
}

bool any_named(const RestorePlan& plan) {
  return std::any_of(plan.files.begin(), plan.files.end(),
                     [](const PlannedFile& file) { return file.device || !std::filesystem::exists(file.work_path); });
}

void define_domain(hypervisor::Connection& connection, const RestorePlan& plan) {
  if (plan.define_xml.empty()) return;
  base::with_context([&] { connection.define(plan.define_xml); }, "define domain '{}'", plan.domain_name);
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
    const bool was_named = !std::filesystem::exists(file.work_path);
    std::error_code failure;
    std::filesystem::remove(file.work_path, failure);
    if (!failure && also_named && was_named && !file.replaces) std::filesystem::remove(file.path, failure);
    if (failure) base::fail_errno(failure.value(), "remove '" + file.work_path.string() + "'");
  }
  remove_empty_tpm_folders(plan);
}

}  // namespace icecore::job
