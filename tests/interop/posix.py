"""The rules of POSIX, call by call (tests/posix/posix_rules.cc): on ext4, which proves the rules, then on our file system
through ceph-fuse and through the kernel."""

import os
import subprocess
import sys

from harness import disks
from harness.guest import Guest
from harness.network import SERVER
from harness.suite import ClusterTest

#: Seen in the same way against stock daemons (`tests/run posix --stock`).
FUSE_BREAKS = {"truncate: mtime of d/f", "closing any descriptor of a file ends the process's fcntl locks on it"}
KERNEL_BREAKS = {"F_GETLK names the process that holds the lock"}
if "--stock" in sys.argv:
    # The stock MDS stamps with a clock that is coarser than the rules' pauses under load.
    KERNEL_BREAKS |= {"create: mtime of d", "create: ctime of d"}

IN_GUEST = """
mkdir -p /mnt
mount -t ceph {server}:3300:/ /mnt -o name=admin,secret={key},ms_mode={mode},mount_timeout=30 || fail mount
mkdir /mnt/posix || fail mkdir
/posix_rules /mnt/posix | sed 's/^/@@ {mode} /'
rmdir /mnt/posix || fail rmdir
umount /mnt || fail umount
dmesg | grep -E 'BUG|WARNING|Oops' && fail "the kernel complains"
"""


class Posix(ClusterTest):
    def check(self, output, known=()):
        """All rules hold, but for those that this client of Ceph's breaks whatever the server does."""
        broken = {line.removeprefix("BROKEN ") for line in output.splitlines() if line.startswith("BROKEN ")}
        self.assertEqual(broken - set(known), set())
        self.assertRegex(output.splitlines()[-1], r"^rules \d{4,} broken \d+$")

    def holds_in(self, folder, known=()):
        os.mkdir(folder)
        done = subprocess.run([self.posix_program("posix_rules"), folder], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120, text=True)
        self.check(done.stdout, known)
        os.rmdir(folder)

    def test_ext4(self):
        device = self.cluster.make_loop("ext4.img", 200 << 20)
        subprocess.run(["mkfs.ext4", "-q", device], check=True, timeout=60)
        target = self.world.scratch("mnt-ext4")
        os.mkdir(target)
        self.world.ledger.record("mount", target=target)
        subprocess.run(["mount", device, target], check=True, timeout=60)
        try:
            self.holds_in(target + "/posix")
        finally:
            disks.unmount(target)

    def test_fuse(self):
        mount, client = self.world.mount_fuse("posix", "--client_acl_type=posix_acl", "--fuse_default_permissions=false")
        self.holds_in(mount + "/posix", FUSE_BREAKS)
        self.world.unmount_fuse(mount, client)

    def test_kernel(self):
        modes = ("crc", "secure")
        script = "".join(IN_GUEST.format(server=SERVER, key=self.cluster.admin_key(), mode=mode) for mode in modes)
        guest = Guest(self.world.netns, script, mark=self.world.folder,
                      files={"posix_rules": self.posix_program("posix_rules")})
        reports = guest.run(deadline=140)
        for mode in modes:
            said = [words for marker, words in reports if marker == mode]
            self.assertTrue(said, mode)
            self.check("\n".join(said), KERNEL_BREAKS)
