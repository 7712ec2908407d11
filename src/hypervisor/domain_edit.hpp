// SPDX-License-Identifier: Apache-2.0
// Changes to domain XML as text in, text out, and the few that are put into effect at once.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "hypervisor/domain.hpp"
#include "hypervisor/network_map.hpp"

namespace icecore::hypervisor {

class XmlDocument;
class XmlNode;
struct OverlayDisk;

// The <disk> element of that target. Throws Fault::not_found without one.
XmlNode need_disk(const XmlDocument& document, std::string_view target);

// Makes the <disk> element name `path`; everything else of it but chain and job stays.
void point_disk_at(XmlNode disk, const std::string& path, const std::string& format);

// Makes the <disk> element name the image that another one names: type, driver's format, source and chain.
void copy_image(XmlNode to, const XmlNode& from);

// The XML with the disk's active image replaced by `path` and its backing chain left for libvirt to find out.
// Throws Fault::not_found without such a disk.
std::string set_disk_source(std::string_view xml, std::string_view target, const std::string& path,
                            const std::string& format);

// What in a disk's element says where its image lies (type, driver's format, source, chain), as XML of its own, so that
// put_image_back() can say the same again: a volume stays one, and all a user wrote inside <source> is kept.
// Throws Fault::not_found without such a disk.
std::string image_definition(std::string_view xml, std::string_view target);
std::string put_image_back(std::string_view xml, std::string_view target, const std::string& definition);

// set_disk_source() done to the persistent XML of the domain, which is defined and read back. The running domain, if
// any, is not changed.
void redefine_disk_source(Domain& domain, const std::string& target, const std::string& path,
                          const std::string& format);

// As redefine_disk_source(), with the disk's base as its definition names it, else by path and `format`. For after a
// commit_offline(), and where libvirt forgot or changed its own. False when it was defined so already.
bool redefine_on_base(Domain& domain, const OverlayDisk& disk, const std::string& format);
// The same for a disk that is on its base already, but perhaps not as it was defined. That it cannot be is only logged.
bool respell_base(Domain& domain, const OverlayDisk& disk, const std::string& format);

struct DiskPlacement {
  std::string target;
  std::string path;
  std::string format;
  bool as_named = false;  // what the saved XML names, a volume say, lies at `path`: it stays as it is written there
};

struct RestoreXmlOptions {
  std::string name;                  // empty: as it was
  bool new_identity = false;         // a second domain beside the first: restore_identity.hpp
  std::vector<DiskPlacement> disks;  // the restored disks and where they lie
  std::string nvram_path;            // where the restored NVRAM lies; empty: libvirt makes one from the template
  std::map<std::string, std::string> boot_files = {};  // where kernel, initrd and dtb lie now: old path -> new
  bool tpm_restored = false;                           // the state of its emulated TPM
  std::vector<NetworkMapping> networks = {};
  bool keep_other_disks = false;  // false: writable disks that were not restored are taken out, with a notice
  std::string present_xml;    // the domain as it is: disks that are kept lie where it has them; empty: none is there
  bool single_disks = false;  // nothing but the disks above was asked for: of the others it keeps those it has now
};

struct RestoreXml {
  std::string xml;
  std::string name;
  std::string uuid;
  std::vector<std::string> notices;  // what a person must know: disks left out, media missing, devices shared
};

// Makes a definable XML from the saved one (persistent or live; what only a running domain has is taken out).
RestoreXml make_restore_xml(std::string_view saved_xml, const RestoreXmlOptions& options);

// The text parsed and written again: two XMLs that differ only in white space and quotes become equal.
std::string normalised_xml(std::string_view xml);

// The XML without the passwords of its screens, for eyes: what `virsh dumpxml` leaves out without --security-info.
// Unchanged when it has none. Nothing is to be defined from it: a screen without a password is open to everyone.
std::string without_secrets(std::string_view xml);

}  // namespace icecore::hypervisor
