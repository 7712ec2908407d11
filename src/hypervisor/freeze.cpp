// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/freeze.hpp"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "base/error.hpp"
#include "base/log.hpp"
#include "hypervisor/libvirt_error.hpp"
#include "hypervisor/thaw_watchdog.hpp"

namespace icecore::hypervisor {

namespace {

using base::Fault;
using base::Milliseconds;

constexpr Milliseconds k_watchdog_start = std::chrono::seconds(30);
constexpr Milliseconds k_answer = std::chrono::seconds(5);  // of an agent that has nothing to do
constexpr Milliseconds k_watchdog_end = std::chrono::seconds(2);
constexpr int k_thaw_attempts = 3;
constexpr Milliseconds k_thaw_pause(100);
constexpr Milliseconds k_silent_call = std::chrono::seconds(2);
constexpr Milliseconds k_thaw_patience = std::chrono::seconds(10);

FreezeReport not_frozen(FreezeState state, std::string reason) {
  FreezeReport report;
  report.state = state;
  report.reason = std::move(reason);
  return report;
}

int to_seconds(Milliseconds duration) {
  return static_cast<int>(std::chrono::ceil<std::chrono::seconds>(duration).count());
}

bool is_silence(const LibvirtError& error) {
  return error.code == VIR_ERR_AGENT_UNRESPONSIVE || error.code == VIR_ERR_AGENT_UNSYNCED ||
         error.code == VIR_ERR_OPERATION_TIMEOUT;
}

}  // namespace

std::string_view to_string(FreezeState state) noexcept {
  switch (state) {
    case FreezeState::frozen: return "frozen";
    case FreezeState::not_running: return "not running";
    case FreezeState::guest_paused: return "guest paused";
    case FreezeState::no_agent: return "no agent";
    case FreezeState::agent_silent: return "agent silent";
    case FreezeState::refused: return "refused";
  }
  return "unknown";
}

Freeze::Freeze(Domain& domain, FreezeOptions options)
    : domain_(domain), options_(std::move(options)), cap_(options_.cap) {
  obstacle_ = find_obstacle();
  if (!obstacle_) obstacle_ = find_silence();
  if (obstacle_) return;
  call_cap_ = options_.call_cap.count() > 0 ? std::min(options_.call_cap, cap_) : cap_;
  wait_for_agent(call_cap_);
  start_watchdog();
}

// Without it an agent that hangs would hang us and libvirt's monitor of the domain for good.
void Freeze::wait_for_agent(Milliseconds longest) {
  check(virDomainAgentSetResponseTimeout(domain_.raw(), to_seconds(longest), 0),
        "setting the agent timeout of domain '{}'", domain_.name());
}

// Asked for the time, which any agent tells and no guest notices. One that hangs is found while nothing is frozen.
std::optional<FreezeReport> Freeze::find_silence() {
  wait_for_agent(k_answer);
  long long seconds = 0;
  unsigned nanoseconds = 0;
  if (virDomainGetTime(domain_.raw(), &seconds, &nanoseconds, 0) >= 0) return std::nullopt;
  const LibvirtError error = last_libvirt_error();
  if (!is_silence(error)) return std::nullopt;
  virDomainAgentSetResponseTimeout(domain_.raw(), VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK, 0);
  return not_frozen(FreezeState::agent_silent, "the agent in the guest does not answer: " + error.message);
}

Freeze::~Freeze() {
  try {
    if (frozen_since_) thaw();
    if (watchdog_) dismiss_watchdog();
  } catch (const base::Error& error) {
    base::log_warning("thawing domain '{}': {}; the watchdog takes over", domain_.name(), error.what());
    if (watchdog_) watchdog_->release();
  }
}

std::optional<FreezeReport> Freeze::find_obstacle() {
  switch (domain_.state()) {
    case DomainState::running: break;
    case DomainState::paused:
    case DomainState::pm_suspended: return not_frozen(FreezeState::guest_paused, "the guest is paused");
    default: return not_frozen(FreezeState::not_running, "the domain is not running");
  }
  const DomainModel model = domain_.model();
  if (model.windows) cap_ = std::min(cap_, options_.windows_cap);
  switch (model.agent) {
    case AgentChannel::connected: return std::nullopt;
    case AgentChannel::disconnected:
      return not_frozen(FreezeState::no_agent,
                        "no agent in the guest has opened the channel: is qemu-guest-agent running there?");
    case AgentChannel::absent: break;
  }
  return not_frozen(FreezeState::no_agent, "the domain has no channel for the guest agent (org.qemu.guest_agent.0)");
}

void Freeze::start_watchdog() {
  base::Command command{.arguments = options_.helper.command, .survive_parent = true};
  command.arguments.insert(command.arguments.end(), {k_watchdog_command, domain_.connection().uri(), domain_.uuid(),
                                                     std::to_string(cap_.count())});
  watchdog_.emplace(command, base::Wiring::dialog);
  if (watchdog_->read_line(k_watchdog_start) == "ready") return;
  const std::string said = watchdog_->error_text();
  base::fail(Fault::unavailable, "the thaw watchdog for domain '{}' did not start: {}", domain_.name(),
             said.empty() ? "no answer" : said.substr(0, said.find('\n')));
}

FreezeReport Freeze::freeze() {
  if (obstacle_) return *obstacle_;
  if (frozen_since_) base::fail(Fault::internal, "domain '{}' was frozen already", domain_.name());
  // The guest may have been paused since we looked; then only the timeout would tell.
  if (domain_.state() != DomainState::running) {
    return not_frozen(FreezeState::guest_paused, "the guest was paused or stopped just before the freeze");
  }
  virDomainPtr raw = domain_.raw();
  watchdog_->send_line("freezing");
  frozen_since_.emplace();
  file_systems_ = virDomainFSFreeze(raw, nullptr, 0, 0);
  FreezeReport report;
  report.call = frozen_since_->elapsed();
  if (file_systems_ >= 0) {
    if (call_cap_ != cap_) wait_for_agent(cap_);
    report.state = FreezeState::frozen;
    report.file_systems = file_systems_;
    return report;
  }
  const LibvirtError error = last_libvirt_error();
  report.state = is_silence(error) ? FreezeState::agent_silent : FreezeState::refused;
  report.reason = error.message;
  // An agent that failed half way, or answers too late, leaves a frozen guest.
  if (report.state == FreezeState::agent_silent) {
    report_.reason = error.message;
    leave_to_watchdog();
  } else {
    thaw();
  }
  if (!report_.thawed) report.reason += "; " + report_.reason;
  return report;
}

void Freeze::leave_to_watchdog() {
  report_.frozen = frozen_since_->elapsed();
  frozen_since_.reset();
  report_.reason = "the guest may still be frozen, the watchdog goes on trying to thaw it: " + report_.reason;
  watchdog_->release();
  watchdog_.reset();
}

// Below zero when the agent did not obey. After a restart of libvirt's daemon the agent is "not connected" for a
// moment, which it says at once; an agent that is silent uses up its time, and asking it again would only take more.
int Freeze::send_thaw() {
  const base::Stopwatch total;
  for (int attempt = 1;; ++attempt) {
    const base::Stopwatch call;
    const int count = virDomainFSThaw(domain_.raw(), nullptr, 0, 0);
    if (count >= 0) return count;
    const LibvirtError error = last_libvirt_error();
    report_.reason = error.message;
    const bool refused = !is_silence(error) && !is_connection_loss(error) && attempt >= k_thaw_attempts;
    if (refused || call.elapsed() > k_silent_call || total.elapsed() > k_thaw_patience) return count;
    if (!domain_.active()) return count;
    domain_.connection().wait_for_event(k_thaw_pause, {});
  }
}

ThawReport Freeze::thaw() {
  if (!frozen_since_) return report_;
  const base::Stopwatch call;
  const int count = send_thaw();
  report_.call = call.elapsed();
  report_.thawed = count >= 0 || !domain_.active();
  if (!report_.thawed) {
    leave_to_watchdog();
    return report_;
  }
  report_.frozen = frozen_since_->elapsed();
  frozen_since_.reset();
  const bool fired = dismiss_watchdog();
  report_.early = fired || (file_systems_ > 0 && count == 0);
  report_.reason.clear();
  if (fired) report_.reason = fmt::format("the watchdog thawed the guest after {} ms", cap_.count());
  if (report_.early && !fired) report_.reason = "the guest was thawed by something else while we counted on the freeze";
  virDomainAgentSetResponseTimeout(domain_.raw(), VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK, 0);
  return report_;
}

// True when it had fired.
bool Freeze::dismiss_watchdog() {
  base::Child watchdog = std::move(*watchdog_);
  watchdog_.reset();
  try {
    watchdog.send_line("thawed");
  } catch (const base::Error&) {
    // It has ended by itself: it fired, or somebody killed it; its exit code tells.
    base::log_debug("the thaw watchdog of domain '{}' has ended before it was told to", domain_.name());
  }
  watchdog.end_input();
  const auto exit_code = watchdog.wait(k_watchdog_end);
  const bool fired = watchdog.read_line(Milliseconds(0)) == "fired";
  return fired || exit_code == k_watchdog_thawed || exit_code == k_watchdog_could_not_thaw;
}

bool thaw_guest(Domain& domain) {
  constexpr int k_thaw_seconds = 10;
  if (domain.model().agent != AgentChannel::connected) return false;
  virDomainAgentSetResponseTimeout(domain.raw(), k_thaw_seconds, 0);
  const int count = virDomainFSThaw(domain.raw(), nullptr, 0, 0);
  const LibvirtError error = count < 0 ? last_libvirt_error() : LibvirtError{};
  virDomainAgentSetResponseTimeout(domain.raw(), VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK, 0);
  if (count < 0 && !is_silence(error)) {
    throw_libvirt_error(error, fmt::format("thaw the guest of domain '{}'", domain.name()));
  }
  return count > 0;
}

}  // namespace icecore::hypervisor
