// SPDX-License-Identifier: Apache-2.0
// Disks that QEMU encrypts: what their <encryption> element says, and the passphrase that libvirt keeps for it.
#pragma once

#include <string>
#include <string_view>

#include "base/passphrase.hpp"
#include "hypervisor/connection.hpp"
#include "hypervisor/domain_model.hpp"

namespace icecore::hypervisor {

// Why a disk with an <encryption> cannot be taken, by its XML alone; empty: it can, or has none. LUKS within qcow2 can:
// there the encrypted content is one file.
std::string encryption_objection(const DiskModel& disk);

// The element for an overlay over an image that has `encryption`: the same secret, and QEMU named as who encrypts.
// Without that libvirt 9.0 writes down a domain that does not start again.
std::string overlay_encryption(std::string_view encryption);

// The value of the secret an <encryption> element names. Fault::not_found when libvirt has no such secret or no value
// for it, denied when it is private (libvirt gives it to QEMU alone); with the cure.
base::Passphrase read_passphrase(Connection& connection, std::string_view encryption);

// Why a domain whose disk names this secret would not start on this libvirt, and the cure; empty: it would. A private
// secret is as good as any.
struct SecretProblem {
  std::string what;
  std::string cure;
};
SecretProblem find_secret_problem(Connection& connection, std::string_view encryption);

}  // namespace icecore::hypervisor
