// SPDX-License-Identifier: Apache-2.0
// In which ways a guest that writes a log is backed up, and from what disks.
#pragma once

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string_view>

namespace icecore::system_test {

enum class Mode {
  quiesced,
  unquiesced,
  paused,
  shut_off,
  started_meanwhile,  // shut off at the instant, and running when the overlay is merged
  copy,
  transient,
  increment,  // a second point, by bitmap
  layer,      // a second point, by kept layer
  full_state,
  full_state_paused
};
inline constexpr Mode k_modes[] = {
    Mode::quiesced,  Mode::unquiesced, Mode::paused, Mode::shut_off,   Mode::started_meanwhile, Mode::copy,
    Mode::transient, Mode::increment,  Mode::layer,  Mode::full_state, Mode::full_state_paused};

enum class Disk {
  qcow2,
  raw,
  over_template,
  deep_chain,  // two images and a raw template below
  volume,
  device,
  qcow2_in_device,
  two_buses,  // vda, and sda on another bus and of another format
  luks        // encrypted by QEMU
};
inline constexpr Disk k_disks[] = {Disk::qcow2,           Disk::raw,       Disk::over_template,
                                   Disk::deep_chain,      Disk::volume,    Disk::device,
                                   Disk::qcow2_in_device, Disk::two_buses, Disk::luks};

inline std::string_view name_of(Mode mode) {
  switch (mode) {
    case Mode::quiesced: return "Quiesced";
    case Mode::unquiesced: return "Unquiesced";
    case Mode::paused: return "Paused";
    case Mode::shut_off: return "ShutOff";
    case Mode::started_meanwhile: return "StartedMeanwhile";
    case Mode::copy: return "Copy";
    case Mode::transient: return "Transient";
    case Mode::increment: return "Increment";
    case Mode::layer: return "Layer";
    case Mode::full_state: return "FullState";
    case Mode::full_state_paused: return "FullStatePaused";
  }
  return "";
}
inline std::string_view name_of(Disk disk) {
  switch (disk) {
    case Disk::qcow2: return "Qcow2";
    case Disk::raw: return "Raw";
    case Disk::over_template: return "OverTemplate";
    case Disk::deep_chain: return "DeepChain";
    case Disk::volume: return "Volume";
    case Disk::device: return "Device";
    case Disk::qcow2_in_device: return "Qcow2InDevice";
    case Disk::two_buses: return "TwoBuses";
    case Disk::luks: return "Luks";
  }
  return "";
}

struct Case {
  Mode mode;
  Disk disk;
  bool operator==(const Case&) const = default;

  bool takes_memory() const { return mode == Mode::full_state || mode == Mode::full_state_paused; }
  bool is_of_second_point() const { return mode == Mode::increment || mode == Mode::layer; }
  bool stands_still() const {
    return mode == Mode::paused || mode == Mode::shut_off || mode == Mode::started_meanwhile;
  }
  bool is_quiesced() const { return mode != Mode::unquiesced && mode != Mode::paused && !takes_memory(); }
  bool is_on_device() const { return disk == Disk::device || disk == Disk::qcow2_in_device; }
  // What is encrypted has no memory taken beside it, and neither bitmap nor layer; raw has no bitmap.
  bool is_possible() const {
    if (disk == Disk::luks) return !takes_memory() && !is_of_second_point();
    return mode != Mode::increment || (disk != Disk::raw && disk != Disk::device);
  }
};
inline std::string case_name(const testing::TestParamInfo<Case>& info) {
  return fmt::format("{}_{}", name_of(info.param.mode), name_of(info.param.disk));
}
inline void PrintTo(const Case& subject, std::ostream* out) {
  *out << name_of(subject.mode) << ' ' << name_of(subject.disk);
}

}  // namespace icecore::system_test
