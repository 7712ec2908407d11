# SPDX-License-Identifier: Apache-2.0
"""Files and functions snake_case, types PascalCase, constants k_name. Members and locals are clang-tidy's part."""
import re

from project import files, finish, read
from scopes import scan

FILE = re.compile(r"^[a-z][a-z0-9_]*\.(cpp|hpp|h)$")
TYPE = re.compile(r"^[A-Z][A-Za-z0-9]*$")
FUNCTION = re.compile(r"^~?[a-z][a-z0-9_]*$")
CONSTANT = re.compile(r"^k_[a-z0-9_]+$")
# Names that say nothing about what a file holds.
DRAWER = re.compile(r"(^|_)(utils?|helpers?|common|misc)(_|\.|$)")
MACRO = re.compile(r"^[A-Z][A-Z0-9_]*$")  # a use of one looks like a function: TEST_F(...) {
# Called by that name from outside: libFuzzer's entry points and GoogleTest's hooks.
GIVEN = {"LLVMFuzzerTestOneInput", "LLVMFuzzerInitialize", "PrintTo", "SetUp", "TearDown", "SetUpTestSuite",
         "TearDownTestSuite", "OnTestEnd", "OnTestPartResult"}


def function_is_fine(item):
    *owner, name = item.name.split("::")
    if "operator" in name or name in GIVEN or FUNCTION.match(name) or MACRO.match(name):
        return True
    return name.lstrip("~") in (owner[-1:] or [item.scope.split("::")[-1]])


def check(path, item):
    last = item.name.split("::")[-1]
    # Specialisations of the standard library's templates carry its names.
    if item.kind == "type" and last and not item.name.startswith("std::") and not TYPE.match(last):
        return f"type '{item.name}' is not PascalCase"
    if item.kind == "constant" and not CONSTANT.match(last):
        return f"constant '{item.name}' is not k_snake_case"
    if item.kind == "function" and not function_is_fine(item):
        return f"function '{item.name}' is not snake_case"
    return None


def main():
    problems = []
    sources = files("src", "plugins", "tests")
    for path in sources:
        if not FILE.match(path.name):
            problems.append(f"{path}:1: the file name is not snake_case")
        if DRAWER.search(path.name):
            problems.append(f"{path}:1: the file name says nothing; name what it holds")
        for item in scan(read(path)):
            if problem := check(path, item):
                problems.append(f"{path}:{item.line}: {problem}")
    finish(problems, len(sources))


if __name__ == "__main__":
    main()
