"""The MDS is killed every few seconds while a client unpacks an archive, compares it and removes it; so are the MDS with
the OSD, and the whole cluster. The client never sees an error, and leaves when it is told to."""

import os
import signal
import subprocess
import threading
import time

from harness import trees
from harness.suite import SLOW, ClusterTest

SECONDS = 240 if SLOW else 14
FILES = 600
UNMOUNT_SECONDS_MAX = 20  # more than a restart takes, less than the 30 s after which ceph-fuse goes without an answer


class Killer:
    """Kills these daemons again and again, and starts them at once. A context manager."""

    def __init__(self, cluster, names, interval):
        self.cluster, self.names, self.interval = cluster, names, interval
        self.kills, self.error = 0, None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            while not self.over.wait(self.interval):
                self.cluster.kill(*self.names)
                self.kills += 1
                self.cluster.start_all()
        except Exception as error:  # told by __exit__
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.over.set()
        self.thread.join()
        if self.error and kind is None:
            raise self.error


class MdsKills(ClusterTest):
    seconds_max = SECONDS * 3 + 90

    def setUp(self):
        super().setUp()
        self.source = self.world.scratch("kills-tree")
        if not os.path.exists(self.source):
            trees.make(self.source, FILES)
            self.tool("tar", "--format=posix", "--xattrs", "-cf", self.world.scratch("kills.tar"), "-C",
                      os.path.dirname(self.source), os.path.basename(self.source))
        self.expected = trees.describe(self.source)

    def test_mds(self):
        self.rounds(self.cluster.mds_names(), 5)

    def test_mds_and_osd(self):
        self.rounds(self.cluster.mds_names() + self.cluster.osd_names(), 6)

    def test_all(self):
        self.rounds(self.cluster.daemon_names(), 7)

    def test_unmount(self):
        """Killed in the very moment in which a client leaves."""
        for delay in (0.0, 0.01, 0.05, 0.1) if not SLOW else [i * 0.005 for i in range(40)]:
            mount, client = self.world.mount_fuse("leaves")
            with open(mount + "/left", "w") as f:
                f.write("left")
            time.sleep(0.3)  # ceph-fuse aborts when it is unmounted while it still tries a remount of its own
            started = time.monotonic()
            leaving = subprocess.Popen(["umount", mount])
            time.sleep(delay)
            self.cluster.kill(*self.cluster.mds_names())
            self.cluster.start_all()
            self.assertEqual(leaving.wait(30), 0)
            self.leaves(client, started, f"killed {delay} s after the umount")
        mount, client = self.world.mount_fuse("leaves")
        with open(mount + "/left") as f:
            self.assertEqual(f.read(), "left")
        os.unlink(mount + "/left")
        self.world.unmount_fuse(mount, client)

    def test_osd_dies_while_a_client_connects(self):
        """Such a client hears nothing of the end and finds its request late after 10 s; the MDS that comes back says that
        there is a newer osdmap."""
        mount, client = self.world.mount_fuse("connects")
        (osd,) = self.cluster.osd_names()

        def write():
            with open(mount + "/written", "w") as f:
                f.write("written")
                f.flush()
                os.fsync(f.fileno())
        writer = threading.Thread(target=write)
        self.cluster.process(osd).signal(signal.SIGSTOP)
        started = time.monotonic()
        writer.start()
        time.sleep(0.5)
        self.cluster.kill(osd, *self.cluster.mds_names())
        self.cluster.start_all()
        writer.join(60)
        seconds = time.monotonic() - started
        print(f"     synced after {seconds:.1f} s")
        self.world.unmount_fuse(mount, client)
        if self.cluster.software != "stock":  # whose MDS leaves it to the client
            self.assertLess(seconds, 9)

    def rounds(self, names, interval):
        end = time.monotonic() + SECONDS
        count = 0
        with Killer(self.cluster, names, interval) as killer:
            while time.monotonic() < end or not killer.kills:
                mount, client = self.world.mount_fuse("kills")
                self.tool("tar", "--xattrs", "-xf", self.world.scratch("kills.tar"), "-C", mount)
                self.same(trees.describe(mount + "/kills-tree"))
                if count % 2:  # what another client finds is on the disk
                    self.leave(mount, client)
                    mount, client = self.world.mount_fuse("kills")
                    self.same(trees.describe(mount + "/kills-tree"))
                self.tool("rm", "-r", mount + "/kills-tree")
                self.assertFalse(os.path.lexists(mount + "/kills-tree"))
                self.leave(mount, client)
                count += 1
        print(f"     {count} rounds, {killer.kills} kills")

    def leave(self, mount, client):
        started = time.monotonic()
        self.tool("umount", mount)
        self.leaves(client, started, "umount")

    def leaves(self, client, started, when):
        self.assertTrue(client.wait(UNMOUNT_SECONDS_MAX), f"ceph-fuse does not leave: {when}")
        self.assertLess(time.monotonic() - started, UNMOUNT_SECONDS_MAX, when)

    def same(self, found):
        lines = trees.differences(self.expected, found)
        if lines:
            self.fail("\n".join(lines))

    def tool(self, *argv):
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, text=True)
        self.assertEqual(done.returncode, 0, done.stdout[-2000:])
