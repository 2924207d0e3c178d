"""Debian's unmodified kernel, ready to boot in a guest: fetched once, kept under build/guest/.

vmlinux is the decompressed ELF (QEMU boots it directly, which saves unpacking it under emulation); base.cpio holds
busybox, the modules that a Ceph mount needs with the order to load them in, and an init that runs /run.sh.
"""

import fcntl
import glob
import lzma
import os
import shutil
import subprocess

from . import disks

CACHE = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../build/guest"))
VMLINUX = os.path.join(CACHE, "vmlinux")
BASE_CPIO = os.path.join(CACHE, "base.cpio")

#: gcm, ctr and a ghash are what ms_mode=secure asks for; the rest is pulled in by dependency.
MODULES = ("virtio_pci", "virtio_net", "aesni_intel", "ghash_clmulni_intel", "ctr", "gcm", "ceph")
#: QEMU emulates the crc32 instruction more slowly than it translates the C version.
LEFT_OUT = ("crc32c-intel.ko",)

INIT = """#!/bin/sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
export PATH=/bin
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
while read module; do insmod /m/$module || echo "@@ insmod-failed $module"; done < /m/order
ip link set lo up
. /run.sh
echo "@@ end"
sync
poweroff -f
"""


def pack(folder, output):
    """The folder as an uncompressed initramfs, owned by root."""
    listing = subprocess.run("find . | LC_ALL=C sort", shell=True, cwd=folder, check=True, stdout=subprocess.PIPE)
    with open(output, "wb") as out:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet", "-R", "0:0"], cwd=folder, input=listing.stdout,
                       stdout=out, check=True)


def prepare():
    """Makes VMLINUX and BASE_CPIO unless they are there. Needs the Debian archive the first time."""
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(VMLINUX) or not os.path.exists(BASE_CPIO):
            _fetch_and_unpack()


def _fetch_and_unpack():
    root = os.path.join(CACHE, "root")
    shutil.rmtree(root, ignore_errors=True)
    packages = glob.glob(os.path.join(CACHE, "linux-image-*.deb"))
    if not packages:
        depends = disks.run("apt-cache", "depends", "linux-image-amd64")
        name = next(line.split()[1] for line in depends.splitlines() if "Depends: linux-image-" in line)
        subprocess.run(["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", name], cwd=CACHE, check=True,
                       stdout=subprocess.DEVNULL, timeout=300)
        packages = glob.glob(os.path.join(CACHE, "linux-image-*.deb"))
    disks.run("dpkg-deb", "-x", packages[0], root, timeout=300)
    version = os.listdir(os.path.join(root, "lib/modules"))[0]
    _decompress(os.path.join(root, f"boot/vmlinuz-{version}"))
    _make_base(root, version)
    shutil.rmtree(root)


def _decompress(bzimage):
    with open(bzimage, "rb") as f:
        data = f.read()
    start = data.find(b"\xfd7zXZ\0")
    if start < 0:
        raise RuntimeError(f"{bzimage} is not compressed with xz")
    with open(VMLINUX + ".new", "wb") as f:
        f.write(lzma.LZMADecompressor().decompress(data[start:]))
    os.rename(VMLINUX + ".new", VMLINUX)


def _make_base(root, version):
    disks.run("depmod", "-b", root, version)
    modules = []
    for name in MODULES:
        shown = disks.run("modprobe", "-S", version, "-d", root, "--show-depends", name)
        for line in shown.splitlines():
            words = line.split()
            if words[0] == "insmod" and words[1] not in modules and os.path.basename(words[1]) not in LEFT_OUT:
                modules.append(words[1])
    folder = os.path.join(CACHE, "base")
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("bin", "dev", "m", "mnt", "proc", "sys", "tmp"):
        os.makedirs(os.path.join(folder, name))
    shutil.copy("/bin/busybox", os.path.join(folder, "bin/busybox"))
    os.symlink("busybox", os.path.join(folder, "bin/sh"))
    for path in modules:
        shutil.copy(path, os.path.join(folder, "m"))
    with open(os.path.join(folder, "m/order"), "w") as f:
        f.writelines(os.path.basename(path) + "\n" for path in modules)
    with open(os.path.join(folder, "init"), "w") as f:
        f.write(INIT)
    os.chmod(os.path.join(folder, "init"), 0o755)
    pack(folder, BASE_CPIO + ".new")
    os.rename(BASE_CPIO + ".new", BASE_CPIO)
    shutil.rmtree(folder)
