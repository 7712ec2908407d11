// SPDX-License-Identifier: Apache-2.0
// What a restore journals before it writes: where each disk goes, under which name meanwhile, and which domain
// is defined at the end. Enough to undo it, or from `written` on to finish it, without the repository.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "hypervisor/compatibility.hpp"
#include "hypervisor/domain.hpp"
#include "job/restore.hpp"

namespace icecore::job {

struct PlannedFile {
  std::string target;
  std::string format = {};
  std::filesystem::path path = {};       // when complete
  std::filesystem::path work_path = {};  // until then; beside it, named by the job
  bool replaces = false;                 // a file at `path` gives way
  bool device = false;                   // a block device, written in place: work_path is path
  bool begun = false;                    // a device whose old content may be gone
  bool whole = false;                    // it holds the disk
  std::uint64_t inode = 0;      // of the complete file, by which it is known again under either name; 0: of none
  std::int64_t written_ns = 0;  // when it was written to last, in ns since 1970
};

struct RestorePlan {
  std::string connect_uri;  // of the libvirt the domain is defined in; empty: none is asked, or an older plan
  std::string point_id;
  bool replace = false;  // the domain's old files give way
  std::vector<PlannedFile> files;
  std::set<std::string> pools;  // storage pools to refresh at the end
  std::string domain_name;      // empty: nothing is defined
  std::string domain_uuid;
  std::string define_xml;
  std::filesystem::path memory_file;  // the domain goes on from it; empty: it does not
};

base::Json to_json(const RestorePlan& plan);
RestorePlan parse_restore_plan(const base::Json& json, const std::string& job_id);

// A file of the point that is no disk, and where it goes.
struct PlannedBlob {
  const repository::ManifestBlob* blob = nullptr;  // into the manifest
  PlannedFile file;
};

// What the domain's XML has to name of the restored files that are no disks.
struct RestoredFirmware {
  std::filesystem::path nvram;                    // empty: none
  std::map<std::string, std::string> boot_files;  // old path -> new
};

struct PreparedRestore {
  RestorePlan plan;
  std::vector<const repository::ManifestDisk*> disks;  // into the manifest, in the order of plan.files
  std::vector<std::uint64_t> disk_bytes;               // of each of them: what is no hole
  std::uint64_t memory_bytes = 0;                      // of plan.memory_file, at most
  std::vector<PlannedBlob> blobs;                      // behind the disks in plan.files, in this order
  RestoredFirmware firmware;
  std::string xml_diff;
  std::vector<std::string> notes;
  std::vector<hypervisor::Finding> findings;  // what keeps this host from running the domain
};

// Decides names and paths and refuses what would hurt: existing files or domains (without replace), running
// domains, files and devices in use, too little room. Changes nothing. `connection` may be null where
// needs_connection() says so.
PreparedRestore prepare_restore(hypervisor::Connection* connection, repository::Repository& repository,
                                const repository::Manifest& manifest, const RestoreOptions& options,
                                const std::string& job_id);

// Whether libvirt is asked at all: plain files without a domain can be written on a host that has none.
bool needs_connection(const RestoreOptions& options);

// Fault::busy when a running domain, or one that is not the plan's, uses a file at one of the plan's final paths, or
// this one.
void require_unused(hypervisor::Connection& connection, const RestorePlan& plan);
void require_unused(hypervisor::Connection& connection, const PlannedFile& file, const std::string& domain_uuid);

}  // namespace icecore::job
