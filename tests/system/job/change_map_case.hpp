// SPDX-License-Identifier: Apache-2.0
// What the tests of increments start from.
#pragma once

#include <gtest/gtest.h>

#include "base/id.hpp"
#include "base/process.hpp"
#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {

inline constexpr std::uint64_t k_kib = 1024;
inline constexpr std::uint64_t k_mib = 1024 * k_kib;
inline constexpr std::uint64_t k_block = 64 * k_kib;
// Blocks that are compared with the point before are read as well.
inline constexpr std::uint64_t k_recheck_max = 17 * k_block;  // 16 picked, and the last one with data

inline void tool(std::vector<std::string> arguments) {
  base::run_checked({.arguments = std::move(arguments)}, std::chrono::minutes(1));
}

class ChangeMapCase : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }

  // With some data, running.
  static void begin(ProtectedDomain& subject) {
    subject.init();
    subject.domain.start_paused();
    subject.domain.monitor_write("vda", 0, 4 * k_mib, 0x11);
  }
  static void write(ProtectedDomain& subject, std::uint64_t offset, unsigned char pattern,
                    std::uint64_t length = k_block) {
    subject.domain.monitor_write("vda", offset, length, pattern);
  }
  // The disk's record of a new point, which restores to what the disk is now.
  static base::Json back_up(ProtectedDomain& subject, std::vector<std::string> more = {}) {
    const std::string expected = subject.domain.hash_disk();
    std::vector<std::string> arguments = {"backup", subject.domain.name(), "--quiesce=off"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    subject.must(arguments);
    EXPECT_EQ(subject.restored_hash("latest"), expected);
    subject.expect_at_rest();
    return newest(subject);
  }
  static base::Json newest(ProtectedDomain& subject) {
    return subject.must({"show", "latest", "--json"}).json().at("disks").at(0);
  }
  static void expect_bitmap(const base::Json& disk, std::uint64_t changed) {
    EXPECT_EQ(disk.at("change_map"), "bitmap") << disk.dump();
    EXPECT_LE(disk.at("bytes_read").get<std::uint64_t>(), changed + k_recheck_max) << disk.dump();
  }
  static void expect_scan(const base::Json& disk, const std::string& reason) {
    EXPECT_EQ(disk.at("change_map"), "scan") << disk.dump();
    EXPECT_NE(disk.at("change_map_reason").get<std::string>().find(reason), std::string::npos) << disk.dump();
  }
  static std::string replaced(std::string text, const std::string& old, const std::string& now) {
    for (std::size_t at = text.find(old); at != std::string::npos; at = text.find(old, at + now.size()))
      text.replace(at, old.size(), now);
    return text;
  }
  static void define(ProtectedDomain& subject, const std::string& xml) {
    const virDomainPtr defined = virDomainDefineXML(virDomainGetConnect(subject.domain.handle()), xml.c_str());
    ASSERT_NE(defined, nullptr) << xml;
    virDomainFree(defined);
  }
  // One that is off.
  static void define_with_another_uuid(ProtectedDomain& subject) {
    const std::string xml = subject.domain.inactive_xml();
    ASSERT_EQ(virDomainUndefine(subject.domain.handle()), 0);
    const std::size_t at = xml.find("<uuid>") + 6;
    define(subject, replaced(xml, "<uuid>" + xml.substr(at, xml.find("<", at) - at), "<uuid>" + base::random_uuid()));
    subject.domain.reconnect();
  }
  static std::vector<std::string> bitmaps(ProtectedDomain& subject) {
    const std::string out =
        base::run_checked({.arguments = {"qemu-img", "info", "-U", "--output=json", subject.domain.disk_path()}},
                          std::chrono::minutes(1));
    std::vector<std::string> names;
    const base::Json info = base::parse_json(out, "qemu-img info");
    for (const base::Json& bitmap : info.at("format-specific").at("data").value("bitmaps", base::Json::array()))
      names.push_back(bitmap.at("name"));
    return names;
  }
};

}  // namespace icecore::system_test
