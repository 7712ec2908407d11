# SPDX-License-Identifier: Apache-2.0
"""Reads the #include lines of src/ against the table of rooms: arrows point down only, each foreign
library lives in its room, no file includes itself through others."""
import re

from project import files, finish, read

# Top first; ARCHITECTURE.md section "Rooms" draws the same table.
ROOMS = ["cli", "daemon", "policy", "job", "hypervisor", "memory", "disk", "staging", "maintenance", "repository", "storage", "flow",
         "plugin", "base"]
FOREIGN = {
    "CLI/": {"cli"}, "libxml/": {"policy", "hypervisor"}, "sqlite3.h": {"base"}, "libvirt/": {"hypervisor"},
    "libnbd.h": {"disk"}, "zstd": {"repository"}, "sodium": {"repository"}, "lmdb.h": {"repository"},
    "libssh2": {"storage"}, "spdlog/": {"base"}, "nlohmann/": {"base"}, "systemd/": {"daemon"},
    "fmt/": set(ROOMS),
}
SYSTEM = re.compile(r"^(sys|linux|netinet|arpa|net|asm)/|^(unistd|fcntl|signal|poll|dlfcn|termios|pwd|grp|spawn|sched|"
                    r"pthread|dirent|getopt|ftw|syslog|netdb|glob|fnmatch|immintrin|cpuid|endian|byteswap|malloc|strings)\.h$")
STANDARD = re.compile(r"^[a-z_]+$")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def room_of(path):
    return path.parts[1] if len(path.parts) > 2 else "main"


def check_foreign(room, name):
    if STANDARD.match(name) or SYSTEM.match(name):
        return None
    homes = [rooms for prefix, rooms in FOREIGN.items() if name.startswith(prefix)]
    if not homes:
        return f"<{name}> is in no room of the table in tests/lint/layers.py"
    return None if room in homes[0] else f"<{name}> belongs to {' and '.join(sorted(homes[0]))} only"


def check_own(room, name, known):
    if name not in known:
        return f'"{name}" is no file below src/ (write the full path)'
    target = name.split("/")[0]
    if room != "main" and ROOMS.index(target) < ROOMS.index(room):
        return f'{room}/ includes "{name}", which lies above it'
    return None


def find_cycle(includes):
    done, path = set(), []

    def visit(name):
        if name in path:
            return path[path.index(name):] + [name]
        if name in done:
            return None
        path.append(name)
        for target in includes.get(name, []):
            if cycle := visit(target):
                return cycle
        done.add(path.pop())
        return None

    return next((cycle for name in sorted(includes) if (cycle := visit(name))), None)


def main():
    problems, includes = [], {}
    sources = files("src")
    known = {str(path.relative_to("src")) for path in sources}
    for path in sources:
        room = room_of(path)
        if room != "main" and room not in ROOMS:
            problems.append(f"{path}:1: '{room}' is no room of the table in tests/lint/layers.py")
            continue
        for number, line in enumerate(read(path).splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            quote, name = match.groups()
            problem = check_foreign(room, name) if quote == "<" else check_own(room, name, known)
            if problem:
                problems.append(f"{path}:{number}: {problem}")
            if quote == '"':
                includes.setdefault(str(path.relative_to("src")), []).append(name)
    if cycle := find_cycle(includes):
        problems.append(f"src/{cycle[0]}:1: include cycle: {' -> '.join(cycle)}")
    finish(problems, len(sources))


if __name__ == "__main__":
    main()
