// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/checkpoint.hpp"

#include <libvirt/virterror.h>

#include <algorithm>

#include "base/error.hpp"
#include "hypervisor/checkpoint_calls.hpp"
#include "hypervisor/libvirt_error.hpp"
#include "hypervisor/xml_document.hpp"

namespace icecore::hypervisor {

std::string checkpoint_xml(const DomainModel& model, const std::string& name, const std::vector<std::string>& targets) {
  XmlDocument document = XmlDocument::create("domaincheckpoint");
  document.root().add_child("name").set_text(name);
  // Asked for when libvirt is told of a checkpoint it has forgotten; any time will do.
  document.root().add_child("creationTime").set_text("0");
  XmlNode list = document.root().add_child("disks");
  for (const DiskModel& disk : model.disks) {
    const bool ours = std::find(targets.begin(), targets.end(), disk.target) != targets.end();
    XmlNode element = list.add_child("disk");
    element.set_attribute("name", disk.target);
    // A disk not named here would get a bitmap all the same.
    element.set_attribute("checkpoint", ours ? "bitmap" : "no");
    if (ours) element.set_attribute("bitmap", name);
  }
  return document.text();
}

std::vector<std::string> known_checkpoints(Domain& domain) {
  if (auto names = list_checkpoints(domain.raw())) return std::move(*names);
  const LibvirtError error = last_libvirt_error();
  if (error.code == VIR_ERR_NO_SUPPORT) return {};
  throw_libvirt_error(error, fmt::format("listing the checkpoints of domain '{}'", domain.name()));
}

Checkpoints::Checkpoints(Domain& domain, CheckpointOptions options)
    : domain_(domain), options_(std::move(options)), worker_(domain, options_.helper) {}

void Checkpoints::create(const std::string& name, const std::vector<std::string>& targets) {
  worker_.create_bitmap(name, checkpoint_xml(domain_.model(), name, targets), options_.deadline)
      .check(fmt::format("bitmap '{}' of domain '{}'", name, domain_.name()));
}

void Checkpoints::discard(const std::string& name, const std::vector<std::string>& targets) {
  const CallResult result =
      worker_.discard_bitmap(name, checkpoint_xml(domain_.model(), name, targets), options_.deadline);
  if (!result.ok) worker_.forget_checkpoints(name, options_.deadline);
  result.check(fmt::format("removing bitmap '{}' from domain '{}'", name, domain_.name()));
}

void Checkpoints::forget(const std::string& prefix) {
  worker_.forget_checkpoints(prefix, options_.deadline)
      .check(fmt::format("forgetting the checkpoints '{}...' of domain '{}'", prefix, domain_.name()));
}

}  // namespace icecore::hypervisor
