"""Loop devices and mounts."""

import contextlib
import ctypes
import fcntl
import json
import os
import random
import subprocess
import time


def run(*argv, timeout=60):
    """Runs a tool; its output. RuntimeError with its words when it fails."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=timeout, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stdout.strip()}")
    return done.stdout.strip()


def make_image(path, size_bytes):
    """Allocated, not sparse: the file below a loop device should not grow while something is measured on it."""
    run("fallocate", "-l", str(size_bytes), path)


LOOP_CTL_ADD, LOOP_CTL_REMOVE = 0x4C80, 0x4C81  # linux/loop.h
OWN_NUMBERS = range(10_000, 100_000)


def loop_control(request, number):
    with open("/dev/loop-control") as f:
        fcntl.ioctl(f, request, number)


def own_devices(count):
    """Names for attach(), in order, that nobody has who asks for a free device, also when these are gone."""
    first = random.randrange(OWN_NUMBERS.start, OWN_NUMBERS.stop - count)
    return [f"/dev/loop{first + i}" for i in range(count)]


def attach(path, device=None):
    """A loop device over `path`, with direct I/O where the file system below can do it: a free one, or `device`, of
    own_devices()."""
    if device:
        with contextlib.suppress(FileExistsError):
            loop_control(LOOP_CTL_ADD, int(device.removeprefix("/dev/loop")))
        run("losetup", device, path)
    else:
        device = run("losetup", "--find", "--show", "--nooverlap", path)
    try:
        run("losetup", "--direct-io=on", device)
        with open(f"/sys/block/{os.path.basename(device)}/queue/rotational", "w") as f:
            f.write("0")
    except (RuntimeError, OSError):
        pass  # tmpfs and the like: slower, no less right
    return device


def loops_of(path):
    listed = json.loads(run("losetup", "--json", "--list", "--output", "NAME,BACK-FILE") or '{"loopdevices": []}')
    names = (path, path + " (deleted)")
    return [d["name"] for d in listed["loopdevices"] if d["back-file"] in names]


def detach(path):
    deadline = time.monotonic() + 10
    while True:
        devices = loops_of(path)
        if not devices:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"{path} is still behind {devices}")
        for device in devices:
            subprocess.run(["losetup", "-d", device], stderr=subprocess.DEVNULL)
            number = int(device.removeprefix("/dev/loop"))
            if number in OWN_NUMBERS:
                with contextlib.suppress(OSError):  # still in use: next time
                    loop_control(LOOP_CTL_REMOVE, number)
        time.sleep(0.05)


def hide_mounts():
    """From here on this process and its children mount in a namespace of their own. In the common one, whoever makes a
    namespace meanwhile (`unshare`, `ip netns exec`, mmdebstrap, our own crash tests) takes a copy of our mounts with
    it, and each lives on in there after our umount: ceph-fuse then does not leave, a loop device stays busy."""
    libc = ctypes.CDLL(None, use_errno=True)
    clone_newns, ms_private_recursive = 0x20000, 1 << 18 | 1 << 14
    if libc.unshare(clone_newns) or libc.mount(None, b"/", None, ms_private_recursive, None):
        error = ctypes.get_errno()
        raise OSError(error, f"a mount namespace of our own: {os.strerror(error)}")


def mount_table():
    with open("/proc/self/mountinfo") as f:
        return [line.split()[4].encode().decode("unicode_escape") for line in f]


def mounts_below(path):
    path = os.path.realpath(path)
    return [m for m in mount_table() if m == path or m.startswith(path + "/")]


def mount_btrfs(device, target):
    """noatime and a long commit=: the store decides itself when a commit happens."""
    os.makedirs(target, exist_ok=True)
    run("mkfs.btrfs", "-q", "-K", "-f", device)
    run("mount", "-t", "btrfs", "-o", "noatime,commit=300", device, target)


def unmount(target):
    """Unmounts whatever is on `target`, a path without links in it; lazily when somebody keeps it busy for five
    seconds. Never looks at the path itself: a FUSE mount without a server would hang us."""
    deadline = time.monotonic() + 5
    while target in mount_table():
        late = time.monotonic() > deadline
        done = subprocess.run(["umount", *(["-l"] if late else []), target], stderr=subprocess.PIPE, text=True)
        if done.returncode == 0:
            continue
        if late:
            raise RuntimeError(done.stderr.strip())
        time.sleep(0.1)
