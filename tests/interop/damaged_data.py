"""A block that has gone bad on the disk: never data, found in the background, and well again once it is written. With both
ways of telling good data from bad (osd_integrity)."""

import json
import os
import subprocess
import time

from harness.cluster import Options
from harness.suite import ClusterTest

BLOCK = 4096


def flip_a_bit(image, block):
    """In every copy of the block that the image has; how many there were."""
    found, step = 0, 1 << 20
    fd = os.open(image, os.O_RDWR)
    try:
        at = 0
        while True:
            try:
                at = os.lseek(fd, at, os.SEEK_DATA) // step * step
            except OSError:  # nothing but a hole is left
                break
            piece = os.pread(fd, step, at)
            for offset in range(0, len(piece), BLOCK):
                if piece[offset:offset + BLOCK] == block:
                    os.pwrite(fd, bytes([block[0] ^ 1]), at + offset)
                    found += 1
            at += step
        os.fsync(fd)
    finally:
        os.close(fd)
    return found


class DamagedData(ClusterTest):
    def setUp(self):
        """Clusters of their own: the shared one's OSD has all that earlier tests have left."""
        if self.world.kind.software != "spirula":
            return  # the commands are ours
        world, integrity = self.world, self._testMethodName.split("_")[1]

        class Chosen(world.kind):
            def conf_text(self):
                return super().conf_text().replace("[global]\n", f"[global]\nosd integrity = {integrity}\n", 1)
        folder = os.path.join(world.folder, f"damaged-{integrity}")
        world.ledger.record("cluster", path=folder)
        self.cluster = Chosen(folder, Options(mds=0, osd_size=2, netns=world.netns, addr="127.0.0.1"))
        self.cluster.up()
        self.addCleanup(self.cluster.down)

    def client(self, *argv, check=True):
        words = self.world.inside() + [argv[0], "-c", self.cluster.conf, *argv[1:]]
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=check)

    def verify(self):
        """A whole pass; what it says."""
        socket = self.cluster.path("run", "ceph-osd.0.asok")
        before = json.loads(self.client("ceph", "daemon", socket, "verify", "status").stdout)
        time.sleep(1.1)  # passes are told apart by the second of their end
        self.client("ceph", "daemon", socket, "verify", "start")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            status = json.loads(self.client("ceph", "daemon", socket, "verify", "status").stdout)
            if status["state"] == "idle" and status["last_ended"] > before["last_ended"]:
                return status
            time.sleep(0.3)
        self.fail(f"no end: {status}")

    def wait_for_health(self, wanted):
        deadline = time.monotonic() + 30
        while ("OSD_DAMAGED_DATA" in self.health()) != wanted:
            self.assertLess(time.monotonic(), deadline, self.health())
            time.sleep(0.5)

    def health(self):
        return self.client("ceph", "health", "detail").stdout.decode()

    def test_index_checksums(self):
        self.is_found_and_named("index checksums")

    def test_btrfs_checksums(self):
        self.is_found_and_named("btrfs checksums")

    def is_found_and_named(self, integrity):
        if self.world.kind.software != "spirula":
            return
        store = subprocess.run([self.cluster.tool("filestore-tool"), "info", self.cluster.path("osd.0")],
                               capture_output=True, text=True, check=True)
        self.assertIn(integrity, store.stdout)
        pool = "damaged"
        self.client("ceph", "osd", "pool", "create", pool, "8")
        data = {name: os.urandom(1 << 20) for name in ("bad", "good", "small")}
        files = {name: self.world.scratch(f"{self._testMethodName}-{name}") for name in data}
        copy = self.world.scratch(f"{self._testMethodName}-copy")
        for name in data:
            if name == "small":
                data[name] = data[name][:5 * BLOCK]  # through the journal, not through staging
            with open(files[name], "wb") as f:
                f.write(data[name])
            self.client("rados", "-p", pool, "put", name, files[name])
        self.client("ceph", "config", "set", "osd", "osd_verify_bytes_per_second", "1G")
        self.assertEqual(self.verify()["damaged_objects"], 0)
        for name, block in (("bad", 40), ("small", 3)):
            wanted = data[name][block * BLOCK:(block + 1) * BLOCK]
            self.assertGreater(flip_a_bit(self.cluster.path("osd.0.img"), wanted), 0)
        status = self.verify()
        self.assertEqual({each["object"].split(":")[-2]: each["bytes"] for each in status["damaged"]},
                         {"bad": BLOCK, "small": BLOCK}, status)
        self.wait_for_health(True)
        self.assertIn("2 objects with data that do not verify", self.health())
        self.assertIn(":bad:", self.health())  # the first of them
        for name in ("bad", "small"):
            done = self.client("rados", "-p", pool, "get", name, copy, check=False)
            if name == "small" and done.returncode == 0:  # the page cache may still have what was written
                with open(copy, "rb") as f:
                    self.assertEqual(f.read(), data[name])
                continue
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(b"Input/output error", done.stdout + done.stderr)
        log = self.client("ceph", "log", "last", "20").stdout.decode()
        self.assertIn(f"does not verify at {40 * BLOCK}~{BLOCK}", log)
        self.client("rados", "-p", pool, "get", "good", copy)
        with open(copy, "rb") as f:
            self.assertEqual(f.read(), data["good"])
        for name in ("bad", "small"):
            self.client("rados", "-p", pool, "put", name, files[name])
            self.client("rados", "-p", pool, "get", name, copy)
            with open(copy, "rb") as f:
                self.assertEqual(f.read(), data[name])
        self.assertEqual(self.verify()["damaged_objects"], 0)
        self.wait_for_health(False)
