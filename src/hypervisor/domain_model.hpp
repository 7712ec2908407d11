// SPDX-License-Identifier: Apache-2.0
// What a domain's XML says, as values. Nothing here talks to libvirt: parse_domain() is a pure function of the text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace icecore::hypervisor {

enum class SourceKind { none, file, block, volume, network, nvme, vhost_user, vhost_vdpa, folder, unknown };
std::string_view to_string(SourceKind kind) noexcept;

// One image: the active one of a disk or one below it in the chain.
struct ImageSource {
  SourceKind kind = SourceKind::none;
  std::string path;    // file, block device, folder or socket; for a network source its name
  std::string pool;    // volume
  std::string volume;  // volume
  std::string protocol;
  std::string format;  // the driver's: "raw", "qcow2"
  unsigned index = 0;  // N of libvirt's vda[N]; 0 when the XML has none
};

// <mirror>: a block job that writes the disk to a second image.
struct MirrorModel {
  std::string job;  // "active-commit" or "copy"
  bool ready = false;
  ImageSource image;
};

struct DiskModel {
  std::string target;  // vda
  std::string device;  // disk, cdrom, floppy, lun
  std::string bus;
  std::string serial;
  std::string snapshot;  // the snapshot attribute: "", no, internal, external, manual
  bool readonly = false;
  bool shareable = false;
  bool transient = false;
  bool encrypted = false;
  ImageSource source;                // kind none: an empty drive
  std::vector<ImageSource> backing;  // below the source, topmost first; known for certain only when `chain_known`
  bool chain_known = false;          // the XML ends the chain itself, as libvirt does for running domains
  std::optional<MirrorModel> mirror;
};

enum class AgentChannel { absent, disconnected, connected };

struct DomainModel {
  std::string name;
  std::string uuid;
  std::string type;  // kvm, qemu
  std::vector<DiskModel> disks;
  std::string loader;  // firmware code image, "" for BIOS
  std::string nvram;
  std::string nvram_template;
  std::string nvram_format;
  std::string kernel;
  std::string initrd;
  std::vector<std::string> security_labels;  // models: "dac", "apparmor", "selinux"
  AgentChannel agent = AgentChannel::absent;
  bool secure_boot_loader = false;
  bool tpm = false;           // an emulated TPM whose state is on this host
  bool host_devices = false;  // <hostdev>
  bool virtio_fs = false;     // <filesystem> shared from the host
  bool windows = false;       // by libosinfo's id, or Hyper-V enlightenments when there is none

  const DiskModel* find_disk(std::string_view target) const noexcept;
};

// Throws Fault::corrupt when the text is not XML or not a <domain> with name and uuid.
DomainModel parse_domain(std::string_view xml);

}  // namespace icecore::hypervisor
