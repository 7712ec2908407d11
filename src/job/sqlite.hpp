// SPDX-License-Identifier: Apache-2.0
// The few SQLite calls the journal needs, checked. Only journal.cpp includes this.
#pragma once

#include <sqlite3.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/handle.hpp"

namespace icecore::job {

[[noreturn]] inline void fail_sqlite(sqlite3* database, std::string_view what) {
  const int code = sqlite3_errcode(database);
  const base::Fault fault = code == SQLITE_FULL                               ? base::Fault::no_space
                            : code == SQLITE_BUSY || code == SQLITE_LOCKED    ? base::Fault::busy
                            : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? base::Fault::corrupt
                            : code == SQLITE_READONLY || code == SQLITE_PERM  ? base::Fault::denied
                                                                              : base::Fault::unavailable;
  base::fail(fault, "journal: {}: {}", what, sqlite3_errmsg(database));
}

class Statement {
 public:
  Statement(sqlite3* database, const std::string& sql, const std::vector<std::string>& arguments = {})
      : database_(database) {
    sqlite3_stmt* raw = nullptr;
    if (sqlite3_prepare_v2(database, sql.c_str(), -1, &raw, nullptr) != SQLITE_OK) fail_sqlite(database, "prepare");
    statement_.reset(raw);
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      sqlite3_bind_text(raw, static_cast<int>(i + 1), arguments[i].data(), static_cast<int>(arguments[i].size()),
                        SQLITE_TRANSIENT);
    }
  }
  // True while there is a row.
  bool next() {
    const int code = sqlite3_step(statement_.get());
    if (code != SQLITE_ROW && code != SQLITE_DONE) fail_sqlite(database_, "write or read");
    return code == SQLITE_ROW;
  }
  std::string text(int column) const {
    const unsigned char* value = sqlite3_column_text(statement_.get(), column);
    return value == nullptr ? std::string() : reinterpret_cast<const char*>(value);
  }

 private:
  sqlite3* database_;
  std::unique_ptr<sqlite3_stmt, base::FreeWith<&sqlite3_finalize>> statement_;
};

}  // namespace icecore::job
