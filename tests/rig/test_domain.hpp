// SPDX-License-Identifier: Apache-2.0
// A domain of the test's own in a real libvirt: own name, folder and disks, all undone with it, come what may.
// It runs under TCG, either with the tiny guest in it (start(): agent after about 4 s) or with vCPUs that never run
// (start_paused(): under a second), when only the block layer matters.
#pragma once

#include <libvirt/libvirt.h>
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/handle.hpp"
#include "base/json.hpp"
#include "rig/disk_image.hpp"
#include "rig/undo.hpp"

namespace icecore::rig {

enum class DiskKind {
  file,
  block,   // a loop device over an image file somewhat larger than the image
  volume,  // of a storage pool over the domain's folder, which has the domain's name
};

struct DiskOptions {
  std::string target = "vda";
  std::string bus = "virtio";  // scsi adds a virtio-scsi controller
  ImageOptions image = {};
  std::filesystem::path existing = {};  // this image instead of a new one
  std::string extra_xml = {};           // inside <disk>: "<readonly/>", "<shareable/>"
  DiskKind kind = DiskKind::file;
  // Of a disk with a passphrase, whose libvirt secret the domain makes.
  bool secret_is_private = false;
  bool secret_by_usage = false;        // the XML names it by the volume it is for, not by its UUID
  std::string driver_attributes = {};  // of <driver>: "discard='unmap'"
};

struct DomainOptions {
  std::vector<DiskOptions> disks = {DiskOptions{}};
  std::string name = {};  // empty: one of its own
  bool agent_channel = true;
  bool transient = false;          // created, never defined
  std::string kernel_words = {};   // for the guest's /init: "rig.agent=off", "rig.hook"
  std::string devices_xml = {};    // more devices: a cdrom, a floppy, ...
  std::string os_xml = {};         // more children of <os>: a loader, NVRAM
  std::string os_attributes = {};  // of <os>: "firmware='efi'"
  bool kernel = true;              // false: nothing to boot from
  std::string domain_xml = {};     // more children of <domain>: "<on_poweroff>preserve</on_poweroff>"
  unsigned memory_mib = 128;
  std::string uri = "qemu:///system";
};

class TestDomain {
 public:
  // Makes the disks and defines the domain; it is shut off.
  explicit TestDomain(DomainOptions options = {});

  const std::string& name() const noexcept { return name_; }
  const std::string& uuid() const noexcept { return uuid_; }
  const std::string& uri() const noexcept { return options_.uri; }
  const std::filesystem::path& folder() const noexcept { return folder_; }
  // More to undo with the domain: what the code under test makes.
  Undo& undo() noexcept { return undo_; }
  // The image (file or device) the disk was made with, and its format.
  std::filesystem::path disk_path(const std::string& target = "vda") const;
  const std::string& disk_format(const std::string& target = "vda") const;
  const std::string& passphrase(const std::string& target = "vda") const;
  // The UUID of the secret an encrypted disk opens with.
  const std::string& secret(const std::string& target = "vda") const { return secrets_.at(target); }

  void start();         // boots the guest; see Guest::wait_agent()
  void start_paused();  // vCPUs never run
  void destroy();
  // Waits until the domain is shut off, by whatever means.
  void wait_off(base::Milliseconds deadline);
  bool is_running() const;
  // SIGKILL to QEMU, as a crash or the OOM killer would; returns when libvirt has noticed.
  void kill_qemu();
  pid_t qemu_pid() const;

  std::string live_xml() const;
  std::string inactive_xml() const;
  // The source file of a disk as libvirt has it now, and as it will be at the next start.
  std::string live_source(const std::string& target = "vda") const;
  std::string inactive_source(const std::string& target = "vda") const;
  // Targets of disks with a block job, by QEMU's word and not by the XML.
  std::vector<std::string> block_jobs() const;

  // Writes through the running QEMU's block layer, as the guest's disk driver would: bitmaps and overlays see it.
  // Flushed: the image file has it afterwards.
  void monitor_write(const std::string& target, std::uint64_t offset, std::uint64_t length, unsigned char pattern);
  // What the guest's fstrim does; without discard='unmap' nothing.
  void monitor_discard(const std::string& target, std::uint64_t offset, std::uint64_t length);
  // A QMP command to the monitor; its "return".
  base::Json monitor(const base::Json& command) const;
  // content_hash() of the disk's active layer with all below it.
  std::string hash_disk(const std::string& target = "vda") const;

  // For what is not wrapped here. Owned by this object; connected anew after reconnect().
  virDomainPtr handle() const noexcept { return domain_.get(); }
  // After libvirtd was restarted.
  void reconnect();

 private:
  const DiskOptions& disk(const std::string& target) const;
  void make_disk(const DiskOptions& disk);
  void make_pool();
  void make_secret(const DiskOptions& disk);
  std::string encryption_xml(const DiskOptions& disk) const;
  std::string source_in(const std::string& xml, const std::string& target) const;
  std::string image_path(const DiskOptions& disk) const;
  std::string xml() const;
  std::string disk_xml(const DiskOptions& disk) const;
  void create(unsigned flags);
  std::string block_device(const std::string& target) const;
  void qemu_io(const std::string& device, const std::string& command) const;

  using ConnectHandle = std::unique_ptr<virConnect, base::FreeWith<&virConnectClose>>;
  using DomainHandle = std::unique_ptr<virDomain, base::FreeWith<&virDomainFree>>;

  DomainOptions options_;
  std::string name_;
  std::string uuid_;
  Undo undo_;
  std::filesystem::path folder_;
  std::map<std::string, std::string> devices_;  // target -> /dev/loopN
  std::map<std::string, std::string> secrets_;  // target -> UUID
  ConnectHandle connection_;
  DomainHandle domain_;
};

}  // namespace icecore::rig
