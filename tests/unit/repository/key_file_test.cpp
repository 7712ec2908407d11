// SPDX-License-Identifier: Apache-2.0
#include "repository/key_file.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "repository/key_lines.hpp"
#include "unit/repository/fixture.hpp"

namespace icecore::repository {
namespace {

using base::Fault;

class KeyFileTest : public RepositoryFixture {
 protected:
  std::string hex() const { return base::to_hex(read_key_file(key_path()).view()); }
  void write(std::string_view text) { base::write_durably(key_path(), base::as_bytes(text), 0600); }
};

TEST_F(KeyFileTest, ThreeFormsOfOneKey) {
  const std::string digits = hex();
  write(digits + "\n");
  EXPECT_EQ(hex(), digits);
  base::write_durably(key_path(), base::from_hex(digits), 0600);
  EXPECT_EQ(hex(), digits);
}

TEST_F(KeyFileTest, IsNeverOverwritten) {
  expect_fault(Fault::conflict, "left as it is", [&] { create_key_file(key_path()); });
}

TEST_F(KeyFileTest, OpenToOthersIsDenied) {
  ASSERT_EQ(::chmod(key_path().c_str(), 0640), 0);
  try {
    read_key_file(key_path());
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), Fault::denied);
    EXPECT_EQ(error.hint(), "chmod 600 " + key_path().string());
  }
}

TEST_F(KeyFileTest, TheLinesOfARecoverySheetAsTyped) {
  const std::string digits = hex();
  std::string lines = format_key_lines(read_key_file(key_path()));
  write(lines);
  EXPECT_EQ(hex(), digits);
  write("RECOVERY SHEET\n\nKEY\n\n" + lines + "\na) Type it\n");
  EXPECT_EQ(hex(), digits) << "the whole sheet";
  for (char& c : lines) c = static_cast<char>(std::toupper(c));
  std::replace(lines.begin(), lines.end(), '0', 'O');
  std::erase(lines, ' ');
  write(lines);
  EXPECT_EQ(hex(), digits) << "capitals, O for 0, no spaces";
}

// Each digit changed, each two neighbours exchanged: the line is named, and nothing is taken for a key.
TEST_F(KeyFileTest, TypingErrorsAreFoundOnTheirLine) {
  const std::string good = format_key_lines(read_key_file(key_path()));
  for (std::size_t at = 0; at < good.size(); ++at) {
    const std::size_t line_start = good.rfind('\n', at) == std::string::npos ? 0 : good.rfind('\n', at) + 1;
    if (std::isxdigit(static_cast<unsigned char>(good[at])) == 0 || at == line_start) continue;
    const std::string line = fmt::format("line {} of the key", good[line_start]);
    std::string typed = good;
    typed[at] = typed[at] == '7' ? '3' : '7';
    write(typed);
    expect_fault(Fault::usage, line, [&] { read_key_file(key_path()); });
    typed = good;
    typed[at] = 'x';
    write(typed);
    expect_fault(Fault::usage, line + " holds what is no hex digit", [&] { read_key_file(key_path()); });
    typed = good;
    typed.erase(at, 1);
    write(typed);
    expect_fault(Fault::usage, line + " has 19 digits", [&] { read_key_file(key_path()); });
    typed = good;
    std::swap(typed[at], typed[at + 1]);
    if (typed == good || good[at + 1] == ' ' || good[at + 1] == '\n') continue;
    write(typed);
    expect_fault(Fault::usage, line, [&] { read_key_file(key_path()); });
  }
}

TEST_F(KeyFileTest, LinesMissingTwiceOrExchanged) {
  const std::string good = format_key_lines(read_key_file(key_path()));
  const std::size_t length = good.size() / 4;
  write(good.substr(length));
  expect_fault(Fault::usage, "line 1 of the key is missing", [&] { read_key_file(key_path()); });
  write(good + good.substr(0, length));
  expect_fault(Fault::usage, "line 1 of the key is there twice", [&] { read_key_file(key_path()); });
  std::string exchanged = good;
  exchanged[0] = '2';
  exchanged[length] = '1';
  write(exchanged);
  expect_fault(Fault::usage, "checksum", [&] { read_key_file(key_path()); });
}

TEST_F(KeyFileTest, AnythingElseIsNoKeyFile) {
  for (const std::string_view text : {"", "icecore-key-v1 ", "icecore-key-v1 12", "hello world"}) {
    write(text);
    expect_fault(Fault::usage, "not an icecore key file", [&] { read_key_file(key_path()); });
  }
  expect_fault(Fault::not_found, "key file", [&] { read_key_file(folder_ / "none"); });
}

}  // namespace
}  // namespace icecore::repository
