// SPDX-License-Identifier: Apache-2.0
// A manifest is the small object that makes a restore point exist: written last, when everything it names
// is durable. Written in FORMAT.md, "Manifest".
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "repository/image_tree.hpp"
#include "repository/repository.hpp"

namespace icecore::repository {

enum class CaptureMode { disk_only, full_state, offline, copy };
enum class Consistency { crash, filesystem, application, full_state };

std::string_view to_string(CaptureMode mode) noexcept;
std::string_view to_string(Consistency consistency) noexcept;
Consistency parse_consistency(const std::string& text, std::string_view what);  // Fault::corrupt: no such word

// What the image of a disk is.
enum class DiskContent {
  guest,  // what the guest reads from the disk
  file,   // the disk's file, byte for byte: QEMU encrypts what is in it
};
std::string_view to_string(DiskContent content) noexcept;

struct ManifestDisk {
  std::string target;
  std::string bus;
  std::string source_path;
  std::string format;
  DiskContent content = DiskContent::guest;
  std::uint64_t virtual_size = 0;  // of the guest's disk; image.disk_size is the file's where that is stored
  std::uint64_t cluster_size = 0;  // 0: not a format that has them
  std::string compat;
  bool extended_l2 = false;
  std::uint64_t allocated_bytes = 0;
  ImageRoot image;
  std::string change_map;         // bitmap, layer, scan
  std::string change_map_reason;  // why this one and not a better
  std::string bitmap;             // in the image, marks what is written since this point; empty: there is none
  std::string layer;              // the file that holds what is written since this point; empty: there is none
  std::string lineage;            // keyed hash of which image files the disk was made of; empty: no bitmap, no layer
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_new = 0;
  std::uint64_t bytes_stored = 0;
};

struct SkippedDisk {
  std::string target;
  std::string reason;
};

// A file of the domain that is no disk: nvram, tpm state, kernel, memory; stored as an image of its own.
struct ManifestBlob {
  std::string kind;
  std::string path;
  std::uint64_t size = 0;
  ImageRoot image;
  unsigned mode = 0;  // permission bits; 0: not recorded, as are an empty owner and group
  std::string owner = {};
  std::string group = {};
  std::map<std::string, std::string> details = {};  // what its kind is known by: template, format, version, ...
};

// The point is one of several taken at one instant.
struct ManifestGroup {
  struct Member {
    std::string domain_name;
    std::string domain_uuid;
    std::string point_id;
    base::Timestamp time{};  // of its snapshot; of older points, and so all below: not recorded
    Consistency consistency = Consistency::crash;
    std::uint64_t freeze_ms = 0;
  };
  std::string id;               // 32 hex digits
  std::uint64_t spread_ms = 0;  // all snapshots took effect within so long, from asking for the first on
  std::string quiesce = {};     // which rule decided about freezing: required, try or off; empty: not recorded
  std::vector<Member> members;  // this one among them
};

struct Manifest {
  std::string id;  // 32 hex digits
  std::string domain_name;
  std::string domain_uuid;
  std::string host;
  base::Timestamp time{};  // of the snapshot
  CaptureMode mode = CaptureMode::disk_only;
  Consistency consistency = Consistency::crash;
  std::uint64_t freeze_ms = 0;
  std::uint64_t snapshot_ms = 0;
  std::uint64_t paused_ms = 0;  // how long the vCPUs stood still; 0 in older points too
  std::uint64_t duration_ms = 0;
  std::string tool_version;
  std::vector<std::string> tags;
  std::optional<ManifestGroup> group;
  std::vector<ManifestDisk> disks;
  std::vector<SkippedDisk> skipped;
  std::vector<ManifestBlob> blobs;
  std::uint64_t bytes_read = 0;  // totals of disks and blobs
  std::uint64_t bytes_new = 0;
  std::uint64_t bytes_stored = 0;
  std::string live_xml;                                          // empty: the domain was not running
  std::string inactive_xml;                                      // empty: transient domain
  const ManifestDisk* find_disk(std::string_view target) const;  // one of `disks`; null: there is none
};

// "manifests/<domain uuid>/20261121T093000123Z-<id>": sorts by time.
std::string manifest_object(const Manifest& manifest);
std::string manifest_object(const std::string& domain_uuid, base::Timestamp time, const std::string& id);
// "20261121T093000123Z", as in names of objects.
std::string compact_time(base::Timestamp time);
// The point's id in such a name.
std::string point_of_manifest(const std::string& object);

// The payload before sealing and back. Unknown fields are ignored; Fault::corrupt or, for a newer format,
// Fault::usage, naming `what`.
base::Bytes encode_manifest(const Manifest& manifest);
Manifest decode_manifest(base::ByteView payload, std::string_view what);

// Stores it durably; from then on the restore point exists. Only after BlockWriter::finish(), and with a shared
// repository lock held. Returns the object's name. Fault::usage when id or domain uuid are malformed;
// Fault::conflict when a prune took away what it needs (publish_check.hpp): it is there then only if it was before.
std::string publish(Repository& repository, const Manifest& manifest);

// Fault::not_found, Fault::corrupt, Fault::usage (newer), naming the object.
Manifest load_manifest(Repository& repository, const std::string& object);

// A manifest that cannot be read; the others still can.
struct DamagedManifest {
  std::string object;
  std::string reason;
  bool newer = false;  // not damaged, but of a version we do not know
};

// The names of all manifests, or one domain's, oldest first.
std::vector<std::string> list_manifest_objects(Repository& repository,
                                               const std::optional<std::string>& domain_uuid = {});

// All restore points, or one domain's, oldest first, without those forgotten meanwhile. What cannot be read goes to
// `damaged`, or is thrown when that is null.
std::vector<Manifest> list_manifests(Repository& repository, const std::optional<std::string>& domain_uuid = {},
                                     std::vector<DamagedManifest>* damaged = nullptr);

}  // namespace icecore::repository
