"""tests/cluster itself: it refuses to run twice in one folder, and `down` leaves nothing, whatever died before."""

import os
import signal
import subprocess
import time

from harness import disks, processes
from harness.suite import ClusterTest

TESTS = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))


class ClusterScript(ClusterTest):
    def setUp(self):  # needs no shared cluster
        self.script = os.path.join(TESTS, "stock" if self.world.kind.software == "stock" else "cluster")
        self.folder = os.path.join(self.world.folder, "script")
        self.world.ledger.record("cluster", path=self.folder)

    def run_script(self, verb, *words):
        return subprocess.run([self.script, verb, self.folder, *words], stdin=subprocess.DEVNULL, timeout=90, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def nothing_left(self):
        done = self.run_script("down")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(disks.mounts_below(self.folder), [])
        self.assertNotIn(self.folder, disks.run("losetup", "--list", "--output", "NAME,BACK-FILE"))
        self.assertEqual([p.pid for p in processes.marked(self.folder)], [])
        self.assertFalse(os.path.exists(self.folder))

    def test_up_status_kill_down(self):
        done = self.run_script("up", "--osd-size", "2")
        self.assertEqual(done.returncode, 0, done.stdout[-3000:])
        for name in ("ceph.conf", "ceph.client.admin.keyring"):
            self.assertTrue(os.path.exists(os.path.join(self.folder, name)))
        again = self.run_script("up")
        self.assertEqual(again.returncode, 1)
        self.assertIn("down", again.stdout)
        self.assertEqual(self.run_script("status").returncode, 0)
        self.assertEqual(self.run_script("kill", "osd.0").returncode, 0)
        self.assertEqual(self.run_script("status").returncode, 1)
        done = self.run_script("start")
        self.assertEqual(done.returncode, 0, done.stdout[-3000:])
        self.assertEqual(self.run_script("status").returncode, 0)
        self.run_script("kill")
        self.nothing_left()
        self.nothing_left()  # and once more does no harm

    def test_without_authentication(self):
        done = self.run_script("up", "--osd-size", "2", "--auth", "none")
        self.assertEqual(done.returncode, 0, done.stdout[-3000:])
        conf = os.path.join(self.folder, "ceph.conf")
        done = subprocess.run(["rados", "-c", conf, "--keyring", "/nonexistent", "lspools"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=40)
        self.assertIn(b"cephfs.fs.data", done.stdout)
        self.nothing_left()

    def test_down_after_up_was_killed(self):
        for seconds in (0.3, 0.6, 1.0, 2.0):
            up = subprocess.Popen([self.script, "up", self.folder, "--osd-size", "2"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(seconds)
            up.send_signal(signal.SIGKILL)
            up.wait()
            self.nothing_left()
