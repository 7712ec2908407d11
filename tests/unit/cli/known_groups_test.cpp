// SPDX-License-Identifier: Apache-2.0
#include "cli/known_groups.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"

namespace icecore::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

class KnownGroups : public testing::Test {
 protected:
  KnownGroups() {
    known_.group = {.id = "aaaa1111" + std::string(24, '0'), .spread_ms = 3, .quiesce = "required"};
    for (const std::string name : {"web1", "db1"}) {
      const std::string point = (name == "web1" ? "bbbb" : "cccc") + std::string(28, '1');
      known_.group.members.push_back({.domain_name = name,
                                      .domain_uuid = "0f5b8a7e-6a9b-4b57-9d0a-0a8f6f1d2c3b",
                                      .point_id = point,
                                      .time = base::parse_time("2026-11-21T09:30:12.345Z"),
                                      .consistency = repository::Consistency::filesystem,
                                      .freeze_ms = 41});
      known_.there.insert(point);
    }
    known_.time = known_.group.members.front().time;
    known_.stated = true;
  }
  const std::string& point(std::size_t number) const { return known_.group.members.at(number).point_id; }

  KnownGroup known_;
};

TEST_F(KnownGroups, AWholeOneIsShownWithItsPoints) {
  const std::string text = format_group(known_, {point(1)});
  for (const char* part : {"aaaa1111", "2026-11-21T09:30:12Z", "3 ms", "required", "2 of 2 are there", "filesystem",
                           "41 ms", "pending upload"})
    EXPECT_THAT(text, HasSubstr(part));
  EXPECT_THAT(text, Not(HasSubstr("not there")));
}

TEST_F(KnownGroups, AMissingPointIsTold) {
  known_.there.erase(point(0));
  const std::string text = format_group(known_, {});
  EXPECT_THAT(text, HasSubstr("1 of 2 are there: these are restored one by one"));
  EXPECT_THAT(text, HasSubstr("not there"));
  const base::Json record = group_record(known_, {});
  EXPECT_EQ(record.at("whole"), false);
  EXPECT_EQ(record.at("members")[0].at("there"), false);
  EXPECT_EQ(record.at("members")[1].at("there"), true);
  EXPECT_EQ(group_labels({known_}), (std::map<std::string, std::string>{{point(1), "aaaa1111 (1 of 2)"}}));
}

TEST_F(KnownGroups, AreNamedByTheFirstDigitsUnlessAPointIsMeant) {
  ReadablePoints points;
  points.points.resize(2);
  points.points[0].id = "aaaa2222" + std::string(24, '0');
  points.points[0].domain_name = "web1";
  points.points[1].id = "dddd" + std::string(28, '0');
  points.points[1].domain_name = "aaaa1";
  const std::vector<KnownGroup> groups = {known_};
  EXPECT_NE(find_group_only(points, groups, "aaaa11"), nullptr);
  EXPECT_EQ(find_group_only(points, groups, "aaa"), nullptr) << "too few digits";
  EXPECT_EQ(find_group_only(points, groups, "aaaa1"), nullptr) << "a domain's name";
  EXPECT_EQ(find_group_only(points, groups, "dddd"), nullptr);
  EXPECT_THROW(find_group_only(points, groups, "aaaa"), base::Error) << "a point's id begins so too";
  KnownGroup other = known_;
  other.group.id = "aaaa1112" + std::string(24, '0');
  EXPECT_THROW(find_group({known_, other}, "aaaa111"), base::Error);
}

}  // namespace
}  // namespace icecore::cli
