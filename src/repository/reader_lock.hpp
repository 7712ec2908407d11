// SPDX-License-Identifier: Apache-2.0
// The shared lock of one who only reads, without which he can do: a repository that is full, or can only be read, still
// gives back what it holds.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "repository/repository_lock.hpp"

namespace icecore::repository {

class ReaderLock {
 public:
  // Takes a shared lock, see RepositoryLock. Where none can be written (Fault::no_space, denied) there is none, and a
  // warning says so: what a prune removes meanwhile is then found missing, never misread.
  ReaderLock(Repository& repository, const std::string& operation);

  // As RepositoryLock::refresh(), but for a heartbeat that finds no room: without one, other hosts may take this
  // process for gone.
  void refresh();

  // Its id, to tell it from those of others; none where no lock could be taken.
  std::set<std::string> ids() const;

 private:
  std::optional<RepositoryLock> lock_;
};

}  // namespace icecore::repository
