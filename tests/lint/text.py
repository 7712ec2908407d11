# SPDX-License-Identifier: Apache-2.0
"""What must and must not stand in a file: licence line, head comment, walls, threads, leftovers."""
import re

from project import code_only, files, finish, line_of, read

LICENCE = "SPDX-License-Identifier: Apache-2.0"
SCRIPTS = (".py", ".sh", ".cmake", "CMakeLists.txt", ".yml")

# The walls where any exception at all stops. (A job's step and a C callback catch what they can name.)
WALLS = {
    "src/main.cpp",              # main
    "src/flow/stage_group.cpp",  # a worker thread keeps the first error for join()
}
# Rooms and files that may start threads.
THREADS = ("src/flow/", "src/daemon/", "src/hypervisor/event_loop.")

FORBIDDEN = [
    (re.compile(r"\busing\s+namespace\b"), "'using namespace' hides where a name comes from"),
    (re.compile(r"\bNDEBUG\b"), "assert() stays on in every build"),
]
LEFTOVER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
THREAD = re.compile(r"\bstd::(jthread|thread|async)\b(?!::(hardware_concurrency|id))|\bpthread_create\b")
CATCH_ALL = re.compile(r"\bcatch\s*\(\s*\.\.\.\s*\)")


def check_head(path, text, problems):
    lines = text.splitlines() or [""]
    first = next((line for line in lines[:2] if not line.startswith("#!")), "")
    if LICENCE not in first:
        problems.append(f"{path}:1: the first line is not the licence ({LICENCE})")
        return
    # A source file beside its header has its head comment there.
    needs_comment = path.suffix in (".hpp", ".h") or (path.suffix == ".cpp" and path.parts[0] == "src"
                                                      and path.with_suffix(".hpp") not in HEADERS)
    if needs_comment and not lines[1].startswith("//"):
        problems.append(f"{path}:2: no head comment: what is this file, which invariant does it keep?")


def check_code(path, code, problems):
    def report(pattern, sentence):
        for match in pattern.finditer(code):
            problems.append(f"{path}:{line_of(code, match.start())}: {sentence}")

    for pattern, sentence in FORBIDDEN:
        report(pattern, sentence)
    if path.parts[0] == "src" and str(path) not in WALLS:
        report(CATCH_ALL, "'catch (...)' outside the walls (tests/lint/text.py)")
    if path.parts[0] == "src" and not str(path).startswith(THREADS):
        report(THREAD, "threads start only in flow/, daemon/ and hypervisor's event loop")


HEADERS = set(files("src", "plugins", suffixes=(".hpp", ".h")))


def main():
    problems = []
    code_files = files("src", "plugins", "tests")
    scripts = files("src", "plugins", "tests", "packaging", "examples", suffixes=SCRIPTS)
    for path in code_files + scripts:
        text = read(path)
        check_head(path, text, problems)
        if path.name != "text.py":
            problems += [f"{path}:{line_of(text, match.start())}: '{match.group()}': do it or open an issue"
                         for match in LEFTOVER.finditer(text)]
    for path in code_files:
        check_code(path, code_only(read(path)), problems)
    finish(problems, len(code_files) + len(scripts))


if __name__ == "__main__":
    main()
