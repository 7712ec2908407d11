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


def database_page(rng):
    """Half noise, half zeroes or a row that repeats; no two alike."""
    noise = rng.randbytes(PAGE // 2)
    row = bytes(8) if rng.random() < 0.5 else rng.randbytes(8)
    return noise + row * (PAGE // 2 // len(row))


def text(rng, words):
    """A MiB of new text, which compresses to a third."""
    out = " ".join(f"{word} {rng.getrandbits(30)}" if rng.random() < 0.1 else word for word in rng.choices(words, k=200_000))
    return out.encode()[:MIB].ljust(MIB, b".")


def make_content(folder, writes, seed):
    """A file for each write, for qemu-io to write from: like the bench's M1, distinct pages and distinct text."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 11))) for _ in range(20_000)]
    os.makedirs(folder)
    files = []
    for number, (_, length) in enumerate(writes):
        files.append(os.path.join(folder, str(number)))
        with open(files[-1], "wb") as file:
            file.write(database_page(rng) if length == PAGE else text(rng, words))
    return files


def apply(domain, writes, files):
    """Through the running QEMU, so that its bitmaps see every write. One virsh for all."""
    device = "/machine/peripheral/virtio-disk0/virtio-backend"
    commands = [f"write -q -s {file} {offset} {length}" for (offset, length), file in zip(writes, files)] + ["flush"]
    lines = [f"qemu-monitor-command {domain} --hmp 'qemu-io -d {device} \"{command}\"'" for command in commands]
    subprocess.run(["virsh", "-q"], input="\n".join(lines) + "\n", text=True, check=True, stdout=subprocess.DEVNULL)


def dirty_bytes(writes):
    """What a bitmap of 64 KiB grains marks."""
    return BLOCK * len({(offset + at) // BLOCK for offset, length in writes for at in range(0, length, PAGE)})


def newest_point(icecore, environment):
    out = subprocess.check_output([icecore.program, "show", "latest", "--json"], text=True, env={**os.environ, **environment})
    return json.loads(out)
