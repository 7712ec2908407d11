// SPDX-License-Identifier: Apache-2.0
// What a repository tells of a backup to come: which restore point each disk's changes would be counted from, and how
// much would be read.
#pragma once

#include <stop_token>

#include "job/backup.hpp"
#include "job/explanation.hpp"
#include "repository/repository.hpp"

namespace icecore::job {

// Fills in the explanation of a domain, by the same choice a backup makes. Of a domain that is off all is certain; of a
// running one only QEMU knows whether the bitmap is sound, and it is said so. Reads manifests, and the bitmaps of
// images nobody has open; takes no lock, and so what it tells may be old by the time of the backup.
void explain_changes(Explanation& explanation, repository::Repository& repository, const BackupOptions& options,
                     const std::stop_token& stop);

// The most a disk that is scanned may have to be read of: what is allocated of its chain.
std::uint64_t read_bytes_max(const std::vector<disk::ImageInfo>& chain);

}  // namespace icecore::job
