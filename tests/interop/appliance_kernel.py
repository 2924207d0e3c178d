"""The mount lines that the page shows, character by character as shown, in a guest with Debian's unmodified kernel; then
a power cut, and the same files through the line of another address."""

import os
import shlex
import subprocess
import unittest

from harness import disks, image_life, network, processes
from harness.appliance import Appliance

BY_FSTAB = """mkdir -p /etc
echo '{fstab}' >> /etc/fstab
mount /mnt/photos"""
ADDRESSES = (network.SERVER, "10.77.0.9")


class ApplianceKernelTest(unittest.TestCase):
    beside_others = True  # with an appliance of its own
    seconds_max = 300

    def setUp(self):
        self.netns = f"spirula-kernel-{os.getpid()}"
        network.make(self.netns)
        self.addCleanup(network.remove, self.netns)
        disks.run("ip", "-n", self.netns, "addr", "add", f"{ADDRESSES[1]}/24", "dev", "br0")
        self.box = Appliance(disk_count=2, netns=self.netns, address=ADDRESSES[0], more=["--daemon-port", "6800"])
        self.addCleanup(self.box.close)

    def test_the_lines_as_they_are_shown(self):
        with network.visit(self.netns):
            owner = self.box.page()
            self.assertEqual(owner.claim(self.box.console()["code"]).status, 200)
            self.assertEqual(owner.set_up(*self.box.devices, copies=2)["state"], "done")
            share = owner.need("POST", "/api/v1/shares", {"name": "photos"})
            self.helper_takes(share)
        self.assertEqual(share["folder"], "mkdir -p /mnt/photos")
        written = image_life.guest(self.netns, image_life.WRITE, share["kernel"], index=0)
        self.assertEqual(len(written), 31)
        processes.kill_all(processes.marked(self.box.folder))  # a power cut, as far as processes go
        for store in disks.mounts_below(self.box.folder):
            disks.unmount(store)
        self.box.address = ADDRESSES[1]
        self.box.start()
        with network.visit(self.netns):
            owner = self.box.page()
            self.assertEqual(owner.log_in().status, 200)
            owner.wait_for_job(owner.need("GET", "/api/v1/jobs")["jobs"][0]["id"])
            share = owner.need("GET", "/api/v1/shares/photos")
        self.assertIn(f" {ADDRESSES[1]}:{self.box.mon_port}:/photos ", share["kernel"])
        self.assertEqual(image_life.guest(self.netns, image_life.READ, BY_FSTAB.format(**share), index=0), written)

    def helper_takes(self, share):
        """mount.ceph understands the line; that it then lacks this machine's kernel is another matter."""
        argv = shlex.split(share["kernel"])
        target = self.box.path("helper")
        os.makedirs(target)
        done = subprocess.run(["mount.ceph", argv[3], target, "-v", *argv[5:]], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)
        self.assertIn("will pass to kernel", done.stdout)
        if done.returncode == 0:
            subprocess.run(["umount", target], check=True)
