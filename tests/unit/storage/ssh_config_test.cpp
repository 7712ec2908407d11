// SPDX-License-Identifier: Apache-2.0
#include "storage/ssh_config.hpp"

#include <gmock/gmock.h>

#include "base/error.hpp"

namespace icecore::storage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

SshHostConfig parse(const std::string& text, const std::string& host = "nas") {
  return parse_ssh_config(text, host, "/home/me");
}

TEST(SshConfig, EmptyKnowsOnlyTheHost) {
  const SshHostConfig host = parse("");
  EXPECT_EQ(host.host_name, "nas");
  EXPECT_TRUE(host.user.empty());
  EXPECT_FALSE(host.port);
}

TEST(SshConfig, AnAliasIsResolved) {
  const SshHostConfig host = parse(
      "# comment\n"
      "Host nas other\n"
      "  HostName nas.example.org\r\n"
      "\tUser=backup\n"
      "  Port 2222\n"
      "  IdentityFile ~/.ssh/backup\n"
      "  IdentityFile \"%d/two words\"\n"
      "  IdentitiesOnly yes\n"
      "  UserKnownHostsFile /etc/a ~/b\n"
      "  Ciphers aes256-ctr,aes128-ctr\n"
      "Host elsewhere\n"
      "  User nobody\n");
  EXPECT_EQ(host.host_name, "nas.example.org");
  EXPECT_EQ(host.user, "backup");
  EXPECT_EQ(host.port, 2222);
  EXPECT_THAT(host.identity_files, ElementsAre("/home/me/.ssh/backup", "/home/me/two words"));
  EXPECT_THAT(host.known_hosts_files, ElementsAre("/etc/a", "/home/me/b"));
  EXPECT_TRUE(host.identities_only);
  EXPECT_EQ(host.ciphers, "aes256-ctr,aes128-ctr");
}

TEST(SshConfig, TheFirstValueWins) {
  const std::string text = "Host n*\n User first\nHost *\n User second\n HostName %h.example.org\n";
  EXPECT_EQ(parse(text).user, "first");
  EXPECT_EQ(parse(text).host_name, "nas.example.org");
  EXPECT_EQ(parse(text, "web").user, "second");
}

TEST(SshConfig, PatternsAreOpenSshs) {
  EXPECT_TRUE(matches_pattern_list({"*"}, "nas"));
  EXPECT_TRUE(matches_pattern_list({"n?s"}, "NAS"));
  EXPECT_FALSE(matches_pattern_list({"*", "!nas"}, "nas"));
  EXPECT_FALSE(matches_pattern_list({"!other"}, "nas"));
  EXPECT_TRUE(matches_pattern_list({"[nas]:2222"}, "[nas]:2222"));
  EXPECT_FALSE(matches_pattern_list({"[nas]"}, "n"));
  EXPECT_FALSE(matches_pattern_list({}, "nas"));
}

TEST(SshConfig, MatchBlocksAreSkipped) {
  EXPECT_TRUE(parse("Match host nas\n User x\n").user.empty());
  EXPECT_EQ(parse("Match all\n User x\n").user, "x");
}

// Nothing is known there, and nothing can be learned; a file named "none" is not meant.
TEST(SshConfig, NoKnownHostsFile) {
  EXPECT_EQ(parse("UserKnownHostsFile none\n").known_hosts_files.at(0), "/dev/null");
}

TEST(SshConfig, WhatWouldLeadElsewhereIsRefused) {
  for (const char* text : {"ProxyJump gate\n", "Host nas\nProxyCommand nc %h %p\n", "Port many\n", "\n\nUser\n"}) {
    try {
      parse(text);
      ADD_FAILURE() << text;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), base::Fault::usage);
      EXPECT_THAT(error.what(), HasSubstr("~/.ssh/config line "));
    }
  }
  EXPECT_NO_THROW(parse("ProxyJump none\nHost other\nProxyJump gate\n"));
}

}  // namespace
}  // namespace icecore::storage
