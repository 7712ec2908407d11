// SPDX-License-Identifier: Apache-2.0
// What AppArmor, SELinux or plain permissions of this host may do to a backup that libvirt itself would allow.
#pragma once

#include "job/explanation.hpp"

namespace icecore::hypervisor {
struct HostSecurity;
}

namespace icecore::job {

std::vector<Advice> security_advice(hypervisor::Connection& connection, const hypervisor::DomainModel& domain,
                                    const std::vector<ExplainedDisk>& disks);

// The same of facts. `libvirt_version` as 9000000 for 9.0.0.
std::vector<Advice> advice_on_labels(const hypervisor::HostSecurity& host, unsigned long libvirt_version,
                                     const hypervisor::DomainModel& domain, const std::vector<ExplainedDisk>& disks);
std::vector<Advice> advice_on_folders(const hypervisor::HostSecurity& host, const std::vector<ExplainedDisk>& disks);

}  // namespace icecore::job
