// SPDX-License-Identifier: Apache-2.0
// A domain to which whatever may happen between two backups happens, as a seed chooses: it is written to, its disks
// grow, shrink, come and go and change places, QEMU is killed, the definition is made anew.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "system/job/protected_domain.hpp"

namespace icecore::system_test {

// The choices of one series, and what is told of them when it fails.
struct Dice {
  explicit Dice(unsigned seed) : random(seed) {}

  std::uint64_t below(std::uint64_t end) { return std::uniform_int_distribution<std::uint64_t>(0, end - 1)(random); }
  template <typename Values>
  const auto& one_of(const Values& values) {
    return values[below(std::size(values))];
  }
  template <typename... Values>
  void tell(fmt::format_string<Values...> text, Values&&... values) {
    told += fmt::format(text, std::forward<Values>(values)...);
  }

  std::mt19937_64 random;
  std::string told;
};

// Three disks: vda and vdb on one bus, sda on another; qcow2, raw, and qcow2 of small clusters. Its vCPUs run only when
// told to, and then find nothing to boot from: they write nothing.
class RestlessDomain {
 public:
  explicit RestlessDomain(Dice& dice);

  ProtectedDomain subject;

  // A disk as its guest sees it.
  struct Disk {
    std::uint64_t size = 0;
    std::string hash;  // of the content
  };
  struct Instant {
    std::string uuid;
    std::map<std::string, std::string> images;  // target -> the one its image was made for, of all disks
    std::map<std::string, Disk> disks;          // by target, of those that are asked for
  };
  // The record of what the disks must hold: what was read of each after somebody had written to it last. Only who
  // writes to a disk takes it out, and read_written() puts it in again.
  void read_written();
  Instant instant() { return instant_of(targets_); }
  Instant instant_of(const std::vector<std::string>& targets);
  // Whatever has happened since, each disk in the record holds what it says.
  void expect_kept() const;
  // It has the UUID and the disks it had then, each with the image it had.
  bool is_laid_out_as(const Instant& then) const;
  // The disks that were asked for then were given back what they held.
  void note_restored(const Instant& then);

  const std::vector<std::string>& targets() const noexcept { return targets_; }
  // What the guest writes to at the next start: the disk's own image, or a kept layer.
  std::string active_image(const std::string& target) const { return subject.domain.inactive_source(target); }
  // A crash left it there, or a merge of the layer below unfinished, and the next recovery brings it back.
  bool is_on_overlay(const std::string& target) const;

  // Each of these does nothing where it cannot be.
  void write() { write_pattern(static_cast<unsigned char>(1 + dice_.below(255))); }
  void write_zeroes() { write_pattern(0); }
  void discard();
  void grow();
  void shrink();
  // Another file in its place, with the same name, bitmaps and all, and another content.
  void exchange_image();
  void kill_qemu();
  void stop_or_start();
  void run_vcpus(bool run);
  void redefine() { define_anew(false); }

  // No job may be open that says where disks are, or what the domain's UUID is.
  void exchange_targets();
  void detach_or_attach();
  void redefine_with_another_uuid() { define_anew(true); }

 private:
  struct Place {
    std::string target;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
  };
  Place somewhere();
  std::map<std::string, std::string> images() const;
  void note_written(const std::string& target) { hashes_.erase(images_.at(target)); }
  void write_pattern(unsigned char pattern);
  std::uint64_t some_size();
  void resize(const std::string& target, const std::vector<std::string>& words, std::uint64_t size);
  void define_anew(bool with_another_uuid);

  // The image below everything that backups put over it.
  std::filesystem::path home(const std::string& target) const { return subject.domain.disk_path(images_.at(target)); }
  const std::string& home_format(const std::string& target) const {
    return subject.domain.disk_format(images_.at(target));
  }
  bool is_on_home(const std::string& target) const { return active_image(target) == home(target); }
  std::string active_format(const std::string& target) const {
    return is_on_home(target) ? home_format(target) : "qcow2";
  }
  std::uint64_t& size_of(const std::string& target) { return sizes_.at(images_.at(target)); }
  std::string element_of(const std::string& target) const;

  Dice& dice_;
  std::string uuid_;
  std::vector<std::string> targets_;
  std::map<std::string, std::string> images_;   // target -> the one its image was made for
  std::map<std::string, std::uint64_t> sizes_;  // of these images
  std::map<std::string, std::string> hashes_;   // of those that are in the record
  std::string detached_;                        // the element of a disk that is not in the domain now
};

}  // namespace icecore::system_test
