// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/domain.hpp"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <cstdlib>
#include <utility>

#include "base/error.hpp"
#include "hypervisor/libvirt_error.hpp"
#include "hypervisor/volume.hpp"
#include "hypervisor/xml_document.hpp"

namespace icecore::hypervisor {

namespace {

struct FreeText {
  void operator()(char* text) const noexcept { std::free(text); }
};
using Text = std::unique_ptr<char, FreeText>;

ShutOff shut_off_of(int reason) {
  switch (reason) {
    case VIR_DOMAIN_SHUTOFF_SHUTDOWN: return ShutOff::shut_down;
    case VIR_DOMAIN_SHUTOFF_DESTROYED: return ShutOff::destroyed;
    case VIR_DOMAIN_SHUTOFF_CRASHED: return ShutOff::crashed;
    case VIR_DOMAIN_SHUTOFF_MIGRATED: return ShutOff::migrated;
    case VIR_DOMAIN_SHUTOFF_SAVED: return ShutOff::saved;
    case VIR_DOMAIN_SHUTOFF_FAILED: return ShutOff::failed;
    case VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT: return ShutOff::reverted;
    case VIR_DOMAIN_SHUTOFF_DAEMON: return ShutOff::daemon;
    default: return ShutOff::unknown;
  }
}

}  // namespace

void FreeDomain::operator()(_virDomain* domain) const noexcept { virDomainFree(domain); }

Domain::Domain(Connection& connection, std::string name, std::string uuid)
    : connection_(&connection), name_(std::move(name)), uuid_(std::move(uuid)) {}

_virDomain* Domain::raw() {
  virConnectPtr connection = connection_->raw();
  if (!handle_ || generation_ != connection_->generation()) {
    handle_.reset(check(virDomainLookupByUUIDString(connection, uuid_.c_str()), "looking up domain '{}'", name_));
    generation_ = connection_->generation();
  }
  return handle_.get();
}

int Domain::ask(const char* what, const std::function<int(_virDomain*)>& question) {
  int answer = question(raw());
  if (answer < 0 && is_connection_loss(last_libvirt_error())) answer = question(raw());
  return check(answer, "{} of domain '{}'", what, name_);
}

void Domain::act(const char* what, const std::function<int(_virDomain*)>& action) {
  check(action(raw()), "{} domain '{}'", what, name_);
}

DomainState Domain::state() {
  int state = 0;
  try {
    ask("reading the state", [&](virDomainPtr domain) { return virDomainGetState(domain, &state, nullptr, 0); });
  } catch (const base::Error& error) {
    if (error.fault() == base::Fault::not_found) return DomainState::gone;
    throw;
  }
  return domain_state_of(state);
}

bool Domain::active() {
  const DomainState now = state();
  if (now == DomainState::gone) return false;
  return ask("reading the state", [](virDomainPtr domain) { return virDomainIsActive(domain); }) == 1;
}

std::pair<int, int> Domain::state_and_reason() {
  int state = 0;
  int reason = 0;
  ask("reading the state", [&](virDomainPtr domain) { return virDomainGetState(domain, &state, &reason, 0); });
  return {state, reason};
}

ShutOff Domain::how_shut_off() {
  const auto [state, reason] = state_and_reason();
  return state == VIR_DOMAIN_SHUTOFF ? shut_off_of(reason) : ShutOff::unknown;
}

bool Domain::migrated_away() { return how_shut_off() == ShutOff::migrated; }

bool Domain::paused_by_io_error() {
  const auto [state, reason] = state_and_reason();
  return state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_IOERROR;
}

bool Domain::persistent() {
  return ask("reading the state", [](virDomainPtr domain) { return virDomainIsPersistent(domain); }) == 1;
}

bool Domain::has_managed_save() {
  return ask("reading the state", [](virDomainPtr domain) { return virDomainHasManagedSaveImage(domain, 0); }) == 1;
}

void Domain::wait_for_calls_under_way(const std::string& target) {
  // The answer does not matter: to give one libvirt takes the lock that such a call holds (virDomainObjBeginJob).
  virDomainBlockInfo ignored;
  if (virDomainGetBlockInfo(raw(), target.c_str(), &ignored, 0) == 0) return;
  const LibvirtError error = last_libvirt_error();
  if (error.code == VIR_ERR_OPERATION_TIMEOUT) throw_libvirt_error(error, "waiting for domain '" + name_ + "'");
}

std::string Domain::xml(const char* what, unsigned flags) {
  Text text;
  ask(what, [&](virDomainPtr domain) {
    text.reset(virDomainGetXMLDesc(domain, flags));
    return text ? 0 : -1;
  });
  return text.get();
}

std::string Domain::current_xml() { return xml("reading the XML", VIR_DOMAIN_XML_SECURE); }

std::string Domain::inactive_xml() {
  return xml("reading the persistent XML", VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);
}

DomainModel Domain::model() { return model_of(current_xml()); }

DomainModel Domain::inactive_model() { return model_of(inactive_xml()); }

DomainModel Domain::model_of(const std::string& xml) {
  DomainModel model = parse_domain(xml);
  resolve_volumes(*connection_, model);
  return model;
}

void Domain::start(bool paused) {
  act("starting", [&](virDomainPtr domain) {
    return virDomainCreateWithFlags(domain, paused ? VIR_DOMAIN_START_PAUSED : VIR_DOMAIN_NONE);
  });
}

void Domain::resume() { act("resuming", virDomainResume); }

void Domain::suspend() { act("suspending", virDomainSuspend); }

void Domain::destroy() { act("stopping", virDomainDestroy); }

void Domain::undefine() {
  unsigned flags = 0;
  if (!inactive_model().nvram.empty()) flags |= VIR_DOMAIN_UNDEFINE_KEEP_NVRAM;
  act("undefining", [&](virDomainPtr domain) { return virDomainUndefineFlags(domain, flags); });
}

}  // namespace icecore::hypervisor
