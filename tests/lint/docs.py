# SPDX-License-Identifier: Apache-2.0
"""README against the program: every command it has is named there, every command named there exists, and the
exit codes are the same in both. Called with the program built."""
import re
import subprocess
import sys

from project import finish, read

COMMAND_LINE = re.compile(r"^  ([a-z][a-z -]*?)  +\S")
CODE_IN_HELP = re.compile(r"^ +(\d+)  (.+)$", re.MULTILINE)
CODE_IN_README = re.compile(r"^\| (\d+) \| (.+?) \|$", re.MULTILINE)
# `icecore backup` or an indented "$ sudo icecore backup web1"
USE_IN_README = re.compile(r"(?:`|^ {4}(?:sudo )?)icecore ((?:policy |key )?[a-z-]+)", re.MULTILINE)


def help_of(program):
    return subprocess.run([program, "--help"], text=True, capture_output=True, check=True, timeout=30).stdout


def commands_of(text):
    block = text.split("\nCommands:\n", 1)[1].split("\n\n", 1)[0]
    return {match.group(1) for line in block.splitlines() if (match := COMMAND_LINE.match(line))}


def main():
    text, readme = help_of(sys.argv[1]), read("README.md")
    known, used = commands_of(text), set(USE_IN_README.findall(readme))
    problems = [f"README.md:1: the command 'icecore {name}' is not shown" for name in sorted(known - used)]
    problems += [f"README.md:1: 'icecore {name}' is no command" for name in sorted(used - known)]
    in_help = CODE_IN_HELP.findall(text.split("\nExit codes:\n", 1)[1])
    in_readme = CODE_IN_README.findall(readme)
    problems += [f"README.md:1: exit code {row} is not as in --help" for row in in_help if row not in in_readme]
    problems += [f"README.md:1: exit code {row} is not in --help" for row in in_readme if row not in in_help]
    finish(problems, len(known) + len(in_help))


if __name__ == "__main__":
    main()
