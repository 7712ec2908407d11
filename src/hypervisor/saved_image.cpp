// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/saved_image.hpp"

#include <libvirt/libvirt.h>

#include "base/error.hpp"
#include "hypervisor/libvirt_worker.hpp"
#include "hypervisor/xml_document.hpp"

namespace icecore::hypervisor {

namespace {

// The element of that kind whose child's attribute is `value`.
XmlNode find_device(const XmlNode& devices, const char* kind, const char* child, const char* attribute,
                    const std::string& value) {
  for (const XmlNode& device : devices.children(kind)) {
    if (device.child(child).attribute(attribute) == value) return device;
  }
  return {};
}

// The attributes there go first, so that none of another kind of source stays. What is inside, such as the security
// label, says nothing of the place and stays.
void copy_source(XmlNode to, const XmlNode& from) {
  to.set_attribute("type", from.attribute("type"));
  const XmlNode source = from.child("source");
  if (!source) return to.child("source").remove();
  XmlNode copy = to.need_child("source");
  copy.remove_attributes();
  for (const char* name :
       {"file", "dev", "dir", "pool", "volume", "mode", "network", "bridge", "portgroup", "startupPolicy"}) {
    if (source.has_attribute(name)) copy.set_attribute(name, source.attribute(name));
  }
}

// Which file it is, of an element whose text is one; `from` has none when libvirt is to choose.
void copy_file(XmlNode to, const XmlNode& from) {
  if (!to) return;
  if (!from) return to.remove();
  if (from.text().empty()) return;
  to.child("source").remove();
  to.remove_attribute("type");
  to.set_text(from.text());
}

unsigned flags_of(RunState state) {
  switch (state) {
    case RunState::as_saved: return 0;
    case RunState::running: return VIR_DOMAIN_SAVE_RUNNING;
    case RunState::paused: return VIR_DOMAIN_SAVE_PAUSED;
  }
  return 0;
}

}  // namespace

std::string adapt_saved_xml(std::string_view saved_xml, std::string_view defined_xml) {
  const XmlDocument saved = XmlDocument::parse(saved_xml, "the XML saved with the memory");
  const XmlDocument defined = XmlDocument::parse(defined_xml, "the XML to be defined");
  const XmlNode devices = defined.root().child("devices");
  copy_file(saved.root().path("devices", "emulator"), devices.child("emulator"));
  for (const char* kind : {"nvram", "kernel", "initrd", "dtb"})
    copy_file(saved.root().path("os", kind), defined.root().path("os", kind));
  for (XmlNode disk : saved.root().child("devices").children("disk")) {
    const XmlNode now = find_device(devices, "disk", "target", "dev", disk.child("target").attribute("dev"));
    if (!now) continue;
    for (const char* gone : {"backingStore", "mirror"}) disk.child(gone).remove();
    copy_source(disk, now);
    const std::string format = now.child("driver").attribute("type");
    if (!format.empty()) disk.need_child("driver").set_attribute("type", format);
  }
  for (XmlNode card : saved.root().child("devices").children("interface")) {
    const XmlNode now = find_device(devices, "interface", "mac", "address", card.child("mac").attribute("address"));
    const bool simple = now && now.child("source") && now.attribute("type") != "hostdev";
    if (!simple) continue;
    copy_source(card, now);
    card.child("target").remove();
  }
  return saved.text();
}

void start_from_memory(Domain& domain, const std::string& file, const std::string& xml, RunState state,
                       base::Milliseconds deadline, const HelperProgram& helper) {
  LibvirtWorker worker(domain, helper);
  worker.restore(file, xml, flags_of(state), deadline).check("resume domain '" + domain.name() + "'");
}

}  // namespace icecore::hypervisor
