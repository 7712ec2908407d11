// SPDX-License-Identifier: Apache-2.0
#include "policy/policy_file.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "base/id.hpp"

namespace icecore::policy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view k_domains = "<domains><include name='web*'/></domains>\n";
constexpr std::string_view k_repository = "<repository url='/backup'/>\n";

// Line 1 is <policy>, line 2 the domains, line 3 the repository, line 4 what the test adds.
std::string policy_with(std::string_view added) {
  return fmt::format("<policy name='p'>\n{}{}{}\n</policy>\n", k_domains, k_repository, added);
}

// The same with all domains at one instant.
std::string group_with(std::string_view added) {
  return fmt::format("<policy name='p'>\n<domains group='yes'><include name='web*'/></domains>\n{}{}\n</policy>\n",
                     k_repository, added);
}

TEST(PolicyFile, ShippedExamplesAreValid) {
  for (const char* name : {"web-servers.xml", "everything.xml"}) {
    const CheckedPolicy checked = check_policy_file(std::filesystem::path(ICECORE_POLICIES) / name);
    EXPECT_THAT(checked.problems, IsEmpty()) << name << ": " << checked.problems.front().text;
  }
}

TEST(PolicyFile, EveryValueIsRead) {
  const CheckedPolicy checked = check_policy(R"(<?xml version="1.0"?>
<policy name="nightly-1">
  <domains group="yes"><include name="web*"/><include name="db"/><exclude name="web9"/></domains>
  <disks><include target="vda"/><exclude target="vdb"/></disks>
  <capture mode="disk-only"/>
  <changes map="scan" recheck-per-mille="5"/>
  <quiesce rule="required" freeze-limit-ms="5000"/>
  <repository url="file:///backup" key-file="/etc/key"/>
  <compression level="7"/>
  <overlay folder="/overlays" device-folder="/devices" free-percent-min="25" age-max-minutes="90"/>
  <staging folder="/spool" limit="2G" upload-limit="10M,08:00-18:00=2M" keep-local="3" wait="no"/>
  <retention keep-last="1" keep-hourly="2" keep-daily="3" keep-weekly="4" keep-monthly="5" keep-yearly="6"/>
</policy>)");
  ASSERT_TRUE(checked.policy) << checked.problems.front().text;
  const Policy& policy = *checked.policy;
  EXPECT_EQ(policy.name, "nightly-1");
  EXPECT_THAT(policy.domains.include, ElementsAre("web*", "db"));
  EXPECT_THAT(policy.domains.exclude, ElementsAre("web9"));
  EXPECT_TRUE(policy.domains.group);
  EXPECT_THAT(policy.backup.include_disks, ElementsAre("vda"));
  EXPECT_THAT(policy.backup.exclude_disks, ElementsAre("vdb"));
  EXPECT_EQ(policy.backup.quiesce, job::Quiesce::required);
  EXPECT_EQ(policy.backup.freeze_limit, base::Milliseconds(5000));
  EXPECT_EQ(policy.backup.change_map, job::ChangeMap::scan);
  EXPECT_EQ(policy.backup.recheck_per_mille, 5);
  EXPECT_EQ(policy.repository.url, "file:///backup");
  EXPECT_EQ(policy.repository.key_file, "/etc/key");
  EXPECT_EQ(policy.backup.compression_level, 7);
  EXPECT_EQ(policy.backup.overlay_folder, "/overlays");
  EXPECT_EQ(policy.backup.device_overlay_folder, "/devices");
  EXPECT_DOUBLE_EQ(policy.backup.overlay_free_share_min, 0.25);
  EXPECT_EQ(policy.backup.overlay_age_max, std::chrono::minutes(90));
  ASSERT_TRUE(policy.staging);
  EXPECT_EQ(policy.staging->folder, "/spool");
  EXPECT_EQ(policy.staging->bytes_max, 2048 * base::k_mib);
  EXPECT_EQ(staging::rate_at(policy.upload.limit, 9 * 60), 2 * base::k_mib);
  EXPECT_EQ(policy.upload.keep_local, 3U);
  EXPECT_FALSE(policy.wait_for_upload);
  EXPECT_EQ(policy.retention.keep_last, 1U);
  EXPECT_EQ(policy.retention.keep_yearly, 6U);
}

