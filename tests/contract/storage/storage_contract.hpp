// SPDX-License-Identifier: Apache-2.0
// The storages that the suite runs over, each made with what it needs.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/durable_file.hpp"
#include "base/id.hpp"
#include "contract/storage/moody_storage.hpp"
#include "repository/repository.hpp"
#include "rig/requirements.hpp"
#include "rig/ssh_server.hpp"
#include "staging/spooled_storage.hpp"
#include "storage/local_folder.hpp"

namespace icecore::storage {

// A storage and whatever it needs, gone with the object.
struct Subject {
  std::filesystem::path folder;
  std::filesystem::path files;  // where its objects are files; empty: they are none
  std::unique_ptr<rig::SshServer> server;
  std::unique_ptr<contract::RemoteEnd> remote;
  std::unique_ptr<Storage> storage;
  Subject() = default;
  Subject(Subject&&) = default;
  ~Subject() {
    storage.reset();
    if (!folder.empty()) std::filesystem::remove_all(folder);
  }
};

inline Subject make_local() {
  Subject subject;
  subject.folder = std::filesystem::temp_directory_path() / ("icecore-test-" + base::random_id(6));
  base::create_folders(subject.folder);
  subject.files = subject.folder;
  subject.storage = std::make_unique<LocalFolder>(subject.folder);
  return subject;
}

inline Subject make_memory() {
  Subject subject;
  subject.storage = std::make_unique<contract::MemoryStorage>();
  return subject;
}

// Packs, indexes and manifests stay in its spool, the rest goes to the remote.
inline Subject make_spooled() {
  Subject subject;
  subject.folder = std::filesystem::temp_directory_path() / ("icecore-test-" + base::random_id(6));
  subject.remote = std::make_unique<contract::RemoteEnd>();
  contract::RemoteEnd& remote = *subject.remote;
  repository::Repository::create(remote.objects, {.encrypt = false}, {});
  subject.storage = std::make_unique<staging::SpooledStorage>(
      "memory", [&remote] { return std::make_unique<contract::MoodyStorage>(remote); }, subject.folder);
  return subject;
}

template <rig::SftpService service>
Subject make_sftp() {
  Subject subject;
  subject.server = std::make_unique<rig::SshServer>(rig::SshServerSettings{.service = service, .configuration = {}});
  subject.server->enter_home();
  subject.storage = open_storage(subject.server->url("repository"), /*create=*/true);
  subject.files = subject.server->files() / "repository";
  return subject;
}

struct Kind {
  const char* name;
  Subject (*make)();
  bool needs_sshd = false;
};

inline void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

constexpr std::array k_kinds = {Kind{"Local", &make_local},
                                Kind{"Memory", &make_memory},
                                Kind{"Spooled", &make_spooled},
                                Kind{"SftpInternal", &make_sftp<rig::SftpService::internal>, true},
                                Kind{"SftpProgram", &make_sftp<rig::SftpService::program>, true},
                                Kind{"SftpBare", &make_sftp<rig::SftpService::bare>, true},
                                Kind{"SftpChroot", &make_sftp<rig::SftpService::chroot>, true}};

class StorageContract : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (GetParam().needs_sshd) ICECORE_NEEDS("root", "program:sshd", "program:ssh-keygen");
    subject_.emplace(GetParam().make());
  }
  Storage& storage() { return *subject_->storage; }
  const std::filesystem::path& files() { return subject_->files; }

  template <typename Action>
  static base::Fault fault_of(Action&& action) {
    try {
      action();
    } catch (const base::Error& error) {
      return error.fault();
    }
    ADD_FAILURE() << "nothing was thrown";
    return base::Fault::internal;
  }
  std::vector<std::string> names(const std::string& folder) {
    std::vector<std::string> found;
    for (const ObjectInfo& object : storage().list(folder)) found.push_back(object.name);
    std::sort(found.begin(), found.end());
    return found;
  }

 private:
  std::optional<Subject> subject_;
};

}  // namespace icecore::storage
