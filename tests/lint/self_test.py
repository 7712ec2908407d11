# SPDX-License-Identifier: Apache-2.0
"""The lints themselves: each rule finds a sample that breaks it and keeps quiet on one that does not."""
import unittest
from pathlib import Path

import layers
import names
import text
from project import code_only
from scopes import scan

SAMPLE = """// SPDX
namespace icecore::job {
constexpr int k_limit = 3;
static constexpr std::array bad_name = {1, 2};
enum class State { planned, done };
template <typename T>
class Runner final : public Base<T> {
 public:
  explicit Runner(int count) : count_{count}, rest_(1) {}
  ~Runner() { stop(); }
  bool operator==(const Runner& other) const { return count_ == other.count_; }
  std::vector<int> list(std::function<void()> action = {}) const noexcept;

 private:
  int count_ = 0;
};
Result Runner<int>::BadName(const char* text = "}{") {
  if (text[0] == '{') {
    return {};  // }
  }
  return Result{1'000};
}
}  // namespace
"""


class Scanner(unittest.TestCase):
    def found(self, kind):
        return {item.name: item for item in scan(SAMPLE) if item.kind == kind}

    def test_finds_types(self):
        self.assertEqual(set(self.found("type")), {"State", "Runner"})

    def test_finds_constants_of_scopes_only(self):
        self.assertEqual(set(self.found("constant")), {"k_limit", "bad_name"})

    def test_finds_functions_with_their_lines(self):
        functions = self.found("function")
        bad = next(item for name, item in functions.items() if name.endswith("BadName"))
        self.assertEqual((bad.line, bad.lines), (17, 6))
        self.assertIn("~Runner", functions)

    def test_names_are_judged(self):
        judged = {item.name: names.check(Path("x.cpp"), item) for item in scan(SAMPLE)}
        wrong = {name.split("::")[-1] for name, problem in judged.items() if problem}
        self.assertEqual(wrong, {"BadName", "bad_name"})


class Layers(unittest.TestCase):
    def test_upward_include_is_found(self):
        known = {"job/backup.hpp", "base/error.hpp"}
        self.assertIn("above", layers.check_own("disk", "job/backup.hpp", known))
        self.assertIsNone(layers.check_own("disk", "base/error.hpp", known))
        self.assertIn("no file", layers.check_own("disk", "error.hpp", known))

    def test_foreign_library_stays_in_its_room(self):
        self.assertIn("hypervisor", layers.check_foreign("job", "libvirt/libvirt.h"))
        self.assertIsNone(layers.check_foreign("hypervisor", "libvirt/libvirt.h"))
        self.assertIn("table", layers.check_foreign("job", "boost/asio.hpp"))
        self.assertIsNone(layers.check_foreign("job", "sys/stat.h"))

    def test_cycle_is_found(self):
        self.assertEqual(layers.find_cycle({"a": ["b"], "b": ["a"]}), ["a", "b", "a"])
        self.assertIsNone(layers.find_cycle({"a": ["b", "c"], "b": ["c"]}))


class Text(unittest.TestCase):
    def problems(self, path, code):
        problems = []
        text.check_code(Path(path), code_only(code), problems)
        return problems

    def test_catch_all_and_threads(self):
        self.assertEqual(len(self.problems("src/job/x.cpp", "try { } catch (...) { }")), 1)
        self.assertEqual(self.problems("src/main.cpp", "try { } catch (...) { }"), [])
        self.assertEqual(len(self.problems("src/job/x.cpp", "std::jthread worker(run);")), 1)
        self.assertEqual(self.problems("src/flow/x.cpp", "std::jthread worker(run);"), [])
        self.assertEqual(self.problems("src/job/x.cpp", "// catch (...) std::thread\nstd::this_thread::yield();"), [])

    def test_head(self):
        problems = []
        text.check_head(Path("src/base/x.hpp"), "// SPDX-License-Identifier: Apache-2.0\n#pragma once\n", problems)
        text.check_head(Path("src/base/y.hpp"), "#pragma once\n", problems)
        self.assertEqual([problem.split(": ")[0] for problem in problems], ["src/base/x.hpp:2", "src/base/y.hpp:1"])


if __name__ == "__main__":
    unittest.main()