TEST(PolicyFile, EveryChangeMapIsRead) {
  for (const auto& [word, map] :
       {std::pair{"auto", job::ChangeMap::automatic}, std::pair{"bitmap", job::ChangeMap::bitmap},
        std::pair{"scan", job::ChangeMap::scan}, std::pair{"layer", job::ChangeMap::layer}}) {
    const CheckedPolicy checked = check_policy(policy_with(fmt::format("<changes map='{}'/>", word)));
    ASSERT_TRUE(checked.policy) << checked.problems.front().text;
    EXPECT_EQ(checked.policy->backup.change_map, map) << word;
  }
}

// In any order of the elements.
TEST(PolicyFile, AGroupIsOfDisksAloneAndAFullStateOfNoGroup) {
  EXPECT_TRUE(check_policy(group_with("<capture mode='disk-only' pause='no'/>")).policy);
  EXPECT_TRUE(check_policy(policy_with("<capture mode='full-state'/>")).policy);
  EXPECT_TRUE(check_policy(policy_with("<capture mode='full-state-try'/>")).policy);
  const CheckedPolicy checked = check_policy(
      "<policy name='p'>\n<capture mode='full-state'/>\n<repository url='/b'/>\n"
      "<domains group='yes'><include name='a'/></domains></policy>");
  EXPECT_FALSE(checked.policy);
  ASSERT_EQ(checked.problems.size(), 1U);
  EXPECT_EQ(checked.problems.front().line, 2U);
  EXPECT_THAT(checked.problems.front().text, HasSubstr("leave out group=\"yes\", or use mode=\"disk-only\""));
}

TEST(PolicyFile, WhatIsLeftOutHasDefaults) {
  const CheckedPolicy checked = check_policy(policy_with(""));
  ASSERT_TRUE(checked.policy) << checked.problems.front().text;
  const job::BackupOptions defaults;
  EXPECT_EQ(checked.policy->backup.quiesce, defaults.quiesce);
  EXPECT_EQ(checked.policy->backup.compression_level, defaults.compression_level);
  EXPECT_EQ(checked.policy->retention.keep_last, 0U);
  EXPECT_FALSE(checked.policy->domains.group);
}

struct BadFile {
  const char* name;
  std::string text;
  unsigned line;
  const char* says;
};

class PolicyFileProblem : public testing::TestWithParam<BadFile> {};

TEST_P(PolicyFileProblem, NamesLineAndCause) {
  const BadFile& bad = GetParam();
  const CheckedPolicy checked = check_policy(bad.text);
  EXPECT_FALSE(checked.policy);
  ASSERT_FALSE(checked.problems.empty());
  EXPECT_EQ(checked.problems.front().line, bad.line) << checked.problems.front().text;
  EXPECT_THAT(checked.problems.front().text, HasSubstr(bad.says));
}

// The reader gives the words, the schema the form: neither may let pass what the other refuses.
TEST_P(PolicyFileProblem, TheSchemaRefusesItToo) {
  const BadFile& bad = GetParam();
  if (!parse_xml(bad.text).root) return;  // not well-formed, so its form is no question
  const bool form_only = std::string_view(bad.says).find("already named") == std::string_view::npos;
  EXPECT_EQ(!validate(bad.text, policy_schema()).empty(), form_only);
}

