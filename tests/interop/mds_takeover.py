"""A second MDS waits. The one that serves is killed, or stands still and wakes up when it has been replaced; the other goes
on. Clients that write meanwhile wait a while and see no error, and nothing of what they were told is lost."""

import hashlib
import json
import os
import signal
import sys
import threading
import time

from harness.suite import ClusterTest

#: Seconds of silence after which the monitor replaces an MDS; a stock monitor looks every 5 s, and takes less for its own delay.
GRACE = 10 if "--stock" in sys.argv else 3


class Writer:
    """Makes, writes, moves and removes files until told to stop; `files` is what there has to be: path below the mount to
    checksum. A context manager."""

    def __init__(self, folder):
        self.folder, self.files, self.steps = folder, {}, 0
        self.error, self.longest = None, 0.0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            while not self.over.is_set():
                started = time.monotonic()
                self.step(self.steps)
                self.longest = max(self.longest, time.monotonic() - started)
                self.steps += 1
        except Exception as error:  # told by __exit__
            self.error = error

    def step(self, number):
        folder = f"{self.folder}/d{number % 5}"
        os.makedirs(folder, exist_ok=True)
        content = os.urandom(number * 379 % 70_000)
        with open(f"{folder}/f{number}", "wb") as f:
            f.write(content)
            if number % 7 == 0:
                os.fsync(f.fileno())
        self.files[f"d{number % 5}/f{number}"] = hashlib.sha256(content).hexdigest()
        if number % 3 == 0:
            os.rename(f"{folder}/f{number}", f"{folder}/moved{number}")
            self.files[f"d{number % 5}/moved{number}"] = self.files.pop(f"d{number % 5}/f{number}")
        if number % 4 == 3:
            path = f"d{(number - 1) % 5}/f{number - 1}"
            if self.files.pop(path, None):
                os.unlink(f"{self.folder}/{path}")

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.over.set()
        self.thread.join()
        if self.error and kind is None:
            raise self.error

    def wait_for_steps(self, test, count):
        """`count` more of them."""
        wanted, deadline = self.steps + count, time.monotonic() + 90
        while self.steps < wanted and not self.error:
            test.assertLess(time.monotonic(), deadline, f"stands still at step {self.steps}")
            time.sleep(0.05)


class MdsTakeover(ClusterTest):
    def setUp(self):
        super().setUp()
        self.world.client("ceph", "config", "set", "global", "mds_beacon_grace", GRACE)
        self.cluster.add_standby("mds.b")

    def test_the_other_one_goes_on(self):
        mount, client = self.world.mount_fuse("writes")
        other, reader = self.world.mount_fuse("reads")
        folder = mount + "/takeover"
        os.mkdir(folder)
        with Writer(folder) as writer:
            writer.wait_for_steps(self, 50)
            self.taken_over("mds.b", lambda: self.cluster.kill("mds.a"))
            writer.wait_for_steps(self, 50)
            self.cluster.start("mds.a")
            self.cluster.wait_until(self.cluster.mds_standbys, "no standby")
            # This one only stands still. When it goes on, another serves, and the OSDs no longer listen to it.
            sleeper = self.cluster.process("mds.b")
            self.taken_over("mds.a", lambda: sleeper.signal(signal.SIGSTOP))
            writer.wait_for_steps(self, 20)
            sleeper.signal(signal.SIGCONT)
            self.cluster.wait_until(self.cluster.mds_standbys, "it does not begin anew")
            writer.wait_for_steps(self, 50)
        # A step can wait for the grace, the reconnect timeout, and what a busy machine adds.
        print(f"     {writer.steps} steps, the longest {writer.longest:.1f} s")
        self.compare(writer.files, other + "/takeover")
        self.world.unmount_fuse(mount, client)
        self.world.unmount_fuse(other, reader)
        self.cluster.remove_standby("mds.b")
        self.world.client("ceph", "config", "rm", "global", "mds_beacon_grace")
        mount, client = self.world.mount_fuse("writes")
        self.compare(writer.files, mount + "/takeover")
        self.world.unmount_fuse(mount, client)

    def serving(self):
        """Name and address of the MDS that is active."""
        dump = json.loads(self.world.client("ceph", "fs", "dump", "-f", "json").stdout)
        active = [info for info in dump["filesystems"][0]["mdsmap"]["info"].values() if info["state"] == "up:active"]
        return [(f"mds.{info['name']}", info["addr"]) for info in active]

    def taken_over(self, name, end):
        """`end()`s the one that serves and waits until this one does; then the one before it is locked out."""
        before = self.serving()
        end()
        deadline = time.monotonic() + 60
        while [each for each, _ in self.serving()] != [name]:
            self.assertLess(time.monotonic(), deadline, f"{name} does not take over")
            time.sleep(0.2)
        self.assertIn(before[0][1], self.world.client("ceph", "osd", "blocklist", "ls").stdout.decode())

    def compare(self, expected, folder):
        found = {}
        for path, _, names in os.walk(folder):
            for name in names:
                with open(os.path.join(path, name), "rb") as f:
                    found[os.path.relpath(os.path.join(path, name), folder)] = hashlib.sha256(f.read()).hexdigest()
        self.assertEqual(set(found), set(expected))
        self.assertEqual(found, expected)
