// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/put_on_overlays.hpp"

#include "base/error.hpp"
#include "hypervisor/domain_edit.hpp"
#include "hypervisor/xml_document.hpp"

namespace icecore::hypervisor {

namespace {

void put_on_overlay(XmlNode disk, const OverlayDisk& overlay) {
  const std::string format = disk.child("driver").attribute("type");
  point_disk_at(disk, overlay.overlay_path, "qcow2");
  // libvirt finds out by itself what lies below, but not by which secret it opens.
  if (overlay.encryption.empty()) return;
  XmlNode below = disk.add_child("backingStore");
  below.set_attribute("type", "file");
  below.add_child("format").set_attribute("type", format);
  XmlNode source = below.add_child("source");
  source.set_attribute("file", overlay.base_path);
  source.add_copy(XmlDocument::parse(overlay.encryption, "a disk's <encryption>").root());
}

}  // namespace

std::string put_on_overlays(std::string_view xml, std::span<const OverlayDisk> disks) {
  const XmlDocument document = XmlDocument::parse(xml, "the domain's XML");
  for (const OverlayDisk& overlay : disks) put_on_overlay(need_disk(document, overlay.target), overlay);
  return document.text();
}

}  // namespace icecore::hypervisor
