// SPDX-License-Identifier: Apache-2.0
#include "maintenance/copy.hpp"

#include "base/id.hpp"
#include "maintenance/copy_image.hpp"
#include "repository/group.hpp"
#include "repository/reader_lock.hpp"
#include "repository/repository_lock.hpp"

namespace icecore::maintenance {

using base::Fault;
using repository::Manifest;

namespace {

class CopyJob {
 public:
  CopyJob(repository::Repository& source, repository::Repository& target, const Watch& watch)
      : source_(source),
        target_(target),
        watch_(watch),
        source_lock_(source, "copy to another repository"),
        target_lock_(target, repository::LockMode::shared, "copy from another repository") {
    watch_.on_tick = [this, outer = watch.on_tick] {
      source_lock_.refresh();
      target_lock_.refresh();
      outer();
    };
  }

  CopyReport run(const std::vector<Manifest>& points) {
    source_.refresh_index();
    for (const Manifest& point : points) {
      report_.points.push_back({point.id, point.domain_name, point.time, false, {}});
      if (target_.storage().exists(repository::manifest_object(point))) {
        report_.points.back().present = true;
      } else {
        try_copy(point);
      }
    }
    for (const Manifest& point : points) complete_group(target_.keys(), target_.storage(), point);
    return std::move(report_);
  }

 private:
  void try_copy(const Manifest& point) {
    watch_.on_phase(fmt::format("copy {} of '{}'", base::short_id(point.id), point.domain_name));
    try {
      copy(point);
    } catch (const base::Error& error) {
      // Only the source's blocks can be damaged here: of the target nothing but the index is read.
      if (error.fault() != Fault::corrupt) throw;
      report_.points.back().problem = error.what();
      names_ = {};  // some of it was never stored
    }
  }

  void copy(Manifest point) {
    repository::BlockWriter writer(target_);
    CopyImage images(source_, writer, names_, watch_);
    for (repository::ManifestDisk& disk : point.disks) disk.image = images.copy(disk.image);
    for (repository::ManifestBlob& blob : point.blobs) blob.image = images.copy(blob.image);
    images.finish();
    const repository::WriteStats stats = writer.finish();
    report_.bytes_read += images.bytes_read();
    report_.bytes_new += stats.new_bytes;
    report_.bytes_stored += stats.stored_bytes;
    repository::publish(target_, point);
  }

  repository::Repository& source_;
  repository::Repository& target_;
  Watch watch_;
  repository::ReaderLock source_lock_;
  repository::RepositoryLock target_lock_;
  CopiedNames names_;
  CopyReport report_;
};

}  // namespace

CopyReport copy_points(repository::Repository& source, repository::Repository& target,
                       const std::vector<Manifest>& points, const Watch& watch) {
  const repository::Config& from = source.config();
  const repository::Config& to = target.config();
  if (from.repository_id == to.repository_id) base::fail(Fault::usage, "both are the same repository");
  if (from.block_bytes != to.block_bytes || from.fan_out != to.fan_out) {
    base::fail(Fault::usage, "'{}' has blocks of {} bytes and '{}' of {}: nothing can be copied",
               source.storage().url(), from.block_bytes, target.storage().url(), to.block_bytes);
  }
  return CopyJob(source, target, watch).run(points);
}

}  // namespace icecore::maintenance
