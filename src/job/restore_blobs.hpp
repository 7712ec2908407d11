// SPDX-License-Identifier: Apache-2.0
// The files of a point that are no disks, on their way back: firmware variables, TPM state, boot files. They are files
// of the restore's plan like the disks': named when all are complete, removed on failure, finished by recover.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "job/restore_plan.hpp"
#include "repository/damage_mark.hpp"
#include "repository/repository.hpp"

namespace icecore::job {

// Decides where NVRAM and boot files go and adds them to prepared.blobs and prepared.firmware, for the domain's XML.
// The disks' places are known. A boot file that this host has as it was is not restored. Changes nothing.
// Fault::conflict when something else is in a place, without replace; not_found without its folder.
void plan_firmware(PreparedRestore& prepared, repository::Repository& repository, const repository::Manifest& manifest,
                   const RestoreOptions& options, const std::string& job_id);

// The same for the TPM's state, which libvirt keeps under the UUID of the domain: after plan_domain(). `uri` tells
// whose libvirt; unused with disks_only.
void plan_tpm(PreparedRestore& prepared, const repository::Manifest& manifest, const RestoreOptions& options,
              const std::string& uri, const std::string& job_id);

// Writes all of them under their work names.
void write_blobs(repository::Repository& repository, const PreparedRestore& prepared,
                 const repository::DamageMark* damage, const std::stop_token& stop);

// Reads back what write_blobs() wrote. Fault::corrupt when that is something else.
void verify_blobs(repository::Repository& repository, const PreparedRestore& prepared,
                  const repository::DamageMark* damage);

// Removes the folders of a TPM whose files are not there: libvirt takes an empty one for a state it must not make anew.
void remove_empty_tpm_folders(const RestorePlan& plan);

}  // namespace icecore::job
