// SPDX-License-Identifier: Apache-2.0
// The local staging of one repository: <staging folder>/<repository id>/ with
//   spool.json    which repository this is
//   queue.sqlite  what is here and what of it has to be uploaded (upload_queue.hpp)
//   objects/      packs, indexes and manifests, by their names
//   cached/       config and keys/*: what opens the repository while the remote does not answer
//   writers/, uploader    files locked by the processes at work: who dies lets go, whatever the way
//
// Threads: all methods may be called from several threads, and several processes may share the folder.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/handle.hpp"
#include "staging/upload_queue.hpp"
#include "storage/local_folder.hpp"

namespace icecore::staging {

struct SpoolPlace {
  std::filesystem::path folder;
  std::string repository_id;
  std::string url;
};

// The spools below a staging folder; none when it is not there. Ones that cannot be read are left out with a warning.
std::vector<SpoolPlace> find_spools(const std::filesystem::path& staging_dir);

class Spool {
 public:
  // Opens it, or makes it in `place.folder`; one that is there keeps its URL. `bytes_max` is what may wait in it, 0 for
  // a fifth of the file system.
  explicit Spool(const SpoolPlace& place, std::uint64_t bytes_max = 0);

  const std::filesystem::path& folder() const noexcept { return place_.folder; }
  // Where its objects go.
  const std::string& url() const noexcept { return place_.url; }
  // They go there from now on. Fault::conflict: some wait for their upload to another place.
  void claim(const std::string& url);
  storage::LocalFolder& objects() noexcept { return *objects_; }
  storage::LocalFolder& cached() noexcept { return *cached_; }
  UploadQueue& queue() noexcept { return *queue_; }
  // What may be in transit in it now: its limit, and no more than its file system has room for beside the queue.
  std::uint64_t bytes_max() const;

  // Tells others which writer is alive, for as long as the lock lives.
  base::Fd begin_writing(const std::string& writer);
  bool writer_lives(const std::string& writer) const;

  // The right to upload; empty while another process has it.
  std::optional<base::Fd> try_upload_lock();

  // Forgets an object: row first, then file, so that no row is without one.
  void drop(const QueuedObject& object);
  // Its file only; the row stays.
  void drop_file(const QueuedObject& object) { objects_->remove(object.name); }

  // Wakes who waits in this process; others look again by themselves.
  void notify();
  void wait(base::Milliseconds at_most, const std::stop_token& stop);

 private:
  SpoolPlace place_;
  std::uint64_t bytes_max_;
  std::unique_ptr<storage::LocalFolder> objects_;
  std::unique_ptr<storage::LocalFolder> cached_;
  std::unique_ptr<UploadQueue> queue_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::uint64_t changes_ = 0;
};

}  // namespace icecore::staging
