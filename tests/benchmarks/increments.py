# SPDX-License-Identifier: Apache-2.0
"""What a second backup costs after a known change (M1): 2,000 random writes of 4 KiB and 64 MiB in one piece."""

import json
import os
import random
import subprocess

MIB = 2**20
RANDOM_WRITES, PAGE = 2000, 4096
PIECE_MIB = 64
BLOCK = 65536


def plan(seed, area_from, area_bytes, piece_from):
    """(offset, length) of every write: pages of one area in random order, then the piece."""
    pages = random.Random(seed).sample(range(area_bytes // PAGE), RANDOM_WRITES)
    return [(area_from + page * PAGE, PAGE) for page in pages] + [(piece_from + i * MIB, MIB) for i in range(PIECE_MIB)]


def write_noise(path):
    """Bytes that neither compress nor repeat, for qemu-io to write from."""
    with open(path, "wb") as file:
        file.write(random.Random(7).randbytes(MIB))
    os.chmod(path, 0o644)


def apply(domain, writes, folder):
    """Through the running QEMU, so that its bitmaps see every write. One virsh for all."""
    source = os.path.join(folder, "noise")
    write_noise(source)
    device = "/machine/peripheral/virtio-disk0/virtio-backend"
    commands = [f"write -q -s {source} {offset} {length}" for offset, length in writes] + ["flush"]
    lines = [f"qemu-monitor-command {domain} --hmp 'qemu-io -d {device} \"{command}\"'" for command in commands]
    subprocess.run(["virsh", "-q"], input="\n".join(lines) + "\n", text=True, check=True, stdout=subprocess.DEVNULL)


def dirty_bytes(writes):
    """What a bitmap of 64 KiB grains marks."""
    return BLOCK * len({(offset + at) // BLOCK for offset, length in writes for at in range(0, length, PAGE)})


def newest_point(icecore, environment):
    out = subprocess.check_output([icecore.program, "show", "latest", "--json"], text=True, env={**os.environ, **environment})
    return json.loads(out)
