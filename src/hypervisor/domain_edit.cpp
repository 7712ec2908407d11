// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/domain_edit.hpp"

#include <filesystem>

#include "base/error.hpp"
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

}  // namespace

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
  XmlDocument document = XmlDocument::parse(xml, "the domain's XML");
  const XmlNode disk = find_disk(document.root(), target);
  if (!disk) {
    base::fail(Fault::not_found, "domain '{}' has no disk '{}'", document.root().child("name").text(), target);
  }
  point_disk_at(disk, path, format);
  return document.text();
}

void redefine_disk_source(Domain& domain, const std::string& target, const std::string& path,
                          const std::string& format) {
  domain.connection().define(set_disk_source(domain.inactive_xml(), target, path, format));
  const DomainModel now = domain.inactive_model();
  const DiskModel* disk = now.find_disk(target);
  if (disk == nullptr || disk->source.path != path) {
    base::fail(Fault::conflict, "domain '{}' was redefined with disk {} on '{}', but {}", domain.name(), target, path,
               describe_place(now, target));
  }
}

std::string normalised_xml(std::string_view xml) { return XmlDocument::parse(xml, "the domain's XML").text(); }

}  // namespace icecore::hypervisor
