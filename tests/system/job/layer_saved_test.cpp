// SPDX-License-Identifier: Apache-2.0
// What was saved of a domain on its layer, by libvirt or to a file, names the layer: that stays until it has run again.
#include <gmock/gmock.h>

#include "system/job/expect_error.hpp"
#include "system/job/layer_case.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;

class LayerSaved : public LayerCase {
 protected:
  static std::string file(const ProtectedDomain& subject) { return subject.domain.folder() / "saved"; }
  // As `virsh save` does.
  static void save(const ProtectedDomain& subject) {
    ASSERT_EQ(::virDomainSave(subject.domain.handle(), file(subject).c_str()), 0);
  }
};

TEST_F(LayerSaved, ADomainWithAManagedSaveKeepsItsLayer) {
  ProtectedDomain subject(one_disk("raw"));
  begin_layers(subject);
  back_up_layer(subject);
  EXPECT_EQ(::virDomainManagedSave(subject.domain.handle(), 0), 0);
  expect_error(subject.run({"backup", subject.domain.name(), "--change-map=layer"}), 10, "managed save");
  EXPECT_EQ(subject.run({"recover", subject.domain.name(), "--merge-layers"}).exit_code, 3);
  subject.domain.start_paused();
  subject.must({"recover"});
  subject.expect_at_rest();
}

TEST_F(LayerSaved, ADomainSavedToAFileKeepsTheLayerThatTheFileNames) {
  ProtectedDomain subject(one_disk("raw"));
  begin_layers(subject);
  back_up_layer(subject);
  write(subject, 16 * k_mib, 0x66);
  const std::string content = subject.domain.hash_disk();
  save(subject);
  for (const char* map : {"--change-map=layer", "--change-map=auto"})
    expect_error(subject.run({"backup", subject.domain.name(), map}), 10, "saved on its layers (virsh save)");
  EXPECT_THAT(subject.run({"explain", subject.domain.name(), "--json"}).output,
              HasSubstr("saved on its layers (virsh save)"));
  EXPECT_EQ(subject.points().size(), 1U);
  const virConnectPtr connection = ::virDomainGetConnect(subject.domain.handle());
  ASSERT_EQ(::virDomainRestoreFlags(connection, file(subject).c_str(), nullptr, VIR_DOMAIN_SAVE_PAUSED), 0);
  EXPECT_EQ(subject.domain.hash_disk(), content);
  expect_layer(back_up_layer(subject), k_block);
}

// It was saved on the image below.
TEST_F(LayerSaved, ADomainSavedBeforeItHadALayerIsGivenTheNextOne) {
  ProtectedDomain subject(one_disk("raw"));
  begin_layers(subject);
  save(subject);
  back_up_layer(subject);
  back_up_layer(subject);
  merge_layers(subject);
}

}  // namespace
}  // namespace icecore::system_test
