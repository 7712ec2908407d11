// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/max_downtime.hpp"

#include <exception>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/libvirt_worker.hpp"

namespace icecore::hypervisor {

namespace {

constexpr base::Milliseconds k_call_deadline = std::chrono::seconds(10);

}  // namespace

std::optional<base::Milliseconds> longer_downtime(Domain& domain, const HelperProgram& helper) {
  try {
    const CallResult found = LibvirtWorker(domain, helper).max_downtime(k_call_deadline);
    found.check("the downtime limit of domain '" + domain.name() + "'");
    if (found.max_downtime > k_save_downtime) return found.max_downtime;
  } catch (const base::Error& error) {
    base::log_warning("{}", error.what());
  }
  return std::nullopt;
}

void put_back_max_downtime(Domain& domain, base::Milliseconds limit, const HelperProgram& helper) noexcept {
  try {
    if (!domain.active()) return;
    LibvirtWorker(domain, helper).set_max_downtime(limit, k_call_deadline).check("set the downtime limit");
  } catch (const std::exception& error) {
    base::log_warning(
        "domain '{0}' still has the short downtime limit of saving its memory: {1}; put it back with "
        "`virsh migrate-setmaxdowntime {2} {3}`",
        domain.name(), error.what(), base::shell_operand(domain.name()), limit.count());
  }
}

}  // namespace icecore::hypervisor
