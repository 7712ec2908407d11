// SPDX-License-Identifier: Apache-2.0
#include "job/group_backup.hpp"

#include <deque>
#include <set>

#include "base/error.hpp"
#include "base/guarded.hpp"
#include "base/id.hpp"
#include "base/log.hpp"
#include "flow/ahead.hpp"
#include "flow/rendezvous.hpp"
#include "flow/stage_group.hpp"
#include "job/backup_job.hpp"
#include "job/domain_lock.hpp"
#include "job/recover.hpp"

namespace icecore::job {

using base::Fault;

namespace {

// Longer than any freeze or snapshot call may take: who is not there by then never comes.
constexpr base::Milliseconds k_meeting_deadline = std::chrono::seconds(90);

// Between two looks at the overlays of those that wait while another's are merged.
constexpr base::Milliseconds k_budget_pause(500);

// One domain with all that its backup needs. Neither copied nor moved: its parts refer to each other.
struct Member {
  Member(const JobContext& context, const std::string& name)
      : connection(context.connect_uri), domain(connection.domain(name)) {}

  hypervisor::Connection connection;
  hypervisor::Domain domain;
  std::optional<DomainLock> lock;
  std::optional<BackupJob> job;
  bool planned = false;
  bool waits = true;  // for its disks to be read
  std::optional<base::Error> error;
};

std::string_view word_of(Quiesce quiesce) {
  if (quiesce == Quiesce::required) return "required";
  return quiesce == Quiesce::off ? "off" : "try";
}

class GroupBackup {
 public:
  GroupBackup(const JobContext& context, repository::Repository& repository, const BackupOptions& options)
      : context_(context), repository_(repository), options_(options) {}

  std::vector<GroupMemberReport> run(const std::vector<std::string>& domains) {
    for (const std::string& domain : domains) members_.emplace_back(context_, domain);
    require_different();
    for (Member& member : members_) member.lock.emplace(member.domain.uuid(), member.domain.name());
    all_or_none([&] {
      for (Member& member : members_) plan(member);
      take_instants();
    });
    tell_group();
    for (Member& member : members_) store_and_merge(member);
    std::vector<GroupMemberReport> reports;
    for (Member& member : members_) reports.push_back(finish(member));
    return reports;
  }

 private:
  void require_different() const {
    std::set<std::string> seen;
    for (const Member& member : members_) {
      if (seen.insert(member.domain.uuid()).second) continue;
      base::fail(Fault::usage, "domain '{}' is named twice", member.domain.name());
    }
    if (members_.size() < 2) base::fail(Fault::usage, "a group has at least two domains");
  }

  void plan(Member& member) {
    of_member(member, [&] {
      recover_before_backup(context_, member.connection, repository_, member.domain);
      member.job.emplace(context_, repository_, member.domain, options_);
      member.job->plan();
      member.planned = true;
    });
  }

  // Each member has a thread of its own until it is thawed: its helper processes live as long as that.
  void take_instants() {
    flow::Rendezvous rendezvous(static_cast<unsigned>(members_.size()), k_meeting_deadline);
    flow::StageGroup stages;  // a stop is looked for by each member, before anything is frozen
    stages.watch(rendezvous);
    for (Member& member : members_) {
      stages.run("instant", 1, [&](std::stop_token) {
        of_member(member, [&] {
          member.job->take_instant([&] {
            if (!rendezvous.meet()) base::fail(Fault::conflict, "another domain of the group could not go on");
          });
        });
      });
    }
    stages.join();
  }

  template <typename Action>
  static void of_member(Member& member, Action&& action) {
    base::with_context(action, "backup of '{}'", member.domain.name());
  }

  template <typename Action>
  void all_or_none(Action&& action) {
    try {
      action();
    } catch (base::Error& error) {
      give_all_up(error);
      throw;
    } catch (const std::exception& error) {
      base::Error failure(Fault::internal, error.what());
      give_all_up(failure);
      throw failure;
    }
  }

  void give_all_up(base::Error& cause) {
    for (Member& member : members_) {
      if (member.planned) member.job->give_up(cause);
    }
  }

  void tell_group() {
    repository::ManifestGroup group{.id = base::random_id(16), .quiesce = std::string(word_of(options_.quiesce))};
    std::vector<InstantBounds> bounds;
    for (Member& member : members_) {
      bounds.push_back(member.job->instant().bounds);
      group.members.push_back({.domain_name = member.domain.name(),
                               .domain_uuid = member.domain.uuid(),
                               .point_id = member.job->record().id,
                               .time = member.job->instant().instant,
                               .consistency = member.job->consistency(),
                               .freeze_ms = frozen_ms(member.job->instant())});
    }
    group.spread_ms = spread_ms(bounds);
    for (Member& member : members_) member.job->set_group(group);
  }

  void store_and_merge(Member& member) {
    member.waits = false;
    if (member.error) return;
    for_itself(
        member, [&] { member.job->store([&] { look_at_waiting(); }); },
        [&](base::Error& error) { beside_waiting([&] { member.job->give_up(error); }); });
    if (!member.error) beside_waiting([&] { member.job->merge(); });
  }

  // Merging takes as long as its guest has written for.
  template <typename Action>
  void beside_waiting(Action&& action) {
    flow::Ahead<void> merging(std::forward<Action>(action));
    while (!merging.wait_for(k_budget_pause)) look_at_waiting();
    merging.get();
  }

  // Their guests write to overlays until it is their turn.
  void look_at_waiting() {
    for (Member& member : members_) {
      if (!member.waits || member.error) continue;
      for_itself(
          member, [&] { member.job->keep_within_budget(); }, [&](base::Error& error) { member.job->give_up(error); });
    }
  }

  // What goes wrong ends the backup of this member only.
  template <typename Action, typename GiveUp>
  static void for_itself(Member& member, Action&& action, GiveUp&& give_up) {
    std::optional<base::Error> failure;
    try {
      of_member(member, action);
    } catch (const base::Error& error) {
      failure = error;
    } catch (const std::exception& error) {
      failure = base::Error(Fault::internal, error.what());
    }
    if (failure) give_up(*failure);
    member.error = std::move(failure);
  }

  GroupMemberReport finish(Member& member) {
    GroupMemberReport result{member.domain.name(), {}, member.error};
    if (result.error) return result;
    try {
      of_member(member, [&] { result.report = member.job->finish(); });
    } catch (const base::Error& error) {
      result.error = error;
    } catch (const std::exception& error) {
      result.error = base::Error(Fault::internal, error.what());
    }
    return result;
  }

  const JobContext& context_;
  repository::Repository& repository_;
  const BackupOptions& options_;
  std::deque<Member> members_;
};

}  // namespace

std::vector<GroupMemberReport> run_group_backup(const JobContext& context, repository::Repository& repository,
                                                const std::vector<std::string>& domains, const BackupOptions& options) {
  return GroupBackup(context, repository, options).run(domains);
}

}  // namespace icecore::job