INSTANTIATE_TEST_SUITE_P(
    All, PolicyFileProblem,
    testing::Values(
        BadFile{"UnknownElement", policy_with("<retenion keep-last='3'/>"), 4, "did you mean 'retention'"},
        BadFile{"FarElement", policy_with("<zzz/>"), 4, "known: domains"},
        BadFile{"UnknownAttribute", policy_with("<retention keep-lst='3'/>"), 4, "did you mean 'keep-last'"},
        BadFile{"UnknownPolicyAttribute", "<policy name='p' id='1'>\n<x/></policy>", 1, "<policy> needs a <domains>"},
        BadFile{"BadNumber", policy_with("<retention keep-daily='seven'/>"), 4, "whole number from 1 to 100000"},
        BadFile{"NegativeNumber", policy_with("<retention keep-daily='-1'/>"), 4, "keep-daily=\"-1\""},
        BadFile{"HugeNumber", policy_with("<retention keep-daily='99999999999'/>"), 4, "whole number"},
        BadFile{"NumberWithUnit", policy_with("<quiesce rule='try' freeze-limit-ms='5s'/>"), 4, "whole number"},
        BadFile{"CompressionLevel", policy_with("<compression level='20'/>"), 4, "from 1 to 19"},
        BadFile{"CompressionWithoutLevel", policy_with("<compression/>"), 4, "needs the attribute 'level'"},
        BadFile{"QuiesceRule", policy_with("<quiesce rule='maybe'/>"), 4, "required, try, off"},
        BadFile{"StagingLimit", policy_with("<staging limit='much'/>"), 4, "is no size"},
        BadFile{"UploadLimit", policy_with("<staging upload-limit='fast'/>"), 4, "is no upload limit"},
        BadFile{"StagingWait", policy_with("<staging wait='maybe'/>"), 4, "yes, no"},
        BadFile{"CaptureMode", policy_with("<capture mode='everything'/>"), 4, "disk-only"},
        BadFile{"CapturePause", policy_with("<capture mode='full-state' pause='1'/>"), 4, "yes nor no"},
        BadFile{"MemoryOfAGroup", group_with("<capture mode='full-state'/>"), 4, "exclude each other"},
        BadFile{"MemoryOfAGroupIfPossible", group_with("<capture mode='full-state-try' pause='yes'/>"), 4,
                "exclude each other"},
        BadFile{"GroupWord",
                "<policy name='p'>\n<domains group='1'><include name='a'/></domains>\n"
                "<repository url='/b'/></policy>",
                2, "yes, no"},
        BadFile{"SecondElement", policy_with("<quiesce rule='try'/>\n<quiesce rule='off'/>"), 5, "first is on line 4"},
        BadFile{"SecondDisk", policy_with("<disks><include target='vda'/>\n<exclude target='vda'/></disks>"), 5,
                "'vda' is already named on line 4"},
        BadFile{"EmptyDisk", policy_with("<disks><include target=''/></disks>"), 4, "is empty"},
        BadFile{"OverlayFolder", policy_with("<overlay folder='overlays'/>"), 4, "not an absolute path"},
        BadFile{"OverlayShare", policy_with("<overlay free-percent-min='91'/>"), 4, "from 0 to 90"},
        BadFile{"Text", policy_with("<quiesce rule='try'>please</quiesce>"), 4, "holds text"},
        BadFile{"TwoKeys",
                "<policy name='p'>\n<domains><include name='a'/></domains>\n"
                "<repository url='/b' key-file='/k' passphrase-file='/p'/></policy>",
                3, "both 'key-file' and 'passphrase-file'"},
        BadFile{"RelativeUrl",
                "<policy name='p'>\n<domains><include name='a'/></domains>\n<repository url='backups'/></policy>", 3,
                "neither an absolute path"},
        BadFile{"UnknownUrl",
                "<policy name='p'>\n<domains><include name='a'/></domains>\n<repository url='s3://b'/></policy>", 3,
                "s3://b"},
        BadFile{"NoRepository", "<policy name='p'>\n<domains><include name='a'/></domains>\n</policy>", 1,
                "needs a <repository>"},
        BadFile{"NoInclude", "<policy name='p'>\n<domains/>\n<repository url='/b'/></policy>", 2,
                "at least one <include"},
        BadFile{"SecondDomain",
                "<policy name='p'>\n<domains><include name='a'/>\n<include name='a'/></domains>\n"
                "<repository url='/b'/></policy>",
                3, "'a' is already named on line 2"},
        BadFile{"BadName",
                "<policy name='my policy'>\n<domains><include name='a'/></domains><repository url='/b'/></policy>", 1,
                "my policy"},
        BadFile{"WrongRoot", "<!-- x -->\n<policies/>", 2, "root element is <policies>"},
        BadFile{"NotClosed", "<policy name='p'>\n<domains>\n", 3, "domains"},
        BadFile{"Doctype", "<!DOCTYPE policy [<!ENTITY a 'b'>]>\n<policy name='p'/>", 1, "DOCTYPE"},
        BadFile{"Empty", "", 1, "empty"}),
    [](const auto& bad) { return bad.param.name; });

TEST(PolicyFile, LoadNamesFileAndLine) {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / (base::random_id(8) + ".xml");
  std::ofstream(path) << policy_with("<retenion/>\n<quiesce rule='x'/>");
  try {
    load_policy(path);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), base::Fault::usage);
    EXPECT_THAT(error.what(), testing::StartsWith(path.string() + ":4: unknown element <retenion>"));
    EXPECT_THAT(error.what(), testing::EndsWith("(and 1 more)"));
    EXPECT_EQ(error.hint(), "icecore policy check " + path.string());
  }
  std::filesystem::remove(path);
}

TEST(PolicyFile, MissingFileIsNotFound) {
  try {
    load_policy("/nonexistent/policy.xml");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), base::Fault::not_found);
  }
}

}  // namespace
}  // namespace icecore::policy
