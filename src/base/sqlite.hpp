// SPDX-License-Identifier: Apache-2.0
// The few SQLite calls that are needed, checked: a durable database in one file that several processes may share.
// Only this header and its source name the library.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/handle.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace icecore::base {

// Threads: one at a time.
class Database {
 public:
  // Opens or creates it; a new one gets `schema` and the version. SQLite locks the file, and others are waited for
  // 10 s. `what` names it in messages ("journal"). Fault::denied, unavailable, no_space, corrupt; a newer version
  // than ours is Fault::usage.
  Database(const std::filesystem::path& path, std::string what, int schema_version, const std::string& schema);

  // Statements without arguments and rows.
  void execute(const std::string& sql);
  // Runs action() in a transaction, which is rolled back when it throws.
  template <typename Action>
  void transaction(Action&& action) {
    execute("BEGIN IMMEDIATE");
    ScopeExit undo([this] { roll_back(); });
    action();
    execute("COMMIT");
    undo.dismiss();
  }
  sqlite3* handle() const noexcept { return handle_.get(); }
  [[noreturn]] void fail(std::string_view action) const;

 private:
  struct Close {
    void operator()(sqlite3* handle) const noexcept;
  };
  void roll_back() noexcept;
  void prepare_schema(int schema_version, const std::string& schema);

  std::string what_;
  std::unique_ptr<sqlite3, Close> handle_;
};

// One statement with its arguments; `database` outlives it.
class Statement {
 public:
  Statement(Database& database, const std::string& sql, const std::vector<std::string>& arguments = {});
  // Runs it, or goes to the next row; true while there is one.
  bool next();
  std::string text(int column) const;  // NULL is ""
  std::int64_t number(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const noexcept;
  };
  Database& database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

}  // namespace icecore::base
