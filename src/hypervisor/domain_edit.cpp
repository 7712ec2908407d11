// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/domain_edit.hpp"

#include <filesystem>

#include "base/error.hpp"
#include "base/log.hpp"
#include "hypervisor/overlay_disk.hpp"
#include "hypervisor/xml_document.hpp"

namespace icecore::hypervisor {

namespace {

using base::Fault;

XmlNode find_disk(const XmlNode& domain, std::string_view target) {
  for (const XmlNode& disk : domain.child("devices").children("disk")) {
    if (disk.child("target").attribute("dev") == target) return disk;
  }
  return {};
}

constexpr const char* k_image_parts[] = {"source", "backingStore"};

// Defines `xml`, in which the disk is on the image `path`, and looks whether libvirt took it so.
void redefine(Domain& domain, const std::string& target, const std::string& path, const std::string& xml) {
  domain.connection().define(xml);
  const DomainModel now = domain.inactive_model();
  const DiskModel* disk = now.find_disk(target);
  if (disk == nullptr || disk->source.path != path) {
    base::fail(Fault::conflict, "domain '{}' was redefined with disk {} on '{}', but {}", domain.name(), target, path,
               describe_place(now, target));
  }
}

}  // namespace

XmlNode need_disk(const XmlDocument& document, std::string_view target) {
  const XmlNode disk = find_disk(document.root(), target);
  if (!disk) {
    base::fail(Fault::not_found, "domain '{}' has no disk '{}'", document.root().child("name").text(), target);
  }
  return disk;
}

void point_disk_at(XmlNode disk, const std::string& path, const std::string& format) {
  std::error_code ignored;
  const bool is_block = std::filesystem::is_block_file(path, ignored);
  for (const char* gone : {"backingStore", "mirror"}) disk.child(gone).remove();
  disk.set_attribute("type", is_block ? "block" : "file");
  XmlNode driver = disk.need_child("driver");
  if (!driver.has_attribute("name")) driver.set_attribute("name", "qemu");
  driver.set_attribute("type", format);
  XmlNode source = disk.need_child("source");
  for (const char* gone : {"file", "dev", "dir", "pool", "volume", "mode", "protocol", "name", "index"}) {
    source.remove_attribute(gone);
  }
  source.set_attribute(is_block ? "dev" : "file", path);
}

std::string set_disk_source(std::string_view xml, std::string_view target, const std::string& path,
                            const std::string& format) {
  const XmlDocument document = XmlDocument::parse(xml, "the domain's XML");
  point_disk_at(need_disk(document, target), path, format);
  return document.text();
}

std::string image_definition(std::string_view xml, std::string_view target) {
  const XmlDocument document = XmlDocument::parse(xml, "the domain's XML");
  const XmlNode disk = need_disk(document, target);
  const XmlDocument definition = XmlDocument::create("disk");
  XmlNode root = definition.root();
  root.set_attribute("type", disk.attribute("type"));
  root.add_child("driver").set_attribute("type", disk.child("driver").attribute("type"));
  for (const char* part : k_image_parts) {
    if (const XmlNode original = disk.child(part)) root.add_copy(original);
  }
  return definition.text();
}

std::string put_image_back(std::string_view xml, std::string_view target, const std::string& definition) {
  const XmlDocument document = XmlDocument::parse(xml, "the domain's XML");
  const XmlDocument saved = XmlDocument::parse(definition, fmt::format("the saved definition of disk {}", target));
  copy_image(need_disk(document, target), saved.root());
  return document.text();
}

void copy_image(XmlNode to, const XmlNode& from) {
  to.set_attribute("type", from.attribute("type"));
  to.need_child("driver").set_attribute("type", from.child("driver").attribute("type"));
  to.child("mirror").remove();
  for (const char* part : k_image_parts) {
    to.child(part).remove();
    if (const XmlNode original = from.child(part)) to.add_copy(original);
  }
}

void redefine_disk_source(Domain& domain, const std::string& target, const std::string& path,
                          const std::string& format) {
  redefine(domain, target, path, set_disk_source(domain.inactive_xml(), target, path, format));
}

bool redefine_on_base(Domain& domain, const OverlayDisk& disk, const std::string& format) {
  const std::string xml = domain.inactive_xml();
  if (!disk.definition.empty() && image_definition(xml, disk.target) == disk.definition) return false;
  redefine(domain, disk.target, disk.base_path,
           disk.definition.empty() ? set_disk_source(xml, disk.target, disk.base_path, format)
                                   : put_image_back(xml, disk.target, disk.definition));
  return true;
}

bool respell_base(Domain& domain, const OverlayDisk& disk, const std::string& format) {
  if (disk.definition.empty()) return false;
  try {
    return redefine_on_base(domain, disk, format);
  } catch (const base::Error& error) {
    base::log_warning("disk {} of domain '{}' is on its base, which is not named as before: {}", disk.target,
                      domain.name(), error.what());
    return false;
  }
}

std::string normalised_xml(std::string_view xml) { return XmlDocument::parse(xml, "the domain's XML").text(); }

std::string without_secrets(std::string_view xml) {
  const XmlDocument document = XmlDocument::parse(xml, "the domain's XML");
  bool had_any = false;
  for (XmlNode screen : document.root().child("devices").children("graphics")) {
    had_any = had_any || screen.has_attribute("passwd");
    screen.remove_attribute("passwd");
  }
  return had_any ? document.text() : std::string(xml);
}

}  // namespace icecore::hypervisor
