// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/memory_job.hpp"

#include <libvirt/libvirt.h>

#include <exception>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/libvirt_worker.hpp"
#include "hypervisor/max_downtime.hpp"

namespace icecore::hypervisor {

namespace {

using base::Fault;

constexpr base::Milliseconds k_poll{50};
// A small guest is saved within a tenth of a second, and a stop or a full disk is to be seen before that.
constexpr base::Milliseconds k_poll_at_first{10};
constexpr int k_polls_at_first = 20;
constexpr base::Milliseconds k_question_deadline = std::chrono::seconds(10);
constexpr base::Milliseconds k_end_deadline = std::chrono::seconds(60);
// The guest's memory has been written so many times over: it changes faster than it is saved.
constexpr std::uint64_t k_rewrites_max = 4;

class Save {
 public:
  Save(Domain& domain, LibvirtWorker& worker, const HelperProgram& helper, const MemoryWatch& watch)
      : domain_(domain), worker_(worker), questions_(domain, helper), helper_(helper), watch_(watch) {}
  ~Save() { put_back_downtime(); }
  Save(const Save&) = delete;
  Save& operator=(const Save&) = delete;

  CallResult run(const std::string& xml, unsigned flags) {
    shorten_downtime();
    worker_.begin_snapshot(xml, flags);
    for (int polls = 0;; ++polls) {
      if (auto answer = worker_.snapshot_answer(polls < k_polls_at_first ? k_poll_at_first : k_poll)) return *answer;
      try {
        look();
      } catch (const std::exception&) {
        end();
        throw;
      }
    }
  }

 private:
  void look() {
    if (watch_.stop.stop_requested())
      base::fail(Fault::cancelled, "saving the memory of '{}' was interrupted", domain_.name());
    const CallResult job = ask();
    if (job.progress.done != done_) since_progress_ = {};
    done_ = job.progress.done;
    if (watch_.on_progress) watch_.on_progress(done_, job.progress.total);
    // The guest writes more within the short time than is saved in it.
    if (job.progress.total > 0 && done_ > job.progress.total && !std::exchange(lengthened_, true)) put_back_downtime();
    if (job.progress.total > 0 && done_ > k_rewrites_max * job.progress.total) {
      base::Error error(Fault::unavailable,
                        fmt::format("the guest '{}' writes its memory faster than it can be saved", domain_.name()));
      throw error.add_hint("pause it meanwhile: --pause, in a policy <capture pause=\"yes\"/>");
    }
    if (since_progress_.elapsed() < watch_.silence_max) return;
    base::fail(Fault::busy, "libvirt saved nothing more of the memory of '{}' for {} s", domain_.name(),
               watch_.silence_max.count() / 1000);
  }

  void shorten_downtime() {
    if (watch_.own_downtime.count() == 0) return;
    shortened_ = true;  // also when libvirt's answer does not come
    try {
      questions_.set_max_downtime(k_save_downtime, k_question_deadline).check("shorten the downtime limit");
    } catch (const base::Error& error) {
      base::log_warning("domain '{}': {}", domain_.name(), error.what());
    }
  }

  void put_back_downtime() noexcept {
    if (shortened_) put_back_max_downtime(domain_, watch_.own_downtime, helper_);
  }

  // An answer that does not come counts as no progress.
  CallResult ask() {
    try {
      return questions_.memory_job(k_question_deadline);
    } catch (const base::Error& error) {
      base::log_warning("{}", error.what());
      return {.progress = {done_, 0}};
    }
  }

  // The job is asked to end; whether it did, or was over before, the domain's XML tells.
  void end() {
    try {
      questions_.abort_memory_job(k_question_deadline);
      const base::Stopwatch since;
      while (!worker_.snapshot_answer(k_poll) && since.elapsed() < k_end_deadline) {
      }
    } catch (const base::Error& error) {
      base::log_warning("the snapshot of '{}' could not be ended: {}", domain_.name(), error.what());
    }
  }

  Domain& domain_;
  LibvirtWorker& worker_;
  LibvirtWorker questions_;
  const HelperProgram& helper_;
  const MemoryWatch& watch_;
  std::uint64_t done_ = 0;
  bool shortened_ = false;
  bool lengthened_ = false;  // was tried; at the end it is put back all the same
  base::Stopwatch since_progress_;
};

}  // namespace

int read_memory_job(_virDomain* domain, MemoryJob& job) {
  int type = VIR_DOMAIN_JOB_NONE;
  virTypedParameterPtr facts = nullptr;
  int count = 0;
  if (virDomainGetJobStats(domain, &type, &facts, &count, 0) < 0) return -1;
  int operation = VIR_DOMAIN_JOB_OPERATION_UNKNOWN;
  unsigned long long done = 0;
  unsigned long long total = 0;
  virTypedParamsGetInt(facts, count, VIR_DOMAIN_JOB_OPERATION, &operation);
  virTypedParamsGetULLong(facts, count, VIR_DOMAIN_JOB_DATA_PROCESSED, &done);
  virTypedParamsGetULLong(facts, count, VIR_DOMAIN_JOB_DATA_TOTAL, &total);
  virTypedParamsFree(facts, count);
  job.active = type != VIR_DOMAIN_JOB_NONE && operation == VIR_DOMAIN_JOB_OPERATION_SNAPSHOT;
  if (job.active) job.progress = {done, total};
  return 0;
}

CallResult save_memory(Domain& domain, LibvirtWorker& worker, const HelperProgram& helper, const std::string& xml,
                       unsigned flags, const MemoryWatch& watch) {
  return Save(domain, worker, helper, watch).run(xml, flags);
}

void end_memory_job(Domain& domain, const HelperProgram& helper) {
  if (!domain.active()) return;
  LibvirtWorker worker(domain, helper);
  const base::Stopwatch since;
  for (bool asked = false;; asked = true) {
    const CallResult job = worker.memory_job(k_question_deadline);
    if (!job.ok && !domain.active()) return;
    job.check("the jobs of domain '" + domain.name() + "'");
    if (!job.saves_memory) return;
    if (!asked) worker.abort_memory_job(k_question_deadline);
    if (since.elapsed() > k_end_deadline) {
      base::Error error(Fault::busy, fmt::format("libvirt does not end the snapshot of '{}'", domain.name()));
      throw error.add_hint("look again with `virsh domjobinfo " + base::shell_operand(domain.name()) + "`");
    }
    domain.connection().wait_for_event(k_poll, {});
  }
}

}  // namespace icecore::hypervisor
