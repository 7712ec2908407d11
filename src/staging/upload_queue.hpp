// SPDX-License-Identifier: Apache-2.0
// What a spool holds and what of it is still to be uploaded, in the order it came: <spool>/queue.sqlite. A row is
// written after its file is durable and removed before the file goes, so a row's file is always there.
//
// Threads: all methods may be called from several threads, and several processes may share the file.
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/guarded.hpp"
#include "base/sqlite.hpp"
#include "storage/storage.hpp"

namespace icecore::staging {

// The classes of the order of writing (FORMAT.md): a pack waits for nothing, an index for the packs before it, a
// manifest for everything before it.
enum class ObjectClass { pack = 0, index = 1, manifest = 2 };

enum class ObjectState {
  queued,     // only here
  uploaded,   // on the remote too; kept until the point it belongs to is published
  released,   // only on the remote: gave way in a full spool
  kept,       // on the remote too; kept for restores without it
  published,  // a manifest on the remote
  refused,    // a manifest that cannot be published; `note` says why
};

struct QueuedObject {
  std::int64_t number = 0;
  std::string name;
  ObjectClass kind = ObjectClass::pack;
  std::uint64_t size = 0;
  ObjectState state = ObjectState::queued;
  std::string writer;
  std::string epoch;  // of the connection that uploaded it
  std::string note;
};

// By the folder it is in; nothing: not an object that is spooled.
std::optional<ObjectClass> class_of(const std::string& name);

class UploadQueue {
 public:
  explicit UploadQueue(const std::filesystem::path& folder);

  // At the end, queued; a name that is there already is left as it is, but a refused one is queued again in its old
  // place. `relied_on` is for a manifest: the index
  // objects that name its blocks.
  void add(const std::string& name, std::uint64_t size, const std::string& writer,
           const std::set<std::string>& relied_on = {});
  std::set<std::string> relied_on(const std::string& manifest) const;
  void stop_relying(const std::string& manifest);
  // To the end of the queue, with what it relies on now.
  void put_last(const QueuedObject& manifest, const std::set<std::string>& relied_on);
  // As kept, whatever it was before: its bytes were fetched from the remote.
  void add_kept(const std::string& name, std::uint64_t size);
  std::optional<QueuedObject> find(const std::string& name) const;
  // What is still to be uploaded, oldest first, at most `limit`.
  std::vector<QueuedObject> queued(unsigned limit) const;
  // Packs and indexes before `number` that are uploaded or released, oldest first.
  std::vector<QueuedObject> sent_before(std::int64_t number) const;
  // Those that no index here can name: it would have come after them.
  std::vector<QueuedObject> packs_without_index() const;
  std::vector<QueuedObject> in_state(ObjectState state) const;
  // Those of a folder whose bytes are here.
  std::vector<storage::ObjectInfo> present(const std::string& folder) const;
  void set_state(std::int64_t number, ObjectState state, const std::string& epoch = "", const std::string& note = "");
  void set_epoch(std::int64_t number, const std::string& epoch);
  void forget(std::int64_t number);

  // The newest manifest from here that was published or refused: what came before it has been looked after.
  std::optional<QueuedObject> last_settled_manifest() const;

  // Bytes that are here and will go once they are published.
  std::uint64_t bytes_in_transit() const;
  std::uint64_t bytes_queued() const;
  // Of those in transit, what uploads make room of: an index the remote has stays until its point is published.
  std::uint64_t bytes_to_go() const;

  // What the remote had in a folder when it was last asked.
  void remember(const std::string& folder, const std::vector<storage::ObjectInfo>& objects);
  void remember_one(const std::string& folder, const storage::ObjectInfo& object);
  std::vector<storage::ObjectInfo> remembered(const std::string& folder) const;

  // Which packs a kept point needs (kept_points.hpp).
  void keep(const std::string& manifest, const std::string& object);
  void stop_keeping(const std::string& manifest);
  std::vector<std::string> kept_manifests(const std::string& domain_folder) const;
  bool is_kept(const std::string& object) const;

 private:
  std::vector<QueuedObject> query(const std::string& rest, const std::vector<std::string>& arguments = {}) const;
  void write(const std::string& sql, const std::vector<std::string>& arguments);
  std::uint64_t sum(const std::string& where) const;

  mutable base::Guarded<base::Database> database_;
};

}  // namespace icecore::staging
