// SPDX-License-Identifier: Apache-2.0
#include "repository/protection.hpp"

#include "unit/repository/fixture.hpp"

namespace icecore::repository {
namespace {

using base::Fault;

class ProtectionTest : public RepositoryFixture {
 protected:
  void SetUp() override {
    RepositoryFixture::SetUp();
    create();
    point_.id = base::random_id(16);
    point_.domain_uuid = base::random_uuid();
    publish(*repository_, point_);
  }
  Protection protection(std::string reason = "before the upgrade") const {
    return {point_.id, std::move(reason), base::parse_time("2026-11-21T09:30:00.123Z"), "host1"};
  }

  Manifest point_;
};

TEST_F(ProtectionTest, RoundTrip) {
  EXPECT_TRUE(protect(*repository_, protection()));
  const Protections all = list_protections(*repository_);
  ASSERT_EQ(all.size(), 1U);
  const Protection& read = all.at(point_.id);
  EXPECT_EQ(read.reason, "before the upgrade");
  EXPECT_EQ(read.host, "host1");
  EXPECT_EQ(read.created, protection().created);
  EXPECT_TRUE(unprotect(*repository_, point_.id));
  EXPECT_FALSE(unprotect(*repository_, point_.id));
  EXPECT_TRUE(list_protections(*repository_).empty());
}

TEST_F(ProtectionTest, TheFirstReasonStays) {
  EXPECT_TRUE(protect(*repository_, protection()));
  EXPECT_FALSE(protect(*repository_, protection("another")));
  EXPECT_EQ(list_protections(*repository_).at(point_.id).reason, "before the upgrade");
}

TEST_F(ProtectionTest, AProtectedPointIsNotRemoved) {
  protect(*repository_, protection());
  EXPECT_FALSE(remove_point(*repository_, point_));
  EXPECT_TRUE(storage_.exists(manifest_object(point_)));
  unprotect(*repository_, point_.id);
  EXPECT_TRUE(remove_point(*repository_, point_));
  EXPECT_TRUE(remove_point(*repository_, point_)) << "entered again after a crash";
  EXPECT_TRUE(list_manifests(*repository_).empty());
}

TEST_F(ProtectionTest, TheLastOfADomainComesBackWhenTheOthersWentMeanwhile) {
  Manifest other = point_;
  other.id = base::random_id(16);
  publish(*repository_, other);
  EXPECT_TRUE(remove_point(*repository_, point_));
  EXPECT_TRUE(leaves_one(*repository_, {&other}, point_));
  EXPECT_FALSE(storage_.exists(manifest_object(point_)));
  EXPECT_TRUE(remove_point(*repository_, other));
  EXPECT_FALSE(leaves_one(*repository_, {&other}, point_));
  EXPECT_TRUE(storage_.exists(manifest_object(point_)));
}

TEST_F(ProtectionTest, ADamagedProtectionProtects) {
  storage_.put(protection_object(point_.id), base::as_bytes("rubbish"));
  EXPECT_TRUE(is_protected(*repository_, point_.id));
  EXPECT_NE(list_protections(*repository_).at(point_.id).reason.find("protection '"), std::string::npos);
}

TEST_F(ProtectionTest, OneOfAnotherPointIsDamage) {
  const base::Bytes object = encode_protection(repository_->keys(), protection());
  const std::string other = base::random_id(16);
  expect_fault(Fault::corrupt, other, [&] { decode_protection(repository_->keys(), other, object); });
}

}  // namespace
}  // namespace icecore::repository
