"""Folders full of files: made from a seed, and compared entry by entry."""

import hashlib
import os
import random
import stat


def make(top, files, seed=1):
    """A tree of about `files` files: many small, some large, links, odd names, modes, times and attributes."""
    dice = random.Random(seed)
    folders = [top]
    os.mkdir(top)
    for index in range(files):
        if index % 20 == 0:
            parent = dice.choice([folder for folder in folders if folder.count("/") < top.count("/") + 6])
            name = dice.choice(("folder {}", "d{}", "ordner-ä{}", ".hidden{}")).format(index)
            folders.append(os.path.join(parent, name))
            os.mkdir(folders[-1])
        path = os.path.join(dice.choice(folders[-4:]), f"f{index}")
        size = 0 if index % 37 == 0 else dice.choice((dice.randrange(200), dice.randrange(20_000), 4096))
        if index % 500 == 250:
            size = (4 << 20) + dice.randrange(4 << 20)  # more than one object
        with open(path, "wb") as f:
            f.write(dice.randbytes(size))
        if index % 11 == 0:
            os.chmod(path, dice.choice((0o600, 0o755, 0o444, 0o4755)))
        if index % 13 == 0:
            os.setxattr(path, "user.note", dice.randbytes(dice.randrange(1, 300)))
        if index % 17 == 0:
            os.symlink(os.path.basename(path), path + ".link")
        if index % 19 == 0:
            os.utime(path, ns=(10**18 + index, 10**18 + index * 1_000_003))
        if index % 41 == 0:
            os.rename(path, path + ".renamed")
    return top


def describe(top):
    """Path (relative) to a tuple of everything that has to be the same in a copy."""
    found = {}
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            kind = stat.S_IFMT(status.st_mode)
            entry = [oct(status.st_mode), status.st_uid, status.st_gid]
            if stat.S_ISLNK(kind):
                entry = ["link", os.readlink(path)]
            elif stat.S_ISREG(kind):
                with open(path, "rb") as f:
                    entry += [status.st_size, status.st_mtime_ns, hashlib.file_digest(f, "sha256").hexdigest()]
                entry += [(name, os.getxattr(path, name)) for name in sorted(os.listxattr(path))
                          if name.startswith("user.")]
            found[os.path.relpath(path, top)] = tuple(entry)
    return found


def differences(expected, found, shown=10):
    """Lines that tell how two descriptions differ; none when they are equal."""
    lines = [f"{len(expected)} entries expected, {len(found)} found"] if len(expected) != len(found) else []
    for path in sorted(set(expected) | set(found)):
        if expected.get(path) != found.get(path):
            lines.append(f"{path}: expected {expected.get(path)}, found {found.get(path)}")
    return lines[:shown]
