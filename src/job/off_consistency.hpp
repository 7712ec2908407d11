// SPDX-License-Identifier: Apache-2.0
// How consistent the disks of a domain that is off are: that depends on how it went off.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "disk/image.hpp"
#include "hypervisor/domain.hpp"
#include "job/backup.hpp"

namespace icecore::job {

struct OffConsistency {
  repository::Consistency consistency = repository::Consistency::filesystem;
  std::string reason;  // for a person to read
  bool known = true;   // else it is taken for shut down, for want of a sign that it was not
};

// `left_open` is a disk whose image QEMU did not close (left_open()), the only sign that outlives libvirt's daemon;
// empty: none.
OffConsistency consistency_when_off(hypervisor::ShutOff how, const std::string& left_open);

// A bitmap is marked as in use: of an image nobody has open that means QEMU was killed, or the host went down.
bool left_open(const disk::ImageInfo& image);

// What a backup of such a domain ends with: Fault::conflict where it was migrated, since what is read of disks that
// another host may be writing to is of no instant; Fault::unavailable where its file systems must be quiet, and are
// not.
std::optional<base::Error> refuse_off(hypervisor::ShutOff how, const OffConsistency& off, const BackupOptions& options);

// Fault::busy when a QEMU has the image of the domain, which is off, open for writing: one on another host, or that no
// libvirt knows.
std::optional<base::Error> refuse_written(const std::string& target, const std::filesystem::path& image);

}  // namespace icecore::job
