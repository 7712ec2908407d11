// SPDX-License-Identifier: Apache-2.0
// A job's walk through its states: intent, act, fact, with a place to die between each of them.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/failpoint.hpp"
#include "job/journal.hpp"

namespace icecore::job {

// One thread at a time. `kind` begins the names of the places to die: "backup.intent.frozen".
class JobSteps {
 public:
  JobSteps(const std::filesystem::path& state_dir, std::string_view kind) : journal_(state_dir), kind_(kind) {}

  JobRecord& record() noexcept { return record_; }
  Journal& journal() noexcept { return journal_; }

  // Writes the record, whose state is `planned`.
  void begin() {
    journal_.begin(record_);
    base::failpoint(kind_ + ".fact.planned");
  }

  // What `act` throws leaves the intent in the journal and the state as it was.
  template <typename Act>
  void step(JobState next, Durability durability, Act&& act) {
    const std::string name(to_string(next));
    journal_.intend(record_, next, durability);
    base::failpoint(kind_ + ".intent." + name);
    act();
    base::failpoint(kind_ + ".acted." + name);
    reach(next, durability);
  }
  template <typename Act>
  void step(JobState next, Act&& act) {
    step(next, Durability::power_loss, std::forward<Act>(act));
  }

  // The fact alone, of a step that has nothing to do.
  void reach(JobState next, Durability durability = Durability::power_loss) {
    journal_.reach(record_, next, durability);
    base::failpoint(kind_ + ".fact." + std::string(to_string(next)));
  }

  void store_plan(base::Json plan) {
    record_.plan = std::move(plan);
    journal_.update_plan(record_);
  }

 private:
  Journal journal_;
  JobRecord record_;
  std::string kind_;
};

}  // namespace icecore::job
