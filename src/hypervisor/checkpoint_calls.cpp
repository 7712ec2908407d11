// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/checkpoint_calls.hpp"

#include <libvirt/libvirt.h>

#include <cstdlib>
#include <memory>
#include <span>

#include "base/failpoint.hpp"
#include "base/handle.hpp"

namespace icecore::hypervisor {

namespace {

using Checkpoint = std::unique_ptr<virDomainCheckpoint, base::FreeWith<&virDomainCheckpointFree>>;

std::optional<LibvirtError> forget(virDomainCheckpointPtr checkpoint) {
  return refusal(virDomainCheckpointDelete(checkpoint, VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY));
}

std::optional<LibvirtError> forget_known(virDomainPtr domain, const std::string& name) {
  const Checkpoint known(virDomainCheckpointLookupByName(domain, name.c_str(), 0));
  return known ? forget(known.get()) : std::nullopt;
}

}  // namespace

std::optional<LibvirtError> create_bitmap(virDomainPtr domain, const std::string& name, const std::string& xml) {
  if (auto refused = forget_known(domain, name)) return refused;
  const Checkpoint made(virDomainCheckpointCreateXML(domain, xml.c_str(), 0));
  if (!made) return last_libvirt_error();
  base::failpoint("checkpoint.made");
  return forget(made.get());
}

std::optional<LibvirtError> discard_bitmap(virDomainPtr domain, const std::string& name, const std::string& xml) {
  if (auto refused = forget_known(domain, name)) return refused;
  const Checkpoint known(virDomainCheckpointCreateXML(domain, xml.c_str(), VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE));
  if (!known) return last_libvirt_error();
  base::failpoint("checkpoint.told");
  return refusal(virDomainCheckpointDelete(known.get(), 0));
}

std::optional<LibvirtError> forget_checkpoints(virDomainPtr domain, const std::string& prefix) {
  virDomainCheckpointPtr* list = nullptr;
  const int count = virDomainListAllCheckpoints(domain, &list, 0);
  if (count < 0) return last_libvirt_error();
  std::optional<LibvirtError> refused;
  for (virDomainCheckpointPtr each : std::span(list, static_cast<std::size_t>(count))) {
    const Checkpoint checkpoint(each);
    if (!std::string(virDomainCheckpointGetName(each)).starts_with(prefix)) continue;
    if (auto error = forget(each)) refused = std::move(error);
  }
  ::free(list);
  return refused;
}

std::optional<std::vector<std::string>> list_checkpoints(virDomainPtr domain) {
  virDomainCheckpointPtr* list = nullptr;
  const int count = virDomainListAllCheckpoints(domain, &list, 0);
  if (count < 0) return std::nullopt;
  std::vector<std::string> names;
  for (virDomainCheckpointPtr each : std::span(list, static_cast<std::size_t>(count))) {
    const Checkpoint checkpoint(each);
    names.emplace_back(virDomainCheckpointGetName(each));
  }
  ::free(list);
  return names;
}

}  // namespace icecore::hypervisor
