// SPDX-License-Identifier: Apache-2.0
// What a restore journals before it writes: where each disk goes, under which name meanwhile, and which domain
// is defined at the end. Enough to undo it, or from `written` on to finish it, without the repository.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "hypervisor/domain.hpp"
#include "job/restore.hpp"

namespace icecore::job {

struct PlannedFile {
  std::string target;
  std::string format;
  std::filesystem::path path;       // when complete
  std::filesystem::path work_path;  // until then; beside it, named by the job
};

struct RestorePlan {
  std::string point_id;
  bool replace = false;  // existing files give way
  std::vector<PlannedFile> files;
  std::string domain_name;  // empty: nothing is defined
  std::string domain_uuid;
  std::string define_xml;
};

base::Json to_json(const RestorePlan& plan);
RestorePlan parse_restore_plan(const base::Json& json, const std::string& job_id);

struct PreparedRestore {
  RestorePlan plan;
  std::vector<const repository::ManifestDisk*> disks;  // into the manifest, in the order of plan.files
  std::string xml_diff;
  std::vector<std::string> notes;
};

// Decides names and paths and refuses what would hurt: existing files or domains (without replace), running
// domains, files in use, too little room. Changes nothing. `connection` may be null with disks_only.
PreparedRestore prepare_restore(hypervisor::Connection* connection, const repository::Manifest& manifest,
                                const RestoreOptions& options, const std::string& job_id);

// Fault::busy when a running domain, or one that is not the plan's, uses a file at one of the plan's final paths.
void require_unused(hypervisor::Connection& connection, const RestorePlan& plan);

}  // namespace icecore::job
