// SPDX-License-Identifier: Apache-2.0
// The real thing: what QEMU writes is understood, and QEMU loads what is rebuilt of it.
#include <gmock/gmock.h>

#include "base/process.hpp"
#include "memory/prove.hpp"
#include "unit/memory/save_file_fixture.hpp"

namespace icecore::memory {
namespace {

class QemuStreamTest : public SaveFileTest {
 protected:
  // A machine whose vCPU never runs; what its monitor says to the commands.
  static std::string qemu(const std::string& commands, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {
        "qemu-system-x86_64", "-nodefaults", "-S",       "-M",   "q35", "-m", "16M", "-accel", "tcg", "-device", "VGA",
        "-display",           "none",        "-monitor", "stdio"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    base::Command command{.arguments = std::move(arguments), .pass_descriptors = {}, .input = commands};
    return base::run_checked(command, std::chrono::minutes(2));
  }
  // QEMU's stream behind libvirt's header.
  std::filesystem::path save() const {
    const std::filesystem::path stream = folder_ / "stream";
    qemu("migrate \"exec:cat > " + stream.string() + "\"\nquit\n");
    SaveFileBuilder file;
    file.text(base::to_string(base::read_file(stream)));
    return write(file.bytes());
  }
};

TEST_F(QemuStreamTest, QemuLoadsWhatIsRebuilt) {
  const SavedMemory memory(save());
  EXPECT_NO_THROW(prove(memory, {}));
  ASSERT_EQ(memory.state().blocks.at(0).ram.name, "pc.ram");
  EXPECT_EQ(memory.state().blocks.at(0).ram.bytes, 16 * base::k_mib);
  rebuild(folder_ / "rebuilt", memory.state(), image_of(memory));
  verify_save_file(folder_ / "rebuilt", memory.state());

  const base::Bytes rebuilt = base::read_file(folder_ / "rebuilt");
  const std::size_t header = SaveFileBuilder().bytes().size();
  write(base::ByteView(rebuilt).subspan(header), "rebuilt.stream");
  const std::string said =
      qemu("info status\ninfo migrate\nquit\n", {"-incoming", "exec:cat " + (folder_ / "rebuilt.stream").string()});
  EXPECT_THAT(said, testing::HasSubstr("VM status: paused"));
}

}  // namespace
}  // namespace icecore::memory
