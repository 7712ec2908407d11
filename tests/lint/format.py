# SPDX-License-Identifier: Apache-2.0
"""Every C++ file is as clang-format 14 with .clang-format would write it."""
import shutil
import subprocess

from project import ROOT, files, finish, skip


def main():
    program = shutil.which("clang-format-14") or shutil.which("clang-format")
    if not program:
        skip("clang-format", "clang-format is not installed")
    sources = [str(path) for path in files("src", "plugins", "tests")]
    # --dry-run reports each place; only the first of a file matters here.
    result = subprocess.run([program, "--dry-run", "--Werror", "--ferror-limit=1", *sources], cwd=ROOT, text=True,
                            capture_output=True, check=False, timeout=300)
    problems = [line.split(": error:")[0] + ": not formatted; run `cmake --build --preset dev --target format`"
                for line in result.stderr.splitlines() if ": error:" in line]
    if result.returncode != 0 and not problems:
        problems = [result.stderr]
    finish(problems, len(sources))


if __name__ == "__main__":
    main()
