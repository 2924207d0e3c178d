"""Locks and access lists of Debian's kernel client, seen by another client; and what becomes of the locks when the machine
that held them dies."""

import errno
import fcntl
import json
import os
import struct
import subprocess
import time

from harness.guest import Guest, GuestError
from harness.network import SERVER
from harness.suite import SLOW, ClusterTest
from interop.kernel_mount import MOUNT

HOLD = """
mkdir /mnt/locks && chmod 777 /mnt/locks || fail mkdir
/hold_locks /mnt/locks || fail "hold_locks ended"
"""

#: Waits for the range that the guest holds, then for its whole file.
WAIT = """
import fcntl, sys
with open(sys.argv[1], "r+b") as f: fcntl.lockf(f, fcntl.LOCK_EX, 10, 10)
with open(sys.argv[2], "r+b") as f: fcntl.flock(f, fcntl.LOCK_EX)
"""

READ = """
import os, sys
os.write(1, os.read(os.open("listed", os.O_RDONLY, dir_fd=int(sys.argv[1])), 9))
"""


class PowerCut(Exception):
    pass


class KernelLocks(ClusterTest):
    seconds_max = 300 if SLOW else 100

    def refused(self, lock, *words):
        with self.assertRaises(OSError) as raised:
            lock(*words)
        self.assertIn(raised.exception.errno, (errno.EAGAIN, errno.EACCES))

    def look(self, folder):
        """From the other client, while the guest holds its locks."""
        with open(f"{folder}/ranges", "r+b") as ranges, open(f"{folder}/whole", "r+b") as whole:
            no_wait = fcntl.LOCK_NB
            self.refused(fcntl.lockf, ranges, fcntl.LOCK_EX | no_wait, 1, 19)
            self.refused(fcntl.lockf, ranges, fcntl.LOCK_SH | no_wait, 10, 10)
            self.refused(fcntl.lockf, ranges, fcntl.LOCK_EX | no_wait, 5, 35)
            fcntl.lockf(ranges, fcntl.LOCK_SH | no_wait, 10, 30)  # the guest's is shared as well
            fcntl.lockf(ranges, fcntl.LOCK_EX | no_wait, 10, 20)  # between them
            fcntl.lockf(ranges, fcntl.LOCK_UN)
            asked = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, start, length, _ = struct.unpack("hhqqi", fcntl.fcntl(ranges, fcntl.F_GETLK, asked))
            self.assertEqual((kind, start, length), (fcntl.F_WRLCK, 10, 10))
            self.refused(fcntl.flock, whole, fcntl.LOCK_SH | no_wait)

        def read_as(user):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  # the run's own folder is root's
            try:
                return subprocess.run(["/usr/bin/python3", "-c", READ, str(descriptor)], user=user, group=user,
                                      extra_groups=[], pass_fds=(descriptor,), stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE).stdout
            finally:
                os.close(descriptor)

        self.assertEqual(os.stat(f"{folder}/listed").st_mode & 0o777, 0o640, "the mask shows as the group's rights")
        self.assertEqual(read_as(1234), b"text")
        self.assertEqual(read_as(1235), b"")

    def evict_kernel_clients(self):
        sessions = json.loads(self.world.client("ceph", "tell", "mds.a", "client", "ls").stdout)
        found = [each["id"] for each in sessions if "kernel_version" in each.get("client_metadata", {})]
        for number in found:
            self.world.client("ceph", "tell", "mds.a", "client", "evict", f"id={number}")
        return len(found)

    def test_seen_by_another_and_given_up_by_the_dead(self):
        mount, process = self.world.mount_fuse("locks", "--client_acl_type=posix_acl", "--fuse_default_permissions=0")
        folder, waiters = f"{mount}/locks", []

        def on_report(marker, words):
            if marker != "holds":
                return
            self.look(folder)
            waiters.append(subprocess.Popen(["/usr/bin/python3", "-c", WAIT, f"{folder}/ranges", f"{folder}/whole"]))
            time.sleep(0.3)
            self.assertIsNone(waiters[0].poll(), "the lock is the guest's")
            raise PowerCut

        words = {"mode": "crc", "server": SERVER, "key": self.cluster.admin_key()}
        guest = Guest(self.world.netns, (MOUNT + HOLD).format(**words), memory_mib=512, mark=self.world.folder,
                      on_report=on_report, files={"hold_locks": self.posix_program("hold_locks")})
        try:
            with self.assertRaises(PowerCut):
                guest.run(deadline=self.seconds_max - 20)
            self.assertIsNone(waiters[0].poll(), "a silent client keeps its locks until it is evicted")
            self.assertEqual(self.evict_kernel_clients(), 1)
            self.assertEqual(waiters[0].wait(timeout=10), 0)
        except GuestError as error:
            self.fail(str(error))
        finally:
            for waiter in waiters:
                waiter.kill()
                waiter.wait()
            self.evict_kernel_clients()  # whatever failed: the dead hold what a removal needs
            subprocess.run(["rm", "-rf", folder], check=True)  # it may not have come so far
            self.world.unmount_fuse(mount, process)
