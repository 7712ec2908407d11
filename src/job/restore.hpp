// SPDX-License-Identifier: Apache-2.0
// Restore of one point: planned -> writing -> written -> defined -> done. Until the domain is defined nothing
// that existed before is touched, but for block devices, which are written in place, last; a failure removes what was
// made, and says when a device has lost its old content.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hypervisor/compatibility.hpp"
#include "hypervisor/network_map.hpp"
#include "job/context.hpp"
#include "repository/manifest.hpp"
#include "repository/repository.hpp"

namespace icecore::job {

struct RestoreOptions {
  std::optional<std::string> new_name;      // --as: new name, UUID and MACs
  bool keep_identity = false;               // with a new name: the UUID and MACs it had
  bool replace = false;                     // take the place of the shut-off domain with the point's UUID
  bool disks_only = false;                  // write disk files, define nothing
  std::optional<std::filesystem::path> to;  // folder for the disk files
  std::optional<std::string> pool;          // storage pool whose folder that is, instead of `to`
  std::vector<std::string> disks;           // targets; empty: all of the point
  std::map<std::string, std::filesystem::path> disk_paths;  // target -> file or existing block device
  std::map<std::string, std::string> disk_formats;          // target -> raw or qcow2, when not as it was
  bool overwrite_device = false;                            // block devices may be written over
  std::vector<hypervisor::NetworkMapping> networks;
  bool verify = false;              // read back what was written, before the domain is defined
  bool allow_incompatible = false;  // define the domain on a host that cannot start it as it is
  bool start = false;               // start the domain at the end; with a memory: also one that was paused
  bool paused = false;              // with a memory: it stays paused
  bool discard_memory = false;      // as if the point had none
  bool dry_run = false;             // only the report
  bool allow_damaged = false;       // a point that lost blocks: those read as zeroes
};

struct RestoredDisk {
  std::string target;
  std::filesystem::path path;
  std::string format;
  std::uint64_t size = 0;  // as the guest sees it
  std::string room;        // for people: what it takes and what there is; only of a dry run
  bool replaces = false;   // what is at `path` gives way
  std::uint64_t bytes_written = 0;
  bool verified = false;
};

// One that is no disk.
struct RestoredFile {
  std::string kind;
  std::filesystem::path path;
  bool replaces = false;
  bool verified = false;
};

// What a file takes of its file system until the restore is complete, and what gives way then gives back.
struct RoomNeed {
  std::filesystem::path folder;
  std::uint64_t bytes = 0;
  std::uint64_t given_back = 0;
};

struct RestoreReport {
  std::string point_id;
  std::string domain_name;  // as defined; empty with disks_only
  std::string domain_uuid;
  std::vector<RestoredDisk> disks;
  std::vector<RestoredFile> files;
  std::string xml_diff;  // unified: the XML of the domain that is replaced, else the point's, against the one defined
  std::vector<std::string> notes;
  std::vector<RoomNeed> room;                 // for all that is written
  bool with_memory = false;                   // it goes on, or would, where it was
  std::filesystem::path memory_file;          // what it goes on from; removed then
  std::vector<hypervisor::Finding> findings;  // what keeps this host from running the domain, or might
  base::Milliseconds duration{0};
};

// Recovers first what earlier jobs of the domain left, and is refused (Fault::conflict) where that cannot be put in
// order. Refuses to write over anything that exists or is in use, except with `replace`, where the old files give
// way only when the new ones are complete. Fault::conflict, not_found, busy, no_space, corrupt
// (verify found a difference; also a point that is noted to have lost blocks, without `allow_damaged`).
RestoreReport run_restore(const JobContext& context, repository::Repository& repository,
                          const repository::Manifest& manifest, const RestoreOptions& options);

}  // namespace icecore::job
