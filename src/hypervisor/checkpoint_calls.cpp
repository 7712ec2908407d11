// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/checkpoint_calls.hpp"

#include <libvirt/libvirt.h>

#include <cstdlib>
#include <memory>
#include <span>

#include "base/handle.hpp"

namespace icecore::hypervisor {

namespace {

using Checkpoint = std::unique_ptr<virDomainCheckpoint, base::FreeWith<&virDomainCheckpointFree>>;

int forget(virDomainCheckpointPtr checkpoint) {
  return virDomainCheckpointDelete(checkpoint, VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY);
}

int forget_known(virDomainPtr domain, const std::string& name) {
  const Checkpoint known(virDomainCheckpointLookupByName(domain, name.c_str(), 0));
  return known ? forget(known.get()) : 0;
}

}  // namespace

int create_bitmap(virDomainPtr domain, const std::string& name, const std::string& xml) {
  if (forget_known(domain, name) < 0) return -1;
  const Checkpoint made(virDomainCheckpointCreateXML(domain, xml.c_str(), 0));
  return made ? forget(made.get()) : -1;
}

int discard_bitmap(virDomainPtr domain, const std::string& name, const std::string& xml) {
  if (forget_known(domain, name) < 0) return -1;
  const Checkpoint known(virDomainCheckpointCreateXML(domain, xml.c_str(), VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE));
  if (!known) return -1;
  return virDomainCheckpointDelete(known.get(), 0);
}

int forget_checkpoints(virDomainPtr domain, const std::string& prefix) {
  virDomainCheckpointPtr* list = nullptr;
  const int count = virDomainListAllCheckpoints(domain, &list, 0);
  if (count < 0) return -1;
  int result = 0;
  for (virDomainCheckpointPtr each : std::span(list, static_cast<std::size_t>(count))) {
    const Checkpoint checkpoint(each);
    if (std::string(virDomainCheckpointGetName(each)).starts_with(prefix) && forget(each) < 0) result = -1;
  }
  ::free(list);
  return result;
}

}  // namespace icecore::hypervisor
