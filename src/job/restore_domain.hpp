// SPDX-License-Identifier: Apache-2.0
// The domain that a restore defines: whether there is a place for it, and its XML.
#pragma once

#include "job/restore_plan.hpp"

namespace icecore::job {

// Fault::conflict when a domain of that name or UUID exists (without replace); busy or conflict when the one to be
// replaced runs or has a saved memory image.
void require_place_for_domain(hypervisor::Connection& connection, const repository::Manifest& manifest,
                              const RestoreOptions& options);

// Fills in the domain of prepared.plan, whose files are known, the difference and the notes.
void plan_domain(PreparedRestore& prepared, const repository::Manifest& manifest, const RestoreOptions& options);

}  // namespace icecore::job
