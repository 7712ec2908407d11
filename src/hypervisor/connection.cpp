// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/connection.hpp"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "base/error.hpp"
#include "base/handle.hpp"
#include "base/log.hpp"
#include "hypervisor/domain.hpp"
#include "hypervisor/libvirt_error.hpp"

namespace icecore::hypervisor {

namespace {

using base::Fault;

constexpr base::Milliseconds k_listen_deadline = std::chrono::seconds(1);

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

[[noreturn]] void fail_unknown_domain(std::string_view wanted, const std::vector<DomainSummary>& known) {
  base::Error error(Fault::not_found, fmt::format("there is no domain '{}'", wanted));
  const auto nearer = [&](const DomainSummary& a, const DomainSummary& b) {
    return edit_distance(a.name, wanted) < edit_distance(b.name, wanted);
  };
  const auto nearest = std::min_element(known.begin(), known.end(), nearer);
  if (nearest == known.end()) {
    error.add_hint("libvirt knows no domain at all: is this the right --connect URI?");
  } else if (edit_distance(nearest->name, wanted) <= std::max<std::size_t>(2, wanted.size() / 3)) {
    error.add_hint(fmt::format("did you mean '{}'? All of them: virsh list --all", nearest->name));
  } else {
    error.add_hint("all of them: virsh list --all");
  }
  throw error;
}

// One that went away between the listing and the question is left out. A lost connection is no such answer: who took a
// domain for gone would merge its files under it.
std::optional<LibvirtError> add_summary(virDomainPtr domain, std::vector<DomainSummary>& summaries) {
  char uuid[VIR_UUID_STRING_BUFLEN];
  int state = 0;
  if (virDomainGetUUIDString(domain, uuid) >= 0 && virDomainGetState(domain, &state, nullptr, 0) >= 0) {
    summaries.push_back({virDomainGetName(domain), uuid, domain_state_of(state)});
    return std::nullopt;
  }
  const LibvirtError error = last_libvirt_error();
  if (error.code == VIR_ERR_NO_DOMAIN) return std::nullopt;
  return error;
}

std::optional<LibvirtError> list_domains(virConnectPtr connection, std::vector<DomainSummary>& summaries) {
  summaries.clear();
  virDomainPtr* list = nullptr;
  const int count = virConnectListAllDomains(connection, &list, 0);
  if (count < 0) return last_libvirt_error();
  std::optional<LibvirtError> failure;
  for (int i = 0; i < count; ++i) {
    if (!failure) failure = add_summary(list[i], summaries);
    virDomainFree(list[i]);
  }
  free(list);
  return failure;
}

// libvirt has no error code for a name that is taken, only a text.
[[noreturn]] void fail_to_define(const LibvirtError& error, const std::string& xml,
                                 const std::vector<DomainSummary>& known) {
  const DomainModel wanted = parse_domain(xml);
  for (const DomainSummary& other : known) {
    if ((other.name == wanted.name) == (other.uuid == wanted.uuid)) continue;
    base::fail(Fault::conflict, "domain '{}' with UUID {} exists, which is not UUID {} of '{}'", other.name, other.uuid,
               wanted.uuid, wanted.name);
  }
  throw_libvirt_error(error, "defining a domain");
}

void raise_flag(void* opaque) { (*static_cast<std::shared_ptr<EventFlag>*>(opaque))->raise(); }
void free_flag(void* opaque) { delete static_cast<std::shared_ptr<EventFlag>*>(opaque); }

void on_lifecycle(virConnectPtr, virDomainPtr, int, int, void* opaque) { raise_flag(opaque); }
void on_block_job(virConnectPtr, virDomainPtr, const char*, int, int, void* opaque) { raise_flag(opaque); }
void on_close(virConnectPtr, int, void* opaque) { static_cast<EventFlag*>(opaque)->raise(); }

}  // namespace

std::string_view to_string(DomainState state) noexcept {
  switch (state) {
    case DomainState::shut_off: return "shut off";
    case DomainState::running: return "running";
    case DomainState::paused: return "paused";
    case DomainState::pm_suspended: return "suspended";
    case DomainState::shutting_down: return "shutting down";
    case DomainState::crashed: return "crashed";
    case DomainState::gone: return "gone";
  }
  return "unknown";
}

DomainState domain_state_of(int state) noexcept {
  switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED: return DomainState::running;
    case VIR_DOMAIN_PAUSED: return DomainState::paused;
    case VIR_DOMAIN_PMSUSPENDED: return DomainState::pm_suspended;
    case VIR_DOMAIN_SHUTDOWN: return DomainState::shutting_down;
    case VIR_DOMAIN_CRASHED: return DomainState::crashed;
    default: return DomainState::shut_off;
  }
}

