// SPDX-License-Identifier: Apache-2.0
#include "repository/key_slots.hpp"

#include <map>

#include "unit/repository/fixture.hpp"

namespace icecore::repository {
namespace {

using base::Fault;

class KeySlotsTest : public RepositoryFixture {
 protected:
  static constexpr PassphraseCost k_cheap{1, 8192};

  void SetUp() override {
    RepositoryFixture::SetUp();
    create();
  }
  static Credential phrase(const std::string& text) { return Passphrase{Secret::copy_of(base::as_bytes(text))}; }
  // By id: two slots made within the same millisecond are listed in the order of their random ids.
  std::map<std::string, std::string> labels() {
    std::map<std::string, std::string> found;
    for (const FoundSlot& one : list_slots(storage_)) found.emplace(one.slot.id, one.slot.label);
    return found;
  }
  void expect_opens(const Credential& credential) { Repository(storage_, credential, folder_ / "other-cache"); }
  void expect_closed(const Credential& credential) {
    expect_fault(Fault::denied, "no key slot", [&] { Repository(storage_, credential, folder_ / "other-cache"); });
  }
};

TEST_F(KeySlotsTest, EachSlotOpensAndCanGo) {
  KeySlots slots(storage_, key());
  const KeySlot added = slots.add(phrase("sesame"), "safe", k_cheap);
  expect_opens(phrase("sesame"));
  expect_opens(key());
  EXPECT_EQ(labels(), (std::map<std::string, std::string>{{slots.in_use(), base::host_name()}, {added.id, "safe"}}));
  EXPECT_EQ(KeySlots(storage_, phrase("sesame")).in_use(), added.id);
  slots.remove(added.id);
  expect_closed(phrase("sesame"));
}

TEST_F(KeySlotsTest, TheLastOneStays) {
  KeySlots slots(storage_, key());
  expect_fault(Fault::conflict, "is the last", [&] { slots.remove(slots.in_use()); });
  storage_.put("keys/0123", base::as_bytes("damaged: does not count"));
  expect_fault(Fault::conflict, "is the last", [&] { slots.remove(slots.in_use()); });
  expect_opens(key());
}

TEST_F(KeySlotsTest, OneCredentialHasOneSlot) {
  KeySlots slots(storage_, key());
  expect_fault(Fault::conflict, "already", [&] { slots.add(key(), "again"); });
  EXPECT_EQ(list_slots(storage_).size(), 1U);
}

TEST_F(KeySlotsTest, AnUnencryptedRepositoryHasNone) {
  icecore::contract::MemoryStorage other;
  Repository::create(other, small_options(false), {});
  expect_fault(Fault::usage, "has no keys", [&] { KeySlots(other, key()); });
}

// Two hosts, each removing the slot the other one counts on.
TEST_F(KeySlotsTest, TwoWhoRemoveAtOnceDoNotLockEverybodyOut) {
  struct Racing : icecore::contract::MemoryStorage {
    std::string victim;
    void remove(const std::string& name) override {
      MemoryStorage::remove(name);
      if (!victim.empty()) MemoryStorage::remove(std::exchange(victim, ""));
    }
  } racing;
  Repository::create(racing, small_options(), key());
  KeySlots slots(racing, key());
  const KeySlot added = slots.add(phrase("sesame"), "other", k_cheap);
  racing.victim = key_slot_object(slots.in_use());
  expect_fault(Fault::conflict, "is the last", [&] { slots.remove(added.id); });
  Repository(racing, phrase("sesame"), folder_ / "other-cache");
}

}  // namespace
}  // namespace icecore::repository
