// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/domain_model.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/error.hpp"
#include "hypervisor/xml_document.hpp"

namespace icecore::hypervisor {

namespace {

struct KindName {
  std::string_view in_xml;
  SourceKind kind;
};
constexpr KindName k_kinds[] = {
    {"file", SourceKind::file},
    {"block", SourceKind::block},
    {"volume", SourceKind::volume},
    {"network", SourceKind::network},
    {"nvme", SourceKind::nvme},
    {"vhostuser", SourceKind::vhost_user},
    {"vhostvdpa", SourceKind::vhost_vdpa},
    {"dir", SourceKind::folder},
};

SourceKind kind_of(std::string_view in_xml) {
  for (const KindName& entry : k_kinds) {
    if (entry.in_xml == in_xml) return entry.kind;
  }
  return SourceKind::unknown;
}

std::string first_set(std::initializer_list<std::string> candidates) {
  for (const std::string& candidate : candidates) {
    if (!candidate.empty()) return candidate;
  }
  return {};
}

unsigned to_index(const std::string& text) {
  unsigned index = 0;
  std::from_chars(text.data(), text.data() + text.size(), index);
  return index;
}

// `holder` has the type attribute and <format>, `source` is its <source>.
ImageSource parse_source(const XmlNode& holder, const std::string& format) {
  const XmlNode source = holder.child("source");
  ImageSource image;
  image.format = format;
  if (!source) return image;
  const std::string type = holder.attribute("type");
  image.kind = kind_of(type.empty() ? "file" : type);
  image.path = first_set({source.attribute("file"), source.attribute("dev"), source.attribute("dir"),
                          source.attribute("name"), source.attribute("path")});
  image.pool = source.attribute("pool");
  image.volume = source.attribute("volume");
  image.protocol = source.attribute("protocol");
  image.index = to_index(first_set({source.attribute("index"), holder.attribute("index")}));
  // A startup policy or an ejected medium may leave a <source/> that names nothing.
  const bool names_something = !image.path.empty() || !image.volume.empty() || image.kind == SourceKind::nvme ||
                               image.kind == SourceKind::network || image.kind == SourceKind::vhost_user;
  if (!names_something) image.kind = SourceKind::none;
  return image;
}

void parse_backing(const XmlNode& disk, DiskModel& model) {
  XmlNode holder = disk.child("backingStore");
  while (holder && holder.child("source")) {
    model.backing.push_back(parse_source(holder, holder.child("format").attribute("type")));
    holder = holder.child("backingStore");
  }
  // libvirt ends a chain it has looked at with an empty <backingStore/>.
  model.chain_known = static_cast<bool>(holder);
}

std::optional<MirrorModel> parse_mirror(const XmlNode& disk) {
  const XmlNode mirror = disk.child("mirror");
  if (!mirror) return std::nullopt;
  MirrorModel model;
  model.job = mirror.attribute("job");
  // "abort" and "pivot" mean that the job is being ended; only "yes" may be pivoted.
  model.ready = mirror.attribute("ready") == "yes";
  model.image = parse_source(mirror, mirror.child("format").attribute("type"));
  return model;
}

DiskModel parse_disk(const XmlNode& disk) {
  DiskModel model;
  model.target = disk.child("target").attribute("dev");
  model.bus = disk.child("target").attribute("bus");
  model.device = first_set({disk.attribute("device"), "disk"});
  model.serial = disk.child("serial").text();
  model.snapshot = disk.attribute("snapshot");
  model.readonly = static_cast<bool>(disk.child("readonly"));
  model.shareable = static_cast<bool>(disk.child("shareable"));
  model.transient = static_cast<bool>(disk.child("transient"));
  for (const XmlNode& encryption : {disk.child("encryption"), disk.child("source").child("encryption")})
    if (encryption) model.encryption = encryption.xml();
  model.source = parse_source(disk, disk.child("driver").attribute("type"));
  parse_backing(disk, model);
  model.mirror = parse_mirror(disk);
  return model;
}

AgentChannel parse_agent(const XmlNode& devices) {
  for (const XmlNode& channel : devices.children("channel")) {
    const XmlNode target = channel.child("target");
    if (target.attribute("name") != "org.qemu.guest_agent.0") continue;
    // The state stands only in the XML of a running domain.
    return target.attribute("state") == "connected" ? AgentChannel::connected : AgentChannel::disconnected;
  }
  return AgentChannel::absent;
}

// Any element below `node` (namespaces ignored) whose id attribute names a Microsoft system, as libosinfo writes it.
std::optional<bool> osinfo_says_windows(const XmlNode& node) {
  for (const XmlNode& child : node.children()) {
    const std::string id = child.attribute("id");
    if (child.name() == "os" && !id.empty()) return id.find("microsoft.com/") != std::string::npos;
    if (const auto found = osinfo_says_windows(child)) return found;
  }
  return std::nullopt;
}

bool looks_like_windows(const XmlNode& domain) {
  if (const auto said = osinfo_says_windows(domain.child("metadata"))) return *said;
  return static_cast<bool>(domain.path("features", "hyperv"));
}

void parse_boot(const XmlNode& os, DomainModel& model) {
  model.loader = os.child("loader").text();
  model.secure_boot_loader = os.child("loader").attribute("secure") == "yes";
  const XmlNode nvram = os.child("nvram");
  // Since 8.5 NVRAM may be any disk source; before, the path was the element's text.
  model.nvram = first_set({nvram.child("source").attribute("file"), nvram.child("source") ? "" : nvram.text()});
  const std::string source_type = nvram.attribute("type");
  if (source_type != "file") model.nvram_type = source_type;
  model.nvram_template = nvram.attribute("template");
  model.nvram_format = nvram.attribute("format");
  model.kernel = os.child("kernel").text();
  model.initrd = os.child("initrd").text();
  model.dtb = os.child("dtb").text();
  model.firmware_chosen = os.attribute("firmware") == "efi";
}

void parse_tpm(const XmlNode& backend, DomainModel& model) {
  if (backend.attribute("type") != "emulator") return;
  const XmlNode source = backend.child("source");
  model.tpm = TpmModel{.version = backend.attribute("version"),
                       .source = source.attribute("path"),
                       .source_type = source.attribute("type"),
                       .secret = backend.child("encryption").attribute("secret")};
}

void parse_devices(const XmlNode& devices, DomainModel& model) {
  for (const XmlNode& disk : devices.children("disk")) model.disks.push_back(parse_disk(disk));
  for (const XmlNode& tpm : devices.children("tpm")) parse_tpm(tpm.child("backend"), model);
  model.host_devices = static_cast<bool>(devices.child("hostdev"));
  model.virtio_fs = static_cast<bool>(devices.child("filesystem"));
  model.agent = parse_agent(devices);
}

}  // namespace

std::string_view to_string(SourceKind kind) noexcept {
  for (const KindName& entry : k_kinds) {
    if (entry.kind == kind) return entry.in_xml;
  }
  return kind == SourceKind::none ? "none" : "unknown";
}

const DiskModel* DomainModel::find_disk(std::string_view target) const noexcept {
  const auto found = std::find_if(disks.begin(), disks.end(), [&](const auto& disk) { return disk.target == target; });
  return found == disks.end() ? nullptr : &*found;
}

DomainModel parse_domain(std::string_view xml) {
  const XmlDocument document = XmlDocument::parse(xml, "the domain's XML");
  const XmlNode domain = document.root();
  if (domain.name() != "domain") {
    base::fail(base::Fault::corrupt, "expected the XML of a domain, found <{}>", domain.name());
  }
  DomainModel model;
  model.name = domain.child("name").text();
  model.uuid = domain.child("uuid").text();
  if (model.name.empty()) base::fail(base::Fault::corrupt, "the domain's XML has no name");
  model.type = domain.attribute("type");
  parse_boot(domain.child("os"), model);
  parse_devices(domain.child("devices"), model);
  for (const XmlNode& label : domain.children("seclabel")) {
    auto& models = label.attribute("type") == "none" ? model.unlabelled : model.security_labels;
    models.push_back(label.attribute("model"));
  }
  model.windows = looks_like_windows(domain);
  return model;
}

}  // namespace icecore::hypervisor
