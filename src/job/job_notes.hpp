// SPDX-License-Identifier: Apache-2.0
// What a person should know of a job beside its result: told at once, and kept for the report.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "job/progress.hpp"

namespace icecore::job {

// One thread at a time; the progress outlives it.
class JobNotes {
 public:
  JobNotes(Progress& progress, std::string domain) : progress_(progress), domain_(std::move(domain)) {}

  void add(std::string text) {
    progress_.note(domain_, text);
    texts_.push_back(std::move(text));
  }
  const std::vector<std::string>& texts() const noexcept { return texts_; }

 private:
  Progress& progress_;
  std::string domain_;
  std::vector<std::string> texts_;
};

}  // namespace icecore::job
