// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/event_loop.hpp"

#include <libvirt/libvirt.h>
#include <signal.h>

#include <atomic>
#include <future>
#include <thread>

#include "base/guarded.hpp"
#include "base/handle.hpp"
#include "hypervisor/libvirt_error.hpp"

namespace icecore::hypervisor {

namespace {

// Registered once a process, and before the first connection opens: libvirt ignores later registrations.
bool register_once() {
  silence_libvirt();
  check(virEventRegisterDefaultImpl(), "register libvirt's event loop");
  return true;
}

class RunningLoop final : public EventLoop {
 public:
  RunningLoop()
      : timer_(virEventAddTimeout(
            -1, [](int, void*) {}, nullptr, nullptr)) {
    check(timer_, "start libvirt's event loop");
    // Signals belong to the threads that know what to do with them.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const base::ScopeExit restore([&] { pthread_sigmask(SIG_SETMASK, &before, nullptr); });
    thread_ = std::thread([this] {
      while (!ending_) virEventRunDefaultImpl();
    });
  }
  ~RunningLoop() override {
    ending_ = true;
    virEventUpdateTimeout(timer_, 0);
    thread_.join();
    virEventRemoveTimeout(timer_);
  }
  RunningLoop(const RunningLoop&) = delete;
  RunningLoop& operator=(const RunningLoop&) = delete;

 private:
  int timer_;
  std::atomic<bool> ending_ = false;
  std::thread thread_;
};

struct Opened {
  virConnectPtr connection = nullptr;
  LibvirtError error;
};

// virConnectOpen() has no timeout: before the connection exists no keepalive watches over it, so a stopped daemon
// would hold us forever. A thread that is left behind closes what it may still get.
Opened open_within(const std::string& uri, base::Milliseconds deadline, std::function<void(_virConnect*)> then) {
  auto promise = std::make_shared<std::promise<Opened>>();
  auto abandoned = std::make_shared<std::atomic<bool>>(false);
  auto result = promise->get_future();
  std::thread([promise, abandoned, uri, then = std::move(then)] {
    Opened opened;
    opened.connection = virConnectOpen(uri.c_str());
    if (opened.connection == nullptr) opened.error = last_libvirt_error();
    if (opened.connection != nullptr && then) then(opened.connection);
    if (abandoned->exchange(true)) {
      if (opened.connection != nullptr) virConnectClose(opened.connection);
      return;
    }
    promise->set_value(opened);
  }).detach();
  if (result.wait_for(deadline) == std::future_status::ready || abandoned->exchange(true)) return result.get();
  base::fail(base::Fault::unavailable, "libvirt at '{}' did not answer within {} s", uri, deadline.count() / 1000);
}

}  // namespace

std::uint64_t EventFlag::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

void EventFlag::wait_beyond(std::uint64_t seen, base::Milliseconds deadline, std::stop_token stop) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, stop, deadline, [&] { return count_ != seen; });
}

void EventFlag::raise() {
  const std::lock_guard lock(mutex_);
  ++count_;
  changed_.notify_all();
}

_virConnect* EventLoop::open(const std::string& uri, base::Milliseconds deadline,
                             std::function<void(_virConnect*)> then) {
  const Opened opened = open_within(uri, deadline, std::move(then));
  if (opened.connection == nullptr) {
    throw_libvirt_error(opened.error, fmt::format("connecting to libvirt at '{}'", uri));
  }
  return opened.connection;
}

std::shared_ptr<EventLoop> EventLoop::shared() {
  static const bool registered = register_once();
  static base::Guarded<std::weak_ptr<EventLoop>> current;
  static_cast<void>(registered);
  return current.with([](std::weak_ptr<EventLoop>& weak) -> std::shared_ptr<EventLoop> {
    if (auto running = weak.lock()) return running;
    auto started = std::make_shared<RunningLoop>();
    weak = started;
    return started;
  });
}

}  // namespace icecore::hypervisor
