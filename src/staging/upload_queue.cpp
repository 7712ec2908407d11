// SPDX-License-Identifier: Apache-2.0
#include "staging/upload_queue.hpp"

#include <set>

#include "base/error.hpp"

namespace icecore::staging {

using base::Database;
using base::Statement;

namespace {

constexpr int k_schema_version = 2;

constexpr const char* k_schema = R"(
CREATE TABLE IF NOT EXISTS object(
  number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL, kind INTEGER NOT NULL, size INTEGER NOT NULL,
  state INTEGER NOT NULL, writer TEXT NOT NULL, epoch TEXT NOT NULL, note TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS object_state ON object(state, number);
CREATE TABLE IF NOT EXISTS remembered(folder TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL,
  PRIMARY KEY(folder, name)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept(manifest TEXT NOT NULL, object TEXT NOT NULL, PRIMARY KEY(manifest, object)) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS kept_object ON kept(object);
CREATE TABLE IF NOT EXISTS relied_on(manifest TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY(manifest, name)) STRICT, WITHOUT ROWID;
)";

// Stored numbers: never to be reordered.
std::string code(ObjectState state) { return std::to_string(static_cast<int>(state)); }

void rely(Database& database, const std::string& manifest, const std::set<std::string>& names) {
  for (const std::string& name : names)
    Statement(database, "INSERT OR IGNORE INTO relied_on VALUES(?,?)", {manifest, name}).next();
}

QueuedObject object_of(const Statement& row) {
  return {.number = row.number(0),
          .name = row.text(1),
          .kind = static_cast<ObjectClass>(row.number(2)),
          .size = static_cast<std::uint64_t>(row.number(3)),
          .state = static_cast<ObjectState>(row.number(4)),
          .writer = row.text(5),
          .epoch = row.text(6),
          .note = row.text(7)};
}

}  // namespace

std::optional<ObjectClass> class_of(const std::string& name) {
  if (name.starts_with("packs/")) return ObjectClass::pack;
  if (name.starts_with("index/")) return ObjectClass::index;
  if (name.starts_with("manifests/")) return ObjectClass::manifest;
  return std::nullopt;
}

UploadQueue::UploadQueue(const std::filesystem::path& folder)
    : database_(folder / "queue.sqlite", "upload queue", k_schema_version, k_schema) {}

void UploadQueue::add(const std::string& name, std::uint64_t size, const std::string& writer,
                      const std::set<std::string>& relied_on) {
  const auto kind = static_cast<int>(class_of(name).value());
  database_.with([&](Database& database) {
    database.transaction([&] {
      Statement(database,
                "INSERT INTO object(name,kind,size,state,writer,epoch,note) VALUES(?,?,?,?,?,'','') "
                "ON CONFLICT(name) DO UPDATE SET size=excluded.size, state=excluded.state, writer=excluded.writer, "
                "note='' WHERE state=" +
                    code(ObjectState::refused),
                {name, std::to_string(kind), std::to_string(size), code(ObjectState::queued), writer})
          .next();
      rely(database, name, relied_on);
    });
  });
}

std::set<std::string> UploadQueue::relied_on(const std::string& manifest) const {
  return database_.with([&](Database& database) {
    std::set<std::string> names;
    Statement select(database, "SELECT name FROM relied_on WHERE manifest=?", {manifest});
    while (select.next()) names.insert(select.text(0));
    return names;
  });
}

void UploadQueue::put_last(const QueuedObject& manifest, const std::set<std::string>& relied_on) {
  database_.with([&](Database& database) {
    database.transaction([&] {
      Statement(database, "UPDATE object SET number=(SELECT MAX(number)+1 FROM object) WHERE number=?",
                {std::to_string(manifest.number)})
          .next();
      Statement(database, "DELETE FROM relied_on WHERE manifest=?", {manifest.name}).next();
      rely(database, manifest.name, relied_on);
    });
  });
}

void UploadQueue::add_kept(const std::string& name, std::uint64_t size) {
  const auto kind = static_cast<int>(class_of(name).value());
  write(
      "INSERT INTO object(name,kind,size,state,writer,epoch,note) VALUES(?,?,?,?,'','','') "
      "ON CONFLICT(name) DO UPDATE SET state=excluded.state",
      {name, std::to_string(kind), std::to_string(size), code(ObjectState::kept)});
}

std::optional<QueuedObject> UploadQueue::find(const std::string& name) const {
  const std::vector<QueuedObject> found = query("WHERE name=?", {name});
  return found.empty() ? std::nullopt : std::optional(found.front());
}

std::vector<QueuedObject> UploadQueue::queued(unsigned limit) const {
  return query("WHERE state=? ORDER BY number LIMIT ?", {code(ObjectState::queued), std::to_string(limit)});
}

std::vector<QueuedObject> UploadQueue::packs_without_index() const {
  return query(
      "WHERE kind=? AND state IN (?,?,?) AND number>(SELECT COALESCE(MAX(number),0) FROM object WHERE kind=?)",
      {std::to_string(static_cast<int>(ObjectClass::pack)), code(ObjectState::queued), code(ObjectState::uploaded),
       code(ObjectState::released), std::to_string(static_cast<int>(ObjectClass::index))});
}

std::vector<QueuedObject> UploadQueue::in_state(ObjectState state) const {
  return query("WHERE state=? ORDER BY number", {code(state)});
}

std::vector<QueuedObject> UploadQueue::sent_before(std::int64_t number) const {
  return query("WHERE state IN (?,?) AND number<? ORDER BY number",
               {code(ObjectState::uploaded), code(ObjectState::released), std::to_string(number)});
}

std::vector<storage::ObjectInfo> UploadQueue::present(const std::string& folder) const {
  std::vector<storage::ObjectInfo> objects;
  for (const QueuedObject& object :
       query("WHERE state IN (?,?,?) AND name LIKE ?",
             {code(ObjectState::queued), code(ObjectState::uploaded), code(ObjectState::kept), folder + "/%"})) {
    objects.push_back({object.name, object.size});
  }
  return objects;
}

void UploadQueue::set_state(std::int64_t number, ObjectState state, const std::string& epoch, const std::string& note) {
  write("UPDATE object SET state=?, epoch=?, note=? WHERE number=?",
        {code(state), epoch, note, std::to_string(number)});
}

void UploadQueue::set_epoch(std::int64_t number, const std::string& epoch) {
  write("UPDATE object SET epoch=? WHERE number=?", {epoch, std::to_string(number)});
}

void UploadQueue::forget(std::int64_t number) { write("DELETE FROM object WHERE number=?", {std::to_string(number)}); }

void UploadQueue::stop_relying(const std::string& manifest) {
  write("DELETE FROM relied_on WHERE manifest=?", {manifest});
}

std::optional<QueuedObject> UploadQueue::last_settled_manifest() const {
  const std::vector<QueuedObject> found =
      query("WHERE kind=? AND state IN (?,?,?) AND writer<>'' ORDER BY number DESC LIMIT 1",
            {std::to_string(static_cast<int>(ObjectClass::manifest)), code(ObjectState::published),
             code(ObjectState::refused), code(ObjectState::kept)});
  return found.empty() ? std::nullopt : std::optional(found.front());
}

std::uint64_t UploadQueue::bytes_in_transit() const {
  return sum("state IN (" + code(ObjectState::queued) + "," + code(ObjectState::uploaded) + ")");
}

std::uint64_t UploadQueue::bytes_queued() const { return sum("state=" + code(ObjectState::queued)); }

std::uint64_t UploadQueue::bytes_to_go() const {
  const std::string pack = std::to_string(static_cast<int>(ObjectClass::pack));
  return sum("state=" + code(ObjectState::queued) + " OR (state=" + code(ObjectState::uploaded) + " AND kind=" + pack +
             ")");
}

void UploadQueue::remember(const std::string& folder, const std::vector<storage::ObjectInfo>& objects) {
  std::set<std::string> gone;
  for (const storage::ObjectInfo& object : remembered(folder)) gone.insert(object.name);
  std::vector<storage::ObjectInfo> fresh;
  for (const storage::ObjectInfo& object : objects) {
    if (gone.erase(object.name) == 0) fresh.push_back(object);
  }
  if (gone.empty() && fresh.empty()) return;
  database_.with([&](Database& database) {
    database.transaction([&] {
      for (const storage::ObjectInfo& object : fresh) {
        Statement(database, "INSERT OR REPLACE INTO remembered VALUES(?,?,?)",
                  {folder, object.name, std::to_string(object.size)})
            .next();
      }
      for (const std::string& name : gone)
        Statement(database, "DELETE FROM remembered WHERE folder=? AND name=?", {folder, name}).next();
    });
  });
}

void UploadQueue::remember_one(const std::string& folder, const storage::ObjectInfo& object) {
  write("INSERT OR REPLACE INTO remembered VALUES(?,?,?)", {folder, object.name, std::to_string(object.size)});
}

std::vector<storage::ObjectInfo> UploadQueue::remembered(const std::string& folder) const {
  return database_.with([&](Database& database) {
    std::vector<storage::ObjectInfo> objects;
    Statement select(database, "SELECT name, size FROM remembered WHERE folder=?", {folder});
    while (select.next()) objects.push_back({select.text(0), static_cast<std::uint64_t>(select.number(1))});
    return objects;
  });
}

void UploadQueue::keep(const std::string& manifest, const std::string& object) {
  write("INSERT OR IGNORE INTO kept VALUES(?,?)", {manifest, object});
}

void UploadQueue::stop_keeping(const std::string& manifest) { write("DELETE FROM kept WHERE manifest=?", {manifest}); }

std::vector<std::string> UploadQueue::kept_manifests(const std::string& domain_folder) const {
  return database_.with([&](Database& database) {
    std::vector<std::string> names;
    Statement select(database, "SELECT DISTINCT manifest FROM kept WHERE manifest LIKE ? ORDER BY manifest",
                     {domain_folder + "/%"});
    while (select.next()) names.push_back(select.text(0));
    return names;
  });
}

bool UploadQueue::is_kept(const std::string& object) const {
  return database_.with([&](Database& database) {
    return Statement(database, "SELECT 1 FROM kept WHERE object=? LIMIT 1", {object}).next();
  });
}

std::vector<QueuedObject> UploadQueue::query(const std::string& rest, const std::vector<std::string>& arguments) const {
  return database_.with([&](Database& database) {
    Statement select(database, "SELECT number, name, kind, size, state, writer, epoch, note FROM object " + rest,
                     arguments);
    std::vector<QueuedObject> objects;
    while (select.next()) objects.push_back(object_of(select));
    return objects;
  });
}

void UploadQueue::write(const std::string& sql, const std::vector<std::string>& arguments) {
  database_.with([&](Database& database) { Statement(database, sql, arguments).next(); });
}

std::uint64_t UploadQueue::sum(const std::string& where) const {
  return database_.with([&](Database& database) {
    Statement select(database, "SELECT COALESCE(SUM(size), 0) FROM object WHERE " + where);
    select.next();
    return static_cast<std::uint64_t>(select.number(0));
  });
}

}  // namespace icecore::staging
