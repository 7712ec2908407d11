// SPDX-License-Identifier: Apache-2.0
#include "job/backup.hpp"

#include "base/error.hpp"
#include "job/backup_job.hpp"
#include "job/domain_lock.hpp"
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

}  // namespace

BackupReport run_backup(const JobContext& context, repository::Repository& repository, const std::string& domain_name,
                        const BackupOptions& options) {
  hypervisor::Connection connection(context.connect_uri);
  hypervisor::Domain domain = connection.domain(domain_name);
  const DomainLock lock(domain.uuid(), domain.name());
  recover_before_backup(context, connection, repository, domain);
  return base::with_context(
      [&] {
        BackupJob job(context, repository, domain, options);
        return run(job);
      },
      "backup of '{}'", domain.name());
}

}  // namespace icecore::job
