// SPDX-License-Identifier: Apache-2.0
#include "job/point_name.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace icecore::job {
namespace {

repository::Manifest point(const std::string& id, const std::string& domain, const std::string& time) {
  repository::Manifest manifest;
  manifest.id = id;
  manifest.domain_name = domain;
  manifest.time = base::parse_time(time);
  return manifest;
}

const std::vector<repository::Manifest> k_points = {
    point("aaaa1111", "web1", "2026-11-01T10:00:00Z"), point("aaaa2222", "web1", "2026-11-03T10:00:00Z"),
    point("bbbb3333", "db1", "2026-11-02T10:00:00Z"), point("cccc4444", "mail@home", "2026-10-02T10:00:00Z")};

base::Fault fault_of(const std::string& name) {
  try {
    find_point(k_points, name);
  } catch (const base::Error& error) {
    return error.fault();
  }
  ADD_FAILURE() << name << " was found";
  return base::Fault::internal;
}

TEST(PointName, LatestIsTheNewestOfAll) { EXPECT_EQ(find_point(k_points, "latest").id, "aaaa2222"); }

TEST(PointName, ADomainMeansItsLatest) {
  EXPECT_EQ(find_point(k_points, "db1").id, "bbbb3333");
  EXPECT_EQ(find_point(k_points, "mail@home").id, "cccc4444");
}

TEST(PointName, ADomainAtATimeIsTheNewestNotAfterIt) {
  EXPECT_EQ(find_point(k_points, "web1@2026-11-02").id, "aaaa1111");
  EXPECT_EQ(find_point(k_points, "web1@2026-11-03T10:00:00Z").id, "aaaa2222");
  EXPECT_EQ(find_point(k_points, "mail@home@2026-11-01").id, "cccc4444");
  EXPECT_EQ(fault_of("web1@2026-10-01"), base::Fault::not_found);
}

TEST(PointName, AnIdPrefixMustFitOne) {
  EXPECT_EQ(find_point(k_points, "bbbb").id, "bbbb3333");
  EXPECT_EQ(fault_of("aaaa"), base::Fault::usage);
  EXPECT_EQ(fault_of("bbb"), base::Fault::not_found);
  EXPECT_EQ(fault_of("dddd"), base::Fault::not_found);
}

}  // namespace
}  // namespace icecore::job
