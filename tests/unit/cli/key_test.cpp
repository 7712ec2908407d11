// SPDX-License-Identifier: Apache-2.0
// The `key` commands as typed, and the repositories a host knows.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "unit/cli/program_case.hpp"

namespace icecore::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

class KeyTest : public ProgramCase {
 protected:
  std::string key() const { return folder_ / "key"; }
  std::string passphrase_file(const std::string& name, const std::string& text) {
    const std::string path = folder_ / name;
    std::ofstream(path) << text << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return path;
  }
  void init_with_key() {
    variables_["ICECORE_KEY_FILE"] = key();
    ASSERT_EQ(run({"init"}), ExitCode::ok) << err_.str();
  }
  base::Json keys() {
    EXPECT_EQ(run({"key", "list", "--json"}), ExitCode::ok) << err_.str();
    return record()["keys"];
  }
  ExitCode list_with(const std::string& key_file) {
    variables_["ICECORE_KEY_FILE"] = key_file;
    return run({"list"});
  }
};

TEST_F(KeyTest, ASecondKeyFileOpensAndIsListed) {
  init_with_key();
  const std::string second = folder_ / "second";
  EXPECT_EQ(run({"key", "add", "--new-key-file", second, "--label", "host b"}), ExitCode::ok) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("created key file " + second));
  EXPECT_EQ(run({"key", "add", "--new-key-file", second}), ExitCode::conflict) << "opens a slot already";
  EXPECT_EQ(list_with(second), ExitCode::ok);
  const base::Json listed = keys();
  ASSERT_EQ(listed.size(), 2U);
  EXPECT_EQ(listed[1]["label"], "host b");
  EXPECT_EQ(listed[1]["in_use"], true);
  EXPECT_EQ(listed[0]["in_use"], false);
  EXPECT_EQ(run({"key", "list"}), ExitCode::ok);
  EXPECT_THAT(out_.str(), HasSubstr("* opened the repository"));
  variables_.erase("ICECORE_KEY_FILE");
  EXPECT_EQ(run({"key", "list"}), ExitCode::ok) << "asks for nothing";
}

// Who has lost the key, or holds the wrong one, wants to know what would open it.
TEST_F(KeyTest, AKeyThatOpensNothingIsToldBesideTheList) {
  init_with_key();
  variables_["ICECORE_REPOSITORY"] = folder_ / "other";
  variables_["ICECORE_KEY_FILE"] = folder_ / "other-key";
  ASSERT_EQ(run({"init"}), ExitCode::ok) << err_.str();
  variables_["ICECORE_REPOSITORY"] = folder_ / "repository";
  for (const char* wrong : {"other-key", "missing"}) {
    variables_["ICECORE_KEY_FILE"] = folder_ / wrong;
    const base::Json listed = keys();
    ASSERT_EQ(listed.size(), 1U);
    EXPECT_EQ(listed[0]["in_use"], false);
    EXPECT_NE(record()["key_problem"], "");
    EXPECT_EQ(run({"key", "list"}), ExitCode::ok);
    EXPECT_THAT(out_.str(), HasSubstr("key file"));
    EXPECT_THAT(err_.str(), HasSubstr("icecore: "));
  }
}

TEST_F(KeyTest, RemoveRefusesTheOneInUseAndTheLast) {
  init_with_key();
  const std::string first = keys()[0]["id"];
  EXPECT_EQ(run({"key", "remove", first}), ExitCode::conflict);
  EXPECT_THAT(err_.str(), HasSubstr("--force"));
  EXPECT_EQ(run({"key", "remove", first, "--force"}), ExitCode::conflict);
  EXPECT_THAT(err_.str(), HasSubstr("is the last"));
  ASSERT_EQ(run({"key", "add", "--new-key-file", folder_ / "second"}), ExitCode::ok);
  EXPECT_EQ(run({"key", "remove", "feedbeef"}), ExitCode::not_found);
  EXPECT_EQ(run({"key", "remove", first.substr(0, 8), "--force"}), ExitCode::ok);
  EXPECT_EQ(list_with(key()), ExitCode::denied);
  EXPECT_EQ(list_with(folder_ / "second"), ExitCode::ok);
}

