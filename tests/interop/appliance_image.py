"""The disk image in QEMU, in `make check-slow`: see tests/image. It is built first when it is not there."""

import os
import subprocess
import sys
import tempfile
import unittest

from harness.suite import SLOW

_ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
_IMAGE = os.path.join(_ROOT, "build/image/spirula.img")
PACKED_MIB_MAX = 400


class ApplianceImageTest(unittest.TestCase):
    seconds_max = 3000

    def run_it(self, *argv):
        done = subprocess.run(argv, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:].decode(errors="replace"))
        return done.stdout.decode(errors="replace")

    def boot(self, name):
        if not os.path.exists(_IMAGE):
            self.run_it("make", "image")
        print(self.run_it(sys.executable, "-B", "tests/image", name), end="")


if SLOW:

    def _add(name):
        setattr(ApplianceImageTest, f"test_{name.replace('-', '_')}", lambda self: self.boot(name))

    for _name in ("bios", "uefi", "slot-b", "trial", "damaged", "cuts", "reset", "reproducible", "make-appliance", "life", "life-uefi"):
        _add(_name)

    def _packed(self):
        folder = os.path.dirname(_IMAGE)
        if not os.path.exists(_IMAGE + ".xz"):
            self.run_it("make", "image")
        self.run_it("sh", "-c", f"cd {folder} && sha256sum --check --quiet spirula.sha256")
        for name in ("spirula.img.xz", "spirula.qcow2"):
            self.assertLess(os.path.getsize(os.path.join(folder, name)), PACKED_MIB_MAX << 20, name)
        self.run_it("bash", "-c", f"set -o pipefail; xz -dc {_IMAGE}.xz | cmp - {_IMAGE}")
        self.run_it("qemu-img", "compare", "-f", "raw", "-F", "qcow2", _IMAGE, os.path.join(folder, "spirula.qcow2"))
        with tempfile.TemporaryDirectory() as scratch:
            disk = os.path.join(scratch, "disk")
            self.run_it("bmaptool", "-q", "copy", _IMAGE + ".xz", disk)
            self.run_it("cmp", _IMAGE, disk)

    ApplianceImageTest.test_packed = _packed
