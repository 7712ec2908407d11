# SPDX-License-Identifier: Apache-2.0
"""A scanner that knows just enough C++ to find types, functions and constants with their lines.

It follows braces in code_only() text. At namespace or class level a brace opens a namespace, a type, a
function (its head has a parenthesis) or an initializer; inside functions nothing is looked at.
"""
import re
from dataclasses import dataclass

from project import code_only

SCOPE = re.compile(r"(^|\s)(namespace|extern)\b")
TYPE = re.compile(r"^\s*(?:template\s*<.*>\s*)?(?:typedef\s+)?(class|struct|union|enum(?:\s+(?:class|struct))?)\b"
                  r"(?:\s*\[\[\w+\]\])?\s*([\w:]*)", re.DOTALL)
FUNCTION = re.compile(r"([\w:~]*operator\s*[^\s\w(]{0,3}|[\w:~]+)\s*(?:\(\)\s*)?\(")
CONSTANT = re.compile(r"\bconstexpr\b[^()]*?(\w+)\s*(?:\[[^\]]*\])?\s*$", re.DOTALL)


@dataclass
class Found:
    kind: str  # "type", "function" or "constant"
    name: str
    line: int
    lines: int = 1
    scope: str = ""  # the type it stands in


def classify(head):
    if SCOPE.search(head) and "(" not in head:
        return "scope", ""
    type_match = TYPE.match(head)
    if type_match and "(" not in head.split(type_match.group(2) or "{", 1)[-1]:
        return ("enum" if type_match.group(1).startswith("enum") else "type"), type_match.group(2)
    bare = re.sub(r"<[^<>()]*>", "", head)
    function = FUNCTION.search(re.sub(r"\b(alignas|noexcept|decltype|requires|explicit)\s*\([^()]*\)", "", bare))
    if function and "=" not in head.split("(")[0].replace("operator=", "").replace("==", ""):
        return "function", function.group(1)
    constant = CONSTANT.search(head)
    return ("constant", constant.group(1)) if constant else ("other", "")


def scan(text):
    """All types, functions with bodies, and namespace- or class-level constants of the file."""
    code = code_only(text)
    # A preprocessor line is no code: blank it, its continuations too.
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: "\n" * m.group().count("\n"), code, flags=re.MULTILINE)
    found, stack, head_start, line = [], [], 0, 1
    for position, letter in enumerate(code):
        if letter == "\n":
            line += 1
        elif letter == "{":
            open_brace(found, stack, code[head_start:position], line)
            head_start = position + 1
        elif letter == "}":
            close_brace(stack, line)
            head_start = position + 1
        elif letter in ";=" and all(kind in ("scope", "type") for kind, *_ in stack):
            head = code[head_start:position]
            if letter == "=" and "(" not in head and (constant := CONSTANT.search(head)):
                found.append(Found("constant", constant.group(1), line))
            if letter == ";":
                head_start = position + 1
    return found


def open_brace(found, stack, head, line):
    head = re.sub(r"\b(public|private|protected)\s*:(?!:)", "", head)
    if any(kind not in ("scope", "type") for kind, *_ in stack):
        stack.append(("inner", None))
        return
    kind, name = classify(head)
    item = None
    if kind in ("type", "enum", "function", "constant"):
        start = line - head.lstrip().count("\n")
        scope = next((entry[1].name for entry in reversed(stack) if entry[0] == "type" and entry[1]), "")
        item = Found("type" if kind == "enum" else kind, name, start, scope=scope)
        found.append(item)
    stack.append((kind, item))


def close_brace(stack, line):
    if stack:
        item = stack.pop()[1]
        if item:
            item.lines = line - item.line + 1
