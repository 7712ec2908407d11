# SPDX-License-Identifier: Apache-2.0
"""shellcheck has nothing to say about any shell script of the project."""
import shutil
import subprocess

from project import ROOT, files, finish, skip


def is_shell(path):
    if path.suffix == ".sh":
        return True
    with open(ROOT / path, "rb") as file:
        return file.readline(40).rstrip() in (b"#!/bin/bash", b"#!/bin/sh")


def main():
    program = shutil.which("shellcheck")
    if not program:
        skip("shellcheck", "shellcheck is not installed")
    scripts = [path for path in files(".ci", "examples", "packaging", "plugins", "tests", suffixes=("",))
               if is_shell(path)]
    result = subprocess.run([program, "-x", "-f", "gcc", *map(str, scripts)], cwd=ROOT, text=True, capture_output=True,
                            check=False, timeout=110)
    finish((result.stdout + result.stderr).splitlines(), len(scripts))


if __name__ == "__main__":
    main()
