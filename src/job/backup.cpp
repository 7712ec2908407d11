// SPDX-License-Identifier: Apache-2.0
#include "job/backup.hpp"

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "job/backup_job.hpp"
#include "job/domain_lock.hpp"
#include "job/memory_plan.hpp"
#include "job/recover.hpp"

namespace icecore::job {

namespace {

BackupReport run(BackupJob& job) {
  job.plan();
  try {
    job.take_instant();
    job.store();
  } catch (base::Error& error) {
    job.give_up(error);
    throw;
  } catch (const std::exception& error) {
    base::Error failure(base::Fault::internal, error.what());
    job.give_up(failure);
    throw failure;
  }
  job.merge();
  return job.finish();
}

BackupReport run(const JobContext& context, repository::Repository& repository, hypervisor::Domain& domain,
                 const BackupOptions& options, const std::string& note = {}) {
  BackupJob job(context, repository, domain, options);
  if (!note.empty()) job.note(note);
  return run(job);
}

// A save that fails underway is undone as every backup is that is given up, and another one, with a journal entry of
// its own, takes the disks alone: who dies between the two leaves nothing to be told apart.
BackupReport run_with_memory_if_possible(const JobContext& context, repository::Repository& repository,
                                         hypervisor::Domain& domain, const BackupOptions& options) {
  std::string failure;
  {
    BackupJob job(context, repository, domain, options);
    try {
      return run(job);
    } catch (const base::Error& error) {
      if (!job.only_memory_failed()) throw;
      failure = error.what();
    }
  }
  base::failpoint("backup.without_memory");
  BackupOptions disks = options;
  disks.full_state = FullState::off;
  return run(context, repository, domain, disks, without_memory(failure));
}

}  // namespace

BackupReport run_backup(const JobContext& context, repository::Repository& repository, const std::string& domain_name,
                        const BackupOptions& options) {
  hypervisor::Connection connection(context.connect_uri);
  hypervisor::Domain domain = connection.domain(domain_name);
  const DomainLock lock(domain.uuid(), domain.name());
  recover_before_backup(context, connection, repository, domain);
  return base::with_context(
      [&] {
        return options.full_state == FullState::attempt
                   ? run_with_memory_if_possible(context, repository, domain, options)
                   : run(context, repository, domain, options);
      },
      "backup of '{}'", domain.name());
}

}  // namespace icecore::job
