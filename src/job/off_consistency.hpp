// SPDX-License-Identifier: Apache-2.0
// How consistent the disks of a domain that is off are: that depends on how it went off.
#pragma once

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

// What a backup that must have quiet file systems ends with (Fault::unavailable).
std::optional<base::Error> refuse_unquiet(const OffConsistency& off, const BackupOptions& options);

}  // namespace icecore::job