Connection::Connection(std::string uri, ConnectionOptions options)
    : uri_(std::move(uri)), options_(options), loop_(EventLoop::shared()) {
  open();
}

Connection::~Connection() = default;

void Connection::Close::operator()(_virConnect* connection) const noexcept {
  virConnectUnregisterCloseCallback(connection, on_close);
  virConnectClose(connection);
}

void Connection::open() {
  handle_.reset(loop_->open(uri_, options_.open_deadline));
  ++generation_;
  listener_.reset();
  keep_alive();
}

void Connection::keep_alive() {
  virConnectSetKeepAlive(handle_.get(), options_.keepalive_seconds, options_.keepalive_misses);
  // Without a free function: drivers that know no close event take the callback and then forget it. Close unregisters
  // it, under the lock libvirt calls it with, before our flag goes.
  virConnectRegisterCloseCallback(handle_.get(), on_close, events_.get(), nullptr);
}

bool Connection::alive() const { return handle_ && virConnectIsAlive(handle_.get()) == 1; }

void Connection::reconnect(std::stop_token stop) {
  const base::Stopwatch watch;
  base::log_info("connection to libvirt at '{}' lost, connecting again", uri_);
  for (base::Milliseconds pause(50);; pause = std::min(pause * 2, base::Milliseconds(1000))) {
    try {
      return open();
    } catch (const base::Error& error) {
      if (stop.stop_requested() || error.fault() == Fault::denied || watch.elapsed() > options_.reconnect_deadline)
        throw;
    }
    events_->wait_beyond(events_->count(), pause, stop);
  }
}

// Drivers without events (test:///) are polled only.
void Connection::listen() {
  if (listener_) return;
  listener_.emplace(uri_, k_listen_deadline, [options = options_, events = events_](_virConnect* connection) {
    virConnectSetKeepAlive(connection, options.keepalive_seconds, options.keepalive_misses);
    const auto add = [&](int event, virConnectDomainEventGenericCallback callback) {
      auto* flag = new std::shared_ptr<EventFlag>(events);
      if (virConnectDomainEventRegisterAny(connection, nullptr, event, callback, flag, free_flag) < 0) delete flag;
    };
    add(VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle));
    add(VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2, VIR_DOMAIN_EVENT_CALLBACK(on_block_job));
  });
}

void Connection::wait_for_event(base::Milliseconds at_most, std::stop_token stop) {
  listen();
  events_->wait_beyond(events_seen_, at_most, std::move(stop));
  events_seen_ = events_->count();
}

_virConnect* Connection::raw() {
  if (!alive()) reconnect();
  return handle_.get();
}

unsigned long Connection::library_version() {
  unsigned long version = 0;
  check(virConnectGetLibVersion(raw(), &version), "asking libvirt for its version");
  return version;
}

unsigned long Connection::hypervisor_version() {
  unsigned long version = 0;
  check(virConnectGetVersion(raw(), &version), "asking libvirt for the version of QEMU");
  return version;
}

std::vector<DomainSummary> Connection::domains() {
  std::vector<DomainSummary> summaries;
  std::optional<LibvirtError> failure = list_domains(raw(), summaries);
  if (failure && is_connection_loss(*failure)) failure = list_domains(raw(), summaries);
  if (failure) throw_libvirt_error(*failure, "listing the domains");
  std::sort(summaries.begin(), summaries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return summaries;
}

bool Connection::has_domain(std::string_view name_or_uuid) {
  for (const DomainSummary& known : domains()) {
    if (known.name == name_or_uuid || known.uuid == name_or_uuid) return true;
  }
  return false;
}

Domain Connection::domain(std::string_view name_or_uuid) {
  const std::vector<DomainSummary> known = domains();
  for (const DomainSummary& candidate : known) {
    if (candidate.name == name_or_uuid) return Domain(*this, candidate.name, candidate.uuid);
  }
  for (const DomainSummary& candidate : known) {
    if (candidate.uuid == name_or_uuid) return Domain(*this, candidate.name, candidate.uuid);
  }
  fail_unknown_domain(name_or_uuid, known);
}

Domain Connection::define(const std::string& xml) {
  const DomainHandle defined(virDomainDefineXML(raw(), xml.c_str()));
  if (!defined) {
    const LibvirtError error = last_libvirt_error();  // before the domains are asked for
    fail_to_define(error, xml, domains());
  }
  char uuid[VIR_UUID_STRING_BUFLEN];
  check(virDomainGetUUIDString(defined.get(), uuid), "reading back the defined domain");
  return Domain(*this, virDomainGetName(defined.get()), uuid);
}

}  // namespace icecore::hypervisor
