// SPDX-License-Identifier: Apache-2.0
// Tells whether the last user of a file ended without a word (killed, crashed), so that what it used can be distrusted.
// LMDB reads damaged pages without a check, and can die of it: then the database must not be met a second time.
#pragma once

#include <filesystem>
#include <functional>

#include "base/handle.hpp"

namespace icecore::repository {

// One object for each user and process; the file is made if missing. Locked with flock(2) while the object lives.
class CrashMark {
 public:
  // `on_crash` is called, with nobody else at work, when the users before us ended without a word.
  CrashMark(const std::filesystem::path& file, const std::function<void()>& on_crash);
  CrashMark(const CrashMark&) = delete;
  CrashMark& operator=(const CrashMark&) = delete;
  // A normal end: the last user wipes the mark.
  ~CrashMark();

 private:
  base::Fd file_;
};

}  // namespace icecore::repository
