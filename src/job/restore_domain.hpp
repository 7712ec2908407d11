// SPDX-License-Identifier: Apache-2.0
// The domain that a restore defines: whether there is a place for it, and its XML.
#pragma once

#include "job/restore_plan.hpp"

namespace icecore::job {

// Whether the disk lies where the file goes, links followed.
bool is_place_of(const hypervisor::DiskModel& disk, const PlannedFile& file);

// Fault::conflict when a domain of that name or UUID exists (without replace); busy or conflict when the one to be
// replaced runs or has a saved memory image.
void require_place_for_domain(hypervisor::Connection& connection, const repository::Manifest& manifest,
                              const RestoreOptions& options);

// Fault::busy when the domain, which is to be replaced, runs.
void require_off(hypervisor::Domain& domain);

// Fault::conflict when the domain, which is shut off, goes on with its disks as they are: it was migrated away, or its
// memory was saved.
void require_at_rest(hypervisor::Domain domain);

// Fault::conflict when a disk of the domain to be replaced is on an overlay of an interrupted backup: there is the
// newest data of a disk that may be kept, and over a restored image it would be merged into a stranger. Under its lock.
void require_no_overlays(hypervisor::Connection& connection, const repository::Manifest& manifest,
                         const RestoreOptions& options);

// The persistent XML of the domain that is replaced; empty: there is none.
std::string replaced_definition(hypervisor::Connection& connection, const repository::Manifest& manifest,
                                const RestoreOptions& options);

// Fills in the domain of prepared.plan, whose files are known, the pools of those that come back as volumes, the
// difference and the notes. `replaced`: what replaced_definition() says.
void plan_domain(hypervisor::Connection& connection, PreparedRestore& prepared, const repository::Manifest& manifest,
                 const RestoreOptions& options, const std::string& replaced);

}  // namespace icecore::job
