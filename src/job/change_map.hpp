// SPDX-License-Identifier: Apache-2.0
// Which restore point a disk's changes are counted from, and whether what the image's bitmap says of them can be
// believed. Whatever is doubtful is read in full, with a reason for people.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "disk/chain_fingerprint.hpp"
#include "disk/image.hpp"
#include "job/backup_plan.hpp"
#include "repository/manifest.hpp"
#include "repository/repository.hpp"

namespace icecore::job {

// Why an image cannot have a bitmap of ours; empty: it can.
std::string no_bitmap_reason(const disk::ImageInfo& image);

// Which files the disk is made of: paths, formats, inodes, and of layers below the first also sizes and times, for
// nobody is to write to those. Keyed: it says nothing to who cannot open the repository.
std::string lineage_of(const repository::Repository& repository, const disk::ChainFingerprint& chain);

// The point a disk's bitmap, or its kept layer, counts from.
struct Parent {
  std::string point_id;
  std::string bitmap;  // empty: what the layer holds is what has changed
  repository::ImageRoot image;
};

struct Choice {
  std::optional<Parent> parent;  // none: scan
  std::string reason;            // why this one and not a better
};

// The restore points of one domain in one repository, newest first; each is read when it may matter. One thread.
class Parents {
 public:
  // Lists them. Only after the writing session relies on the index (BlockWriter made), with a shared repository lock
  // held: then a prune that takes blocks of a parent away is noticed when the point is published.
  Parents(repository::Repository& repository, const std::string& domain_uuid);

  // `frozen` is the base as it is now that nobody writes to it.
  Choice choose(const PlannedDisk& disk, const disk::ImageInfo& frozen);

  // The same for a disk whose frozen base is a kept layer: the point that left it (layer_parent.cpp).
  Choice choose_by_layer(const PlannedDisk& disk, const disk::ImageInfo& frozen);

 private:
  struct Point {
    std::string object;
    bool tried = false;
    std::optional<repository::Manifest> manifest;  // none: it cannot be read
  };
  const repository::Manifest* load(Point& point);
  std::string problem(const repository::Manifest& point, const repository::ManifestDisk& then, const PlannedDisk& disk,
                      const disk::ImageInfo& frozen) const;
  std::string layer_problem(const repository::Manifest& point, const repository::ManifestDisk& then,
                            const PlannedDisk& disk, const disk::ImageInfo& frozen) const;

  repository::Repository& repository_;
  std::vector<Point> points_;
  std::set<std::string> damaged_;
};

}  // namespace icecore::job
