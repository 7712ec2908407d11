// SPDX-License-Identifier: Apache-2.0
// A domain, known by its UUID: the handle is found again after libvirt's daemon was restarted.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "hypervisor/connection.hpp"
#include "hypervisor/domain_model.hpp"

struct _virDomain;

namespace icecore::hypervisor {

struct FreeDomain {
  void operator()(_virDomain* domain) const noexcept;
};
using DomainHandle = std::unique_ptr<_virDomain, FreeDomain>;

struct BlockJobProgress {
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};

// How a domain that is off came to be so.
enum class ShutOff {
  shut_down,  // QEMU ended in good order, by the guest's wish or a signal
  destroyed,
  crashed,
  failed,  // its last start did
  saved,
  migrated,
  daemon,    // libvirt ended it, unable to take it over after its own restart
  reverted,  // to a snapshot
  unknown,   // never started since it was defined, or libvirt's daemon was started anew since: it keeps no record
};

class Domain {
 public:
  // Made by Connection, which must outlive it.
  Domain(Connection& connection, std::string name, std::string uuid);

  const std::string& name() const noexcept { return name_; }
  const std::string& uuid() const noexcept { return uuid_; }
  Connection& connection() const noexcept { return *connection_; }

  // Never throws for a domain that is no more: that is DomainState::gone.
  DomainState state();
  // QEMU is there: running, paused, suspended, shutting down or crashed and preserved.
  bool active();
  // Of a domain that is not active.
  ShutOff how_shut_off();
  // Not active because it was migrated: it runs, on another host, and its disks are in use there.
  bool migrated_away();
  // Paused by QEMU, which could not write for the guest (a full file system): it tries again once it is resumed.
  bool paused_by_io_error();
  bool persistent();
  // A saved memory image exists (virsh managedsave): the disks are only whole together with it.
  bool has_managed_save();

  // Returns when no call that changes the domain is under way: libvirt finishes those of a process that has died, a
  // snapshot for one. Fault::busy when one does not end in libvirt's own time (30 s). `target`: any disk of the domain.
  void wait_for_calls_under_way(const std::string& target);

  // What the domain runs with now (of an inactive one: what it will start with), secrets included: of a transient one
  // nothing else could be defined again. Never to be logged or put into an error.
  std::string current_xml();
  // What a persistent domain starts with next, likewise: this text may be defined again without loss.
  std::string inactive_xml();
  // As values, with the paths of volumes; faults of resolve_volumes().
  DomainModel model();
  DomainModel inactive_model();
  // Of an XML of this domain that was read before.
  DomainModel model_of(const std::string& xml);

  // `paused`: the vCPUs wait for resume().
  void start(bool paused = false);
  void resume();
  void suspend();
  // Pulls the plug.
  void destroy();
  // Forgets a persistent domain; its disks and NVRAM stay.
  void undefine();

  // For this room only: the handle on the present connection.
  _virDomain* raw();

 private:
  // Asks libvirt a question; one lost to a dying connection is asked again over a new one. `ask` returns -1 to fail.
  int ask(const char* what, const std::function<int(_virDomain*)>& question);
  // Asks for something to be done; never repeated, because a lost answer may mean that it was done.
  void act(const char* what, const std::function<int(_virDomain*)>& action);
  std::pair<int, int> state_and_reason();  // as libvirt numbers them
  std::string xml(const char* what, unsigned flags);

  Connection* connection_;
  std::string name_;
  std::string uuid_;
  DomainHandle handle_;
  unsigned generation_ = 0;
};

}  // namespace icecore::hypervisor
