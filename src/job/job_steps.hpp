// SPDX-License-Identifier: Apache-2.0
// A job's walk through its states: intent, act, fact, with a place to die between each of them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.hpp"
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

  // A step on the way back to where the guest was, which waits for no journal: one whose file system is full would keep
  // the guest where it is, when its way back may be what makes room. From the first failure on the journal is told
  // nothing more, and recover() finds out by itself what was done.
  template <typename Act>
  void step_back(JobState next, Act&& act) {
    const std::string name(to_string(next));
    tell([&] { journal_.intend(record_, next); });
    base::failpoint(kind_ + ".intent." + name);
    act();
    base::failpoint(kind_ + ".acted." + name);
    tell([&] { reach(next); });
  }
  // As store_plan(), within step_back().
  void store_plan_if_possible(base::Json plan) {
    record_.plan = std::move(plan);
    tell([&] { journal_.update_plan(record_); });
  }
  // Throws what kept the journal from being told.
  void require_told() const {
    if (untold_) throw base::Error(*untold_);
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
  template <typename Write>
  void tell(Write&& write) {
    if (untold_) return;
    try {
      write();
    } catch (const base::Error& error) {
      untold_ = error;
    }
  }

  Journal journal_;
  JobRecord record_;
  std::string kind_;
  std::optional<base::Error> untold_;
};

}  // namespace icecore::job
