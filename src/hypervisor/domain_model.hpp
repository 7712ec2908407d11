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
  std::string path;        // file, block device, folder or socket; for a network source its name
  std::string pool;        // volume; its path stands in no XML, resolve_volumes() finds it
  std::string volume;      // volume
  std::string unresolved;  // volume: why it has no path; empty when it has one
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
  std::string encryption;            // its <encryption> element, wherever in it; empty: QEMU does not encrypt it
  ImageSource source;                // kind none: an empty drive
  std::vector<ImageSource> backing;  // below the source, topmost first; known for certain only when `chain_known`
  bool chain_known = false;          // the XML ends the chain itself, as libvirt does for running domains
  std::optional<MirrorModel> mirror;
};

// An emulated TPM, whose state lies on this host.
struct TpmModel {
  std::string version;      // "2.0", "1.2"; may be empty
  std::string source;       // the folder or file its XML names; empty: where libvirt keeps the state
  std::string source_type;  // dir, file; empty without a source
  std::string secret;       // UUID of the libvirt secret that encrypts the state; empty: none does
};

enum class AgentChannel { absent, disconnected, connected };

struct DomainModel {
  std::string name;
  std::string uuid;
  std::string type;  // kvm, qemu
  std::vector<DiskModel> disks;
  std::string loader;      // firmware code image, "" for BIOS
  std::string nvram;       // its file
  std::string nvram_type;  // of its source, when that is no file: block, network; else empty
  std::string nvram_template;
  std::string nvram_format;
  std::string kernel;  // of the host, booted directly, as are these two
  std::string initrd;
  std::string dtb;
  std::vector<std::string> security_labels;  // models: "dac", "apparmor", "selinux"
  std::vector<std::string> unlabelled;       // models that are switched off for it, with type='none'; "": all
  AgentChannel agent = AgentChannel::absent;
  std::optional<TpmModel> tpm;
  bool secure_boot_loader = false;
  bool firmware_chosen = false;  // UEFI, and libvirt chooses loader and NVRAM when the domain starts
  bool host_devices = false;     // <hostdev>
  bool virtio_fs = false;        // <filesystem> shared from the host
  bool windows = false;          // by libosinfo's id, or Hyper-V enlightenments when there is none

  const DiskModel* find_disk(std::string_view target) const noexcept;
};

// Throws Fault::corrupt when the text is not XML or not a <domain> with name and uuid.
DomainModel parse_domain(std::string_view xml);

}  // namespace icecore::hypervisor
