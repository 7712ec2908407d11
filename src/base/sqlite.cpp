// SPDX-License-Identifier: Apache-2.0
#include "base/sqlite.hpp"

#include <sqlite3.h>

#include <cerrno>

#include "base/durable_file.hpp"
#include "base/error.hpp"

namespace icecore::base {

namespace {

constexpr int k_busy_wait_ms = 10'000;

// What a file system that is full says is a plain I/O error where SQLite itself expects no fullness.
bool is_full(sqlite3* handle) {
  const int code = sqlite3_errcode(handle);
  const int cause = sqlite3_system_errno(handle);
  return (code == SQLITE_IOERR || code == SQLITE_CANTOPEN) && (cause == ENOSPC || cause == EDQUOT);
}

Fault fault_of(sqlite3* handle) {
  if (is_full(handle)) return Fault::no_space;
  switch (sqlite3_errcode(handle)) {
    case SQLITE_FULL: return Fault::no_space;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return Fault::busy;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return Fault::corrupt;
    case SQLITE_READONLY:
    case SQLITE_PERM: return Fault::denied;
    default: return Fault::unavailable;
  }
}

}  // namespace

void Database::Close::operator()(sqlite3* handle) const noexcept { sqlite3_close_v2(handle); }

void Database::fail(std::string_view action) const {
  const char* const path = sqlite3_db_filename(handle_.get(), "main");
  base::Error error(fault_of(handle_.get()), fmt::format("{} '{}': {}: {}", what_, path == nullptr ? "" : path, action,
                                                         sqlite3_errmsg(handle_.get())));
  if (error.fault() == Fault::corrupt)
    error.add_hint("move that file away; `icecore doctor` then names what is left to put back");
  throw error;
}

Database::Database(const std::filesystem::path& path, std::string what, int schema_version, const std::string& schema)
    : what_(std::move(what)) {
  create_folders(path.parent_path());
  sqlite3* raw = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  handle_.reset(raw);
  if (code != SQLITE_OK) fail("open '" + path.string() + "'");
  prepare_schema(schema_version, schema);
}

void Database::prepare_schema(int schema_version, const std::string& schema) {
  sqlite3_busy_timeout(handle_.get(), k_busy_wait_ms);
  // WAL: one fsync a commit, and readers never wait for a writer.
  execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;");
  Statement version(*this, "PRAGMA user_version");
  version.next();
  const auto found = version.number(0);
  if (found > schema_version) {
    base::fail(Fault::usage, "the {} was written by a newer icecore (schema {}, this one knows {})", what_, found,
               schema_version);
  }
  if (found < schema_version) execute(schema + "PRAGMA user_version=" + std::to_string(schema_version));
}

void Database::execute(const std::string& sql) {
  if (sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail("write");
}

void Database::roll_back() noexcept { sqlite3_exec(handle_.get(), "ROLLBACK", nullptr, nullptr, nullptr); }

void Statement::Finalize::operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }

Statement::Statement(Database& database, const std::string& sql, const std::vector<std::string>& arguments)
    : database_(database) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(database.handle(), sql.c_str(), -1, &raw, nullptr) != SQLITE_OK) database.fail("prepare");
  statement_.reset(raw);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    sqlite3_bind_text(raw, static_cast<int>(i + 1), arguments[i].data(), static_cast<int>(arguments[i].size()),
                      SQLITE_TRANSIENT);
  }
}

bool Statement::next() {
  const int code = sqlite3_step(statement_.get());
  if (code != SQLITE_ROW && code != SQLITE_DONE) database_.fail("write or read");
  return code == SQLITE_ROW;
}

std::string Statement::text(int column) const {
  const unsigned char* value = sqlite3_column_text(statement_.get(), column);
  return value == nullptr ? std::string() : reinterpret_cast<const char*>(value);
}

std::int64_t Statement::number(int column) const { return sqlite3_column_int64(statement_.get(), column); }

}  // namespace icecore::base
