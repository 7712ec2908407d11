// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/event_listener.hpp"

#include <libvirt/libvirt.h>

#include "base/error.hpp"
#include "base/log.hpp"

namespace icecore::hypervisor {

EventListener::EventListener(const std::string& uri, base::Milliseconds deadline,
                             std::function<void(_virConnect*)> subscribe)
    : loop_(EventLoop::shared()) {
  try {
    connection_ = loop_->open(uri, deadline, std::move(subscribe));
  } catch (const base::Error& error) {
    base::log_debug("no events from libvirt: {}", error.what());
  }
}

// Its callbacks go with the connection.
EventListener::~EventListener() {
  if (connection_ != nullptr) virConnectClose(connection_);
}

}  // namespace icecore::hypervisor
