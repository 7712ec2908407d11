// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/libvirt_worker.hpp"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <signal.h>

#include <cstdio>
#include <iostream>

#include "base/shell_word.hpp"
#include "hypervisor/checkpoint_calls.hpp"
#include "hypervisor/libvirt_error.hpp"
#include "hypervisor/memory_job.hpp"
#include "hypervisor/pause_clock.hpp"

namespace icecore::hypervisor {

namespace {

using base::Fault;
using base::Json;

constexpr base::Milliseconds k_start_deadline = std::chrono::seconds(30);

std::string text_of(const Json& request, const char* key) {
  return base::json_field<std::string>(request, key, "worker request");
}

const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

// What an answer tells beside success and failure.
struct Facts {
  virDomainBlockJobInfo job{};
  bool has_job = false;  // on the disk that was asked about
  MemoryJob memory;
  base::Milliseconds paused{0};
  unsigned long long max_downtime = 0;  // ms
};

std::optional<LibvirtError> take_snapshot(virDomainPtr domain, std::optional<PauseClock>& clock, const Json& request,
                                          unsigned flags, Facts& facts) {
  if (clock) clock->restart();
  virDomainSnapshotPtr made = virDomainSnapshotCreateXML(domain, text_of(request, "xml").c_str(), flags);
  if (made == nullptr) return last_libvirt_error();
  virDomainSnapshotFree(made);
  if (clock) facts.paused = clock->paused();
  return std::nullopt;
}

std::optional<LibvirtError> read_block_job(virDomainPtr domain, const std::string& disk, unsigned flags, Facts& facts) {
  const int found = virDomainGetBlockJobInfo(domain, disk.c_str(), &facts.job, flags);
  facts.has_job = found > 0;
  return refusal(found);
}

// Returns why libvirt refused; nothing: it is done.
std::optional<LibvirtError> perform(Domain& asked, std::optional<PauseClock>& clock, const Json& request,
                                    Facts& facts) {
  virDomainPtr domain = asked.raw();
  const std::string call = text_of(request, "call");
  const auto flags = base::json_field<unsigned>(request, "flags", "worker request");
  if (call == "snapshot") return take_snapshot(domain, clock, request, flags, facts);
  if (call == "watch_pauses") {
    clock.emplace(asked.connection().uri(), asked.uuid());
    return std::nullopt;
  }
  if (call == "memory_job") return refusal(read_memory_job(domain, facts.memory));
  if (call == "abort_memory_job") return refusal(virDomainAbortJob(domain));
  if (call == "max_downtime") return refusal(virDomainMigrateGetMaxDowntime(domain, &facts.max_downtime, 0));
  if (call == "set_max_downtime") {
    const auto limit = base::json_field<unsigned long long>(request, "limit", "worker request");
    return refusal(virDomainMigrateSetMaxDowntime(domain, limit, 0));
  }
  if (call == "restore") {
    return refusal(virDomainRestoreFlags(virDomainGetConnect(domain), text_of(request, "file").c_str(),
                                         text_of(request, "xml").c_str(), flags));
  }
  if (call == "create_bitmap") return create_bitmap(domain, text_of(request, "name"), text_of(request, "xml"));
  if (call == "discard_bitmap") return discard_bitmap(domain, text_of(request, "name"), text_of(request, "xml"));
  if (call == "forget_checkpoints") return forget_checkpoints(domain, text_of(request, "name"));
  const std::string disk = text_of(request, "disk");
  if (call == "end_job") return refusal(virDomainBlockJobAbort(domain, disk.c_str(), flags));
  if (call == "block_job") return read_block_job(domain, disk, flags, facts);
  if (call != "commit") base::fail(Fault::internal, "unknown worker request '{}'", call);
  const std::string base_image = text_of(request, "base");
  const std::string top = text_of(request, "top");
  const auto bandwidth = base::json_field<unsigned long>(request, "bandwidth", "worker request");
  return refusal(virDomainBlockCommit(domain, disk.c_str(), or_null(base_image), or_null(top), bandwidth, flags));
}

Json answer(Domain& domain, std::optional<PauseClock>& clock, const Json& request) {
  domain.raw();  // connects anew where it must
  const base::Stopwatch watch;
  Facts facts;
  const std::optional<LibvirtError> refused = perform(domain, clock, request, facts);
  const LibvirtError error = refused.value_or(LibvirtError{});
  const bool memory = facts.memory.active;
  return {{"ok", !refused},
          {"code", error.code},
          {"done", memory ? facts.memory.progress.done : facts.job.cur},
          {"total", memory ? facts.memory.progress.total : facts.job.end},
          {"saves_memory", memory},
          {"has_job", facts.has_job},
          {"paused", facts.paused.count()},
          {"max_downtime", facts.max_downtime},
          {"message", error.message},
          {"elapsed", watch.elapsed().count()}};
}

void say(const Json& line) {
  std::cout << line.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n' << std::flush;
}

}  // namespace

void CallResult::check(std::string what) const {
  if (!ok) throw_libvirt_error({code, message}, std::move(what));
}

bool CallResult::connection_lost() const noexcept { return !ok && is_connection_loss({code, message}); }

LibvirtWorker::LibvirtWorker(Domain& domain, const HelperProgram& helper) : domain_name_(domain.name()) {
  command_.arguments = helper.command;
  command_.arguments.insert(command_.arguments.end(), {k_worker_command, domain.connection().uri(), domain.uuid()});
  start();
}

void LibvirtWorker::start() {
  child_.emplace(command_, base::Wiring::dialog);
  if (child_->read_line(k_start_deadline)) return;
  const std::string said = child_->error_text();
  base::fail(Fault::unavailable, "the helper process for domain '{}' did not start: {}", domain_name_,
             said.empty() ? "no answer" : said.substr(0, said.find('\n')));
}

CallResult LibvirtWorker::snapshot(const std::string& xml, unsigned flags, base::Milliseconds deadline) {
  return call({{"call", "snapshot"}, {"flags", flags}, {"xml", xml}}, deadline);
}

CallResult LibvirtWorker::create_bitmap(const std::string& name, const std::string& xml, base::Milliseconds deadline) {
  return call({{"call", "create_bitmap"}, {"flags", 0}, {"name", name}, {"xml", xml}}, deadline);
}

CallResult LibvirtWorker::discard_bitmap(const std::string& name, const std::string& xml, base::Milliseconds deadline) {
  return call({{"call", "discard_bitmap"}, {"flags", 0}, {"name", name}, {"xml", xml}}, deadline);
}

CallResult LibvirtWorker::forget_checkpoints(const std::string& prefix, base::Milliseconds deadline) {
  return call({{"call", "forget_checkpoints"}, {"flags", 0}, {"name", prefix}}, deadline);
}

CallResult LibvirtWorker::commit(const std::string& disk, const std::string& base, const std::string& top,
                                 std::uint64_t bandwidth_bytes, unsigned flags, base::Milliseconds deadline) {
  return call({{"call", "commit"},
               {"flags", flags},
               {"disk", disk},
               {"base", base},
               {"top", top},
               {"bandwidth", bandwidth_bytes}},
              deadline);
}

CallResult LibvirtWorker::end_job(const std::string& disk, unsigned flags, base::Milliseconds deadline) {
  return call({{"call", "end_job"}, {"flags", flags}, {"disk", disk}}, deadline);
}

CallResult LibvirtWorker::block_job(const std::string& disk, base::Milliseconds deadline) {
  return call({{"call", "block_job"}, {"flags", 0}, {"disk", disk}}, deadline);
}

void LibvirtWorker::watch_pauses(base::Milliseconds deadline) {
  call({{"call", "watch_pauses"}, {"flags", 0}}, deadline);
}

void LibvirtWorker::begin_snapshot(const std::string& xml, unsigned flags) {
  send({{"call", "snapshot"}, {"flags", flags}, {"xml", xml}});
}

std::optional<CallResult> LibvirtWorker::snapshot_answer(base::Milliseconds deadline) {
  if (const auto line = child_->read_line(deadline)) return parse_answer(*line);
  if (child_->poll()) return died();
  return std::nullopt;
}

CallResult LibvirtWorker::memory_job(base::Milliseconds deadline) {
  return call({{"call", "memory_job"}, {"flags", 0}}, deadline);
}

CallResult LibvirtWorker::abort_memory_job(base::Milliseconds deadline) {
  return call({{"call", "abort_memory_job"}, {"flags", 0}}, deadline);
}

CallResult LibvirtWorker::max_downtime(base::Milliseconds deadline) {
  return call({{"call", "max_downtime"}, {"flags", 0}}, deadline);
}

CallResult LibvirtWorker::set_max_downtime(base::Milliseconds limit, base::Milliseconds deadline) {
  return call({{"call", "set_max_downtime"}, {"flags", 0}, {"limit", limit.count()}}, deadline);
}

CallResult LibvirtWorker::restore(const std::string& file, const std::string& xml, unsigned flags,
                                  base::Milliseconds deadline) {
  return call({{"call", "restore"}, {"flags", flags}, {"file", file}, {"xml", xml}}, deadline);
}

void LibvirtWorker::send(const Json& request) {
  if (!child_ || child_->poll()) start();
  child_->send_line(request.dump());
}

CallResult LibvirtWorker::call(const Json& request, base::Milliseconds deadline) {
  send(request);
  const auto line = child_->read_line(deadline);
  return line ? parse_answer(*line) : give_up(text_of(request, "call"), deadline);
}

CallResult LibvirtWorker::parse_answer(const std::string& line) {
  const Json answer = base::parse_json(line, "the helper process's answer");
  CallResult result;
  result.ok = base::json_field<bool>(answer, "ok", "answer");
  result.code = base::json_field<int>(answer, "code", "answer");
  result.message = base::json_field<std::string>(answer, "message", "answer");
  result.progress = {base::json_field<std::uint64_t>(answer, "done", "answer"),
                     base::json_field<std::uint64_t>(answer, "total", "answer")};
  result.saves_memory = base::json_field<bool>(answer, "saves_memory", "answer");
  result.has_job = base::json_field<bool>(answer, "has_job", "answer");
  result.paused = base::Milliseconds(base::json_field<std::int64_t>(answer, "paused", "answer"));
  result.max_downtime = base::Milliseconds(base::json_field<std::int64_t>(answer, "max_downtime", "answer"));
  result.elapsed = base::Milliseconds(base::json_field<std::int64_t>(answer, "elapsed", "answer"));
  return result;
}

// What it was asked for may or may not have been carried out.
CallResult LibvirtWorker::died() {
  const std::string said = child_->error_text();
  child_.reset();
  return {.code = VIR_ERR_RPC, .message = "the helper process died: " + said.substr(0, said.find('\n'))};
}

CallResult LibvirtWorker::give_up(const std::string& name, base::Milliseconds deadline) {
  if (child_->wait(base::Milliseconds(0))) return died();
  child_.reset();
  base::Error error(Fault::busy, fmt::format("libvirt did not finish its '{}' call on domain '{}' within {} s", name,
                                             domain_name_, deadline.count() / 1000));
  error.add_hint(fmt::format("libvirt may still finish it: run `icecore recover` once `virsh domjobinfo {}` answers",
                             base::shell_operand(domain_name_)));
  throw error;
}

int libvirt_worker_main(const std::vector<std::string>& arguments) {
  if (arguments.size() != 2) base::fail(Fault::usage, "{} takes a URI and a UUID", k_worker_command);
  // Ctrl-C is for the process that started us; it tells us, or kills us, when it wants to.
  ::signal(SIGINT, SIG_IGN);
  Connection connection(arguments[0]);
  Domain domain(connection, arguments[1], arguments[1]);
  domain.raw();
  std::optional<PauseClock> clock;
  say({{"ready", true}});
  for (std::string line; std::getline(std::cin, line);)
    say(answer(domain, clock, base::parse_json(line, "worker request")));
  return 0;
}

}  // namespace icecore::hypervisor
