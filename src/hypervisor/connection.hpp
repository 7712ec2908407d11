// SPDX-License-Identifier: Apache-2.0
// A connection to libvirt that outlives restarts of its daemon: it notices a dead one and opens a new one.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "hypervisor/event_listener.hpp"
#include "hypervisor/event_loop.hpp"

struct _virConnect;

namespace icecore::hypervisor {

class Domain;

enum class DomainState {
  shut_off,
  running,
  paused,  // by anyone, for any reason
  pm_suspended,
  shutting_down,
  crashed,
  gone,  // a transient domain that ended, or one undefined meanwhile
};
std::string_view to_string(DomainState state) noexcept;
// For this room only: from VIR_DOMAIN_*.
DomainState domain_state_of(int state) noexcept;

struct DomainSummary {
  std::string name;
  std::string uuid;
  DomainState state = DomainState::shut_off;
};

struct ConnectionOptions {
  base::Milliseconds open_deadline = std::chrono::seconds(20);
  // How long calls go on trying to come back after the daemon went away.
  base::Milliseconds reconnect_deadline = std::chrono::seconds(60);
  int keepalive_seconds = 5;
  unsigned keepalive_misses = 6;
};

// Belongs to one thread together with its domains; each job opens its own. Domains must not outlive it.
class Connection {
 public:
  // Throws Fault::unavailable when no daemon answers within the deadline, Fault::denied without permission.
  explicit Connection(std::string uri, ConnectionOptions options = {});
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  const std::string& uri() const noexcept { return uri_; }
  // libvirt's own version, 9000000 for 9.0.0.
  unsigned long library_version();
  // QEMU's, in the same form, as it is installed now.
  unsigned long hypervisor_version();

  // All domains, running or not, by name.
  std::vector<DomainSummary> domains();
  // By name or UUID. Fault::not_found names the nearest name there is.
  Domain domain(std::string_view name_or_uuid);
  bool has_domain(std::string_view name_or_uuid);
  // Makes or changes a persistent domain. A name or UUID that belongs to another one is Fault::conflict.
  Domain define(const std::string& xml);

  bool alive() const;
  // Opens anew, trying until options.reconnect_deadline. Domains find themselves again by their UUID.
  void reconnect(std::stop_token stop = {});

  // Domain events are noted from now on, until the daemon goes away. Takes a second at most; doing it twice is nothing.
  void listen();
  // Returns at once when a domain event came since the last call, else with the next one, at the deadline or on stop.
  // Listens first if nobody has asked for that.
  void wait_for_event(base::Milliseconds at_most, std::stop_token stop);

  // For this room only: an open connection, and a number that changes with each new one.
  _virConnect* raw();
  unsigned generation() const noexcept { return generation_; }

 private:
  struct Close {
    void operator()(_virConnect* connection) const noexcept;
  };
  using Handle = std::unique_ptr<_virConnect, Close>;
  void open();
  void keep_alive();

  std::string uri_;
  ConnectionOptions options_;
  std::shared_ptr<EventLoop> loop_;
  std::shared_ptr<EventFlag> events_ = std::make_shared<EventFlag>();
  std::uint64_t events_seen_ = 0;
  std::optional<EventListener> listener_;
  Handle handle_;
  unsigned generation_ = 0;
};

}  // namespace icecore::hypervisor