TEST_F(KeyTest, AChangedPassphraseIsTheOnlyOne) {
  const std::string old = passphrase_file("old", "sesame");
  const std::string fresh = passphrase_file("fresh", "open up");
  variables_["ICECORE_PASSPHRASE_FILE"] = old;
  ASSERT_EQ(run({"init"}), ExitCode::ok) << err_.str();
  EXPECT_EQ(run({"key", "change-passphrase", "--new-passphrase-file", old}), ExitCode::conflict) << "the same again";
  EXPECT_EQ(run({"key", "change-passphrase", "--new-passphrase-file", fresh}), ExitCode::ok) << err_.str();
  EXPECT_EQ(run({"list"}), ExitCode::denied);
  variables_["ICECORE_PASSPHRASE_FILE"] = fresh;
  EXPECT_EQ(run({"list"}), ExitCode::ok);
  EXPECT_EQ(keys().size(), 1U);
}

// What a change leaves that died before the old passphrase went.
TEST_F(KeyTest, AChangeOfThePassphraseThatWasCutOffIsEndedByTheSameWords) {
  const std::string old = passphrase_file("old", "sesame");
  const std::string fresh = passphrase_file("fresh", "open up");
  variables_["ICECORE_PASSPHRASE_FILE"] = old;
  ASSERT_EQ(run({"init"}), ExitCode::ok) << err_.str();
  const std::string old_slot = keys()[0]["id"];
  ASSERT_EQ(run({"key", "add", "--new-passphrase-file", fresh}), ExitCode::ok) << err_.str();
  const std::vector<std::string> change = {"key", "change-passphrase", "--new-passphrase-file", fresh};
  variables_["ICECORE_PASSPHRASE_FILE"] = fresh;
  EXPECT_EQ(run(change), ExitCode::conflict) << "opened with the new one";
  EXPECT_THAT(err_.str(), HasSubstr("icecore key remove " + old_slot.substr(0, 8)));
  variables_["ICECORE_PASSPHRASE_FILE"] = old;
  EXPECT_EQ(run(change), ExitCode::ok) << err_.str();
  EXPECT_EQ(run({"list"}), ExitCode::denied);
  variables_["ICECORE_PASSPHRASE_FILE"] = fresh;
  EXPECT_EQ(run({"list"}), ExitCode::ok);
  EXPECT_EQ(keys().size(), 1U);
  EXPECT_EQ(run(change), ExitCode::conflict);
  EXPECT_THAT(err_.str(), HasSubstr("icecore key list"));
}

TEST_F(KeyTest, AKeyFileHasNoPassphraseToChange) {
  init_with_key();
  EXPECT_EQ(run({"key", "change-passphrase", "--new-passphrase-file", passphrase_file("p", "x")}), ExitCode::usage);
  EXPECT_THAT(err_.str(), HasSubstr("icecore key add"));
  EXPECT_EQ(keys().size(), 1U);
}

TEST_F(KeyTest, ASheetRestoresFromNothingElse) {
  init_with_key();
  publish_point("web1");
  ASSERT_EQ(run({"key", "export"}), ExitCode::ok) << err_.str();
  const std::string sheet = out_.str();
  EXPECT_THAT(sheet, HasSubstr((folder_ / "repository").string()));
  EXPECT_THAT(sheet, HasSubstr("icecore restore DOMAIN"));
  std::istringstream lines(sheet);
  for (std::string line; std::getline(lines, line);) {
    const bool has_path = line.find("repository") != std::string::npos;
    EXPECT_TRUE(has_path || line.size() <= 78U) << line;
  }
  // Another machine: no state, no key file, four lines typed by hand.
  const std::string typed = folder_ / "typed";
  std::ofstream(typed) << sheet.substr(sheet.find("1: "), sheet.find("\n\nTO RESTORE") - sheet.find("1: "));
  variables_["ICECORE_STATE_DIR"] = folder_ / "other-state";
  EXPECT_EQ(list_with(typed), ExitCode::denied);
  EXPECT_THAT(err_.str(), HasSubstr("try: chmod 600"));
  ASSERT_EQ(::chmod(typed.c_str(), 0600), 0);
  EXPECT_EQ(list_with(typed), ExitCode::ok) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("web1"));
  // Made worthless.
  const std::string slot = sheet.substr(sheet.find("key slot") + 15, 32);
  variables_["ICECORE_KEY_FILE"] = key();
  EXPECT_EQ(run({"key", "remove", slot}), ExitCode::ok) << err_.str();
  EXPECT_EQ(list_with(typed), ExitCode::denied);
}

