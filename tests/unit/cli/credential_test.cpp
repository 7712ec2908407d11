// SPDX-License-Identifier: Apache-2.0
#include "cli/credential.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "base/error.hpp"
#include "base/id.hpp"

namespace icecore::cli {
namespace {

using base::Fault;
using repository::Credential;
using repository::KeyFile;
using repository::Passphrase;

class CredentialTest : public testing::Test {
 protected:
  CredentialTest() {
    std::filesystem::create_directory(folder_);
    sources_.environment = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables_.find(name);
      return found == variables_.end() ? std::nullopt : std::optional(found->second);
    };
    sources_.ask = [] { return repository::Secret::copy_of(base::as_bytes("typed")); };
  }
  ~CredentialTest() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path file(const std::string& content) {
    const std::filesystem::path path = folder_ / base::random_id(4);
    std::ofstream(path) << content;
    std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return path;
  }
  std::string passphrase() {
    const Credential credential = find_credential(sources_, {});
    return base::to_string(std::get<Passphrase>(credential).text.view());
  }
  Fault fault() {
    try {
      find_credential(sources_, {});
    } catch (const base::Error& error) {
      return error.fault();
    }
    ADD_FAILURE() << "was accepted";
    return Fault::internal;
  }

  std::filesystem::path folder_ = std::filesystem::path(testing::TempDir()) / base::random_id(8);
  std::map<std::string, std::string> variables_;
  CredentialSources sources_;
};

TEST_F(CredentialTest, KeyFileComesFirst) {
  sources_.key_file = "/some/key";
  variables_["ICECORE_PASSPHRASE_FILE"] = file("x");
  EXPECT_EQ(std::get<KeyFile>(find_credential(sources_, {})).path, "/some/key");
}

TEST_F(CredentialTest, PassphraseFileIsItsFirstLine) {
  variables_["ICECORE_PASSPHRASE_FILE"] = file("open sesame \r\nsecond\n");
  variables_["ICECORE_PASSPHRASE_COMMAND"] = "false";
  EXPECT_EQ(passphrase(), "open sesame ");
  sources_.passphrase_file = file("of the policy");
  EXPECT_EQ(passphrase(), "of the policy");
}

TEST_F(CredentialTest, APassphraseFileOfEverybodyIsRefusedLikeAKeyFile) {
  const std::filesystem::path path = file("open sesame");
  variables_["ICECORE_PASSPHRASE_FILE"] = path;
  for (const auto reader : {std::filesystem::perms::group_read, std::filesystem::perms::others_read}) {
    std::filesystem::permissions(path, std::filesystem::perms::owner_read | reader);
    EXPECT_EQ(fault(), Fault::denied);
  }
  std::filesystem::permissions(path, std::filesystem::perms::owner_read);
  EXPECT_EQ(passphrase(), "open sesame");
}

TEST_F(CredentialTest, PassphraseCommandIsWhatItPrints) {
  variables_["ICECORE_PASSPHRASE_COMMAND"] = "printf 'from %s\\n' command";
  EXPECT_TRUE(names_credential(sources_));
  EXPECT_EQ(passphrase(), "from command");
}

TEST_F(CredentialTest, TheTerminalComesLast) {
  EXPECT_FALSE(names_credential(sources_));
  EXPECT_EQ(passphrase(), "typed");
}

TEST_F(CredentialTest, WhatCannotBeReadIsNotSkipped) {
  variables_["ICECORE_PASSPHRASE_FILE"] = "/nonexistent";
  EXPECT_EQ(fault(), Fault::not_found);
  variables_["ICECORE_PASSPHRASE_FILE"] = file("\n");
  EXPECT_EQ(fault(), Fault::usage);
  variables_ = {{"ICECORE_PASSPHRASE_COMMAND", "echo locked >&2; exit 3"}};
  EXPECT_EQ(fault(), Fault::denied);
}

}  // namespace
}  // namespace icecore::cli
