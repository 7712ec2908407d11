# SPDX-License-Identifier: Apache-2.0
"""A function has at most 60 lines, a source file 400, a header 150."""
from project import files, finish, read
from scopes import scan

FUNCTION_LINES_MAX = 60
SOURCE_LINES_MAX = 400
HEADER_LINES_MAX = 150


def main():
    problems, seen = [], 0
    for path in files("src", "plugins", "tests"):
        text = read(path)
        lines_max = HEADER_LINES_MAX if path.suffix in (".hpp", ".h") else SOURCE_LINES_MAX
        if (lines := text.count("\n")) > lines_max:
            problems.append(f"{path}:{lines_max}: {lines} lines, {lines_max} allowed")
        for item in scan(text):
            if item.kind != "function":
                continue
            seen += 1
            if item.lines > FUNCTION_LINES_MAX:
                problems.append(f"{path}:{item.line}: '{item.name}' has {item.lines} lines, {FUNCTION_LINES_MAX} allowed")
    finish(problems, seen)


if __name__ == "__main__":
    main()