// Its slot would be one that nobody can open.
TEST_F(KeyTest, ASheetThatCannotBeWrittenLeavesNoSlot) {
  init_with_key();
  EXPECT_EQ(run({"key", "export", "--to", folder_ / "missing" / "sheet"}), ExitCode::not_found);
  EXPECT_THAT(err_.str(), HasSubstr("no key slot was made"));
  EXPECT_EQ(keys().size(), 1U);
  class Full : public std::streambuf {
    int overflow(int) override { return traits_type::eof(); }
  } full;
  std::streambuf* const buffer = out_.std::ostream::rdbuf(&full);
  EXPECT_NE(run({"key", "export"}), ExitCode::ok);
  out_.std::ostream::rdbuf(buffer);
  EXPECT_THAT(err_.str(), HasSubstr("no key slot was made"));
  EXPECT_EQ(keys().size(), 1U);
}

TEST_F(KeyTest, ASheetInAFileIsPrivateAndAKeyFile) {
  init_with_key();
  EXPECT_EQ(run({"key", "export", "--json"}), ExitCode::usage) << "a record holds no secrets";
  const std::string file = folder_ / "sheet";
  ASSERT_EQ(run({"key", "export", "--to", file, "--json"}), ExitCode::ok) << err_.str();
  struct stat info {};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  EXPECT_EQ(run({"key", "export", "--to", file}), ExitCode::conflict) << "never overwritten";
  EXPECT_EQ(keys().size(), 2U) << "and no slot for nothing";
  EXPECT_EQ(list_with(file), ExitCode::ok) << err_.str();
  variables_["ICECORE_REPOSITORY"] = folder_ / "another";
  EXPECT_EQ(run({"init"}), ExitCode::ok) << "init reads it too: " << err_.str();
}

TEST_F(KeyTest, ASwappedServerIsRefusedBeforeAnythingIsSent) {
  init_with_key();
  publish_point("web1");
  ASSERT_EQ(run({"list"}), ExitCode::ok);
  // Another repository, made elsewhere, that even opens with our key.
  variables_["ICECORE_STATE_DIR"] = folder_ / "other-state";
  variables_["ICECORE_REPOSITORY"] = folder_ / "fake";
  ASSERT_EQ(run({"init"}), ExitCode::ok);
  std::filesystem::rename(folder_ / "repository", folder_ / "true");
  std::filesystem::rename(folder_ / "fake", folder_ / "repository");
  variables_["ICECORE_STATE_DIR"] = folder_ / "state";
  variables_["ICECORE_REPOSITORY"] = folder_ / "repository";
  for (const char* command : {"list", "unlock"}) {
    EXPECT_EQ(run({command}), ExitCode::conflict);
    EXPECT_THAT(err_.str(), HasSubstr("somebody has exchanged it"));
  }
  EXPECT_EQ(run({"key", "list"}), ExitCode::conflict);
  const std::string said = err_.str();
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 2) << "one line, and the next command: " << said;
  const std::string hint = said.substr(said.find("--accept-repository "));
  const std::string id = hint.substr(20, 8);
  EXPECT_EQ(run({"init", "--accept-repository", "00000000"}), ExitCode::conflict);
  EXPECT_EQ(run({"init", "--accept-repository", id}), ExitCode::ok) << err_.str();
  EXPECT_EQ(run({"list"}), ExitCode::ok) << err_.str();
  std::filesystem::rename(folder_ / "repository", folder_ / "fake");
  std::filesystem::rename(folder_ / "true", folder_ / "repository");
  EXPECT_EQ(run({"list"}), ExitCode::ok) << "disks used in turn: both are known now";
}

// Without a key named, nothing else would notice: the next backup would be written in the clear.
TEST_F(KeyTest, AnUnencryptedOneInThePlaceOfAnEncryptedOneIsRefused) {
  init_with_key();
  variables_.erase("ICECORE_KEY_FILE");
  std::filesystem::remove_all(folder_ / "repository");
  variables_["ICECORE_STATE_DIR"] = folder_ / "other-state";
  ASSERT_EQ(run({"init", "--encryption", "none"}), ExitCode::ok);
  variables_["ICECORE_STATE_DIR"] = folder_ / "state";
  EXPECT_EQ(run({"list"}), ExitCode::conflict);
}

TEST_F(KeyTest, ARepositoryMadeAnewByUsIsNoSurprise) {
  init_with_key();
  std::filesystem::remove_all(folder_ / "repository");
  ASSERT_EQ(run({"init"}), ExitCode::ok);
  EXPECT_EQ(run({"list"}), ExitCode::ok);
}

}  // namespace
}  // namespace icecore::cli
