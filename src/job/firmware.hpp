// SPDX-License-Identifier: Apache-2.0
// What a domain's firmware and TPM keep in files of this host while it runs, and which no snapshot holds: copied beside
// the snapshot, each twice until two copies agree, because QEMU and swtpm may be writing.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "hypervisor/domain_model.hpp"
#include "job/blob.hpp"

namespace icecore::job {

constexpr const char* k_nvram_blob = "nvram";
constexpr const char* k_tpm_blob = "tpm";

struct FirmwareFiles {
  std::filesystem::path nvram;       // empty: none, or none that could be copied
  std::filesystem::path tpm_folder;  // the same
  std::vector<std::string> notes;    // what of it will not be in the backup, or needs more on another host
};

// Where they lie by the domain's XML. Reads nothing. `uri` tells whose libvirt.
FirmwareFiles firmware_files(const hypervisor::DomainModel& model, const std::string& uri);

struct FirmwareCopy {
  std::optional<FileCopy> nvram;
  std::vector<FileCopy> tpm;
  bool settled = true;  // two copies agreed
};

// Takes a few ms; at most `patience` while the files keep changing. Files that are not there are left out. Throws when
// one cannot be read.
FirmwareCopy copy_firmware(const FirmwareFiles& files, base::Milliseconds patience);

// The same with another way to make one copy.
FirmwareCopy copy_until_settled(const std::function<FirmwareCopy()>& copy_once, base::Milliseconds patience);

// What a running domain should have and the copy has not, or not for certain: for people.
std::vector<std::string> notes_on(const FirmwareFiles& files, const FirmwareCopy& copy, bool running);

// Stores the copy, with what else is needed to use it elsewhere.
std::vector<repository::ManifestBlob> store_firmware(repository::BlockWriter& writer,
                                                     const hypervisor::DomainModel& model, const FirmwareCopy& copy);

}  // namespace icecore::job
