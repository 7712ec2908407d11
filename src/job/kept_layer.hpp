// SPDX-License-Identifier: Apache-2.0
// Layers that are kept for the change map `layer`: what they are called, whether a disk may have one, and which image
// a disk on one is at home in.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "disk/image.hpp"
#include "hypervisor/connection.hpp"
#include "hypervisor/domain_model.hpp"
#include "job/backup_plan.hpp"
#include "job/journal.hpp"

namespace icecore::job {

// <domain uuid>.<target>.<run>.layer.qcow2: no leftover of a run, and never taken for one.
std::string layer_name(const std::string& domain_uuid, const std::string& target, const std::string& job_id);
// The same with a star for the run.
std::string layer_pattern(const std::string& domain_uuid, const std::string& target);
// Whether a path has the form layer_name() gives for this domain.
bool is_kept_layer(const std::filesystem::path& path, const std::string& domain_uuid);
// The UUID of the domain that a layer of any domain was kept for; empty: the path is none of ours.
std::string domain_of_layer(const std::filesystem::path& path);
// The first digits of the id of the point whose changes are counted in it; of a kept layer's path only.
std::string run_of_layer(const std::filesystem::path& path);

// Why a disk cannot be given a layer that stays, or its layer be merged while it lies there; empty: it can. `chain`
// top first.
std::string no_layer_reason(const hypervisor::DiskModel& disk, const std::vector<disk::ImageInfo>& chain,
                            const std::string& domain_uuid, bool transient);

// Layers of ours that lie directly over each other at the top of the chain; more than one is what a merge that was not
// finished leaves.
std::size_t count_kept_layers(const std::vector<disk::ImageInfo>& chain, const std::string& domain_uuid);

// How a disk's home was named in the persistent definition before a layer was put over it; empty when the journal
// does not know the job that did, or knows another home.
std::string definition_of_home(Journal& journal, const std::string& domain_uuid, const std::filesystem::path& layer,
                               const std::filesystem::path& home);

// Why a layer must not be merged into the image it lies over: it was put over another one, by the journal's word, or
// that is not known and another domain has the image too. Empty: it may. Reads the definitions of all domains only
// where the journal does not know.
std::string strange_home(hypervisor::Connection& connection, Journal& journal, const std::string& domain_uuid,
                         const std::filesystem::path& layer, const std::filesystem::path& home);

// The same of a disk whose present layer is to be merged when it is given the next; Fault::conflict.
std::optional<base::Error> refuse_strange_home(hypervisor::Connection& connection, Journal& journal,
                                               const std::string& domain_uuid, const PlannedDisk& disk);

// Fills in how the home of a disk on a layer was named, and when it was left below that.
void name_home(PlannedDisk& disk, Journal& journal, const std::string& domain_uuid);

// The domain's XML as it would be without kept layers, so that a restore brings the disks back where they are at home.
std::string without_layers(const std::string& xml, Journal& journal);

}  // namespace icecore::job
