// SPDX-License-Identifier: Apache-2.0
// What a backup journals before it touches anything: enough to find, undo or finish every step later,
// without the policy, the command line or the process that made it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "disk/chain_fingerprint.hpp"
#include "hypervisor/overlay_disk.hpp"

namespace icecore::job {

// The image a disk on a kept layer is at home in: what the layer lies over.
struct LayerHome {
  std::filesystem::path path;  // empty: the disk is on no kept layer
  std::string format;
  std::string definition;       // hypervisor::image_definition() to come back to when the layers end; empty: not known
  std::int64_t settled_ns = 0;  // when it was last written to, after the layer was left; 0: not known. Not journalled
  std::int64_t frozen_ns = 0;   // the same, after the snapshot
};

// What an overlay is to its base (from `sealed` on, of a disk that keeps its overlay: a layer to its home), as far as
// we have seen or begun: journalled before it can come true.
enum class MergeState {
  unbegun,  // the overlay has what the guest wrote last, and nobody has written to its base
  begun,    // the overlay still has it, and a merge may have written to the base
  ending,   // the disk may have been given its base again: either may be the newer
  done,     // the overlay is of no use any more
  left,     // the base was used without its overlay, by somebody else: a person decides
};

struct PlannedDisk {
  std::string target;                  // "vda"
  std::string format;                  // of the base: "qcow2", "raw"
  std::filesystem::path base_path;     // becomes the frozen layer
  std::filesystem::path overlay_path;  // what the guest writes to meanwhile
  disk::ChainFingerprint chain;        // of the base as it was before the snapshot
  std::string bitmap = {};             // in the base, marks what is written since this point; empty: none is made
  std::string definition = {};         // hypervisor::image_definition() to come back to; empty: transient
  std::string encryption = {};         // the overlay's <encryption>, which names the secret; empty: not encrypted
  // The overlay stays, as the layer that holds what is written since this point; from `sealed` on base_path, if it is
  // such a layer itself, is merged into its home instead.
  bool keeps_overlay = false;
  LayerHome home = {};
  MergeState merge = MergeState::unbegun;
  // When the image below the overlay was last written to, seen when nobody is to write to it any more: after the
  // snapshot, and again when the overlay is left as a layer over its home. 0: not known, or a device.
  std::int64_t frozen_ns = 0;
};

struct BackupPlan {
  std::string connect_uri;  // of the libvirt that has the domain; empty in older ones
  std::string repository_url;
  std::string repository_id;
  std::string staging;        // the staging folder its blocks went to; empty: none
  bool freezes = false;       // the agent was or will be asked to freeze
  bool transient = false;     // the domain has no persistent XML
  bool snapshotted = false;   // the overlays were there
  bool saved_before = false;  // the domain was off, saved to a file (virsh save) before it was given the overlays
  std::vector<PlannedDisk> disks;
  std::filesystem::path memory_file;   // what libvirt saves the guest's memory to; empty: it is not saved
  base::Milliseconds max_downtime{0};  // the domain's own limit, while it is changed to save its memory; 0: it is not
  std::string manifest;                // encode_manifest() of the point, in hex, to publish; empty before `sealed`
  bool published = false;              // it is, though the overlays were not merged yet
};

hypervisor::OverlayDisk to_overlay(const PlannedDisk& disk);
bool all_merged(const BackupPlan& plan);

base::Json to_json(const BackupPlan& plan);
// Throws Fault::corrupt naming the job when a field is missing or wrong.
BackupPlan parse_backup_plan(const base::Json& json, const std::string& job_id);

// <domain uuid>.<target>.<run>.ovl.qcow2, run = the job id's first 8 digits (LIBVIRT-TRAPS T10, T12: the
// suffix SELinux and AppArmor rules expect, and a name no two disks or runs share).
std::string overlay_name(const std::string& domain_uuid, const std::string& target, const std::string& job_id);
// <domain uuid>.memory.<run>.save
std::string memory_file_name(const std::string& domain_uuid, const std::string& job_id);
// The same with a star for the run, which is not known before there is one.
std::string overlay_pattern(const std::string& domain_uuid, const std::string& target);
// Whether a path has the form overlay_name() gives for this domain.
bool is_our_overlay(const std::filesystem::path& path, const std::string& domain_uuid);

}  // namespace icecore::job
