// SPDX-License-Identifier: Apache-2.0
// What a test needs of the machine. A missing part skips the test and says why; when ICECORE_REQUIRE names the
// part ("libvirt,guest" or "all", as in CI) it fails instead, so that a green run has run everything.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace icecore::rig {

struct MissingPart {
  std::string reason;
  bool required = false;  // by ICECORE_REQUIRE
};

// The first of the parts that is not there, or nothing. Parts: "root", "qemu" (system emulator and qemu-img),
// "libvirt" (answers at qemu:///system; started when it does not), "guest" (the tiny guest's image; built when it
// is not there), "icecore" (the program), or "program:NAME" (in PATH).
std::optional<MissingPart> missing_part(std::initializer_list<std::string_view> parts);

// The folder of the tiny guest: vmlinuz and initrd. Needs the part "guest".
std::string guest_image();

}  // namespace icecore::rig

// First line of a test or of SetUp(): ICECORE_NEEDS("libvirt", "guest");
#define ICECORE_NEEDS(...)                                                      \
  do {                                                                          \
    if (const auto missing_part_ = icecore::rig::missing_part({__VA_ARGS__})) { \
      if (missing_part_->required) FAIL() << missing_part_->reason;             \
      GTEST_SKIP() << missing_part_->reason;                                    \
    }                                                                           \
  } while (false)
