# SPDX-License-Identifier: Apache-2.0
"""What every lint shares: the project's files, C++ without comments and strings, how a lint ends.

A lint is a script that collects problems as "file:line: sentence" and ends with finish(). Exit codes are
ctest's: 0 clean, 1 problems, 77 skipped with the reason printed.
"""
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE_SUFFIXES = (".cpp", ".hpp", ".h")


def files(*folders, suffixes=CODE_SUFFIXES):
    """The files below the folders that end so, sorted, as paths relative to the project."""
    found = []
    for folder in folders:
        found += [path for path in (ROOT / folder).rglob("*") if path.is_file() and path.name.endswith(suffixes)]
    return sorted(path.relative_to(ROOT) for path in found if "__pycache__" not in path.parts)


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


TOKENS = re.compile(
    r"""(?P<raw>R"(?P<mark>[^()\s\\]{0,16})\(.*?\)(?P=mark)")   # raw strings
      | (?P<comment>//[^\n]*|/\*.*?\*/)
      | (?P<number>\b\d[\d'a-zA-Z.]*)                           # 1'000 is no character literal
      | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+')""",
    re.DOTALL | re.VERBOSE)


def code_only(text):
    """The text with comments and the insides of literals blanked; every line keeps its number."""

    def blank(match):
        if match.lastgroup == "number":
            return match.group()
        kept = "\n" * match.group().count("\n")
        return kept if match.group("comment") else '""' + kept

    return TOKENS.sub(blank, text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def required(part):
    """Whether a missing part is a failure here (ICECORE_REQUIRE=libvirt,clang-format or =all)."""
    names = os.environ.get("ICECORE_REQUIRE", "").split(",")
    return part in names or "all" in names


def skip(part, reason):
    print(f"{reason}")
    sys.exit(1 if required(part) else 77)


def finish(problems, seen):
    """Ends the lint. `seen` is how many things were looked at: none at all is a failure of the lint itself."""
    for problem in problems:
        print(problem)
    if not seen:
        print("nothing was checked: the lint looks in the wrong place")
    print(f"{seen} checked, {len(problems)} problem(s)")
    sys.exit(1 if problems or not seen else 0)
