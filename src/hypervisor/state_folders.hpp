// SPDX-License-Identifier: Apache-2.0
// Where libvirt's QEMU driver keeps what belongs to a domain and is named nowhere in its XML.
#pragma once

#include <filesystem>
#include <string>

#include "hypervisor/domain_model.hpp"

namespace icecore::hypervisor {

// Of the definitions, one "<name>.xml" for each persistent domain. Empty when they are not on this host, or not QEMU's.
std::filesystem::path definitions_folder(const std::string& uri);

// Of the firmware's variables, for a domain of that name whose XML has no path for them. `uri` tells whose libvirt.
std::filesystem::path default_nvram_path(const std::string& uri, const std::string& domain_name);

// Of the state of an emulated TPM, for the domain with that UUID. Where its XML names a folder, that.
std::filesystem::path tpm_state_folder(const std::string& uri, const std::string& domain_uuid, const TpmModel& tpm);

}  // namespace icecore::hypervisor
