"""A block that has gone bad on the disk: never data, found in the background, and well again once it is written."""

import json
import os
import time

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
    def verify(self):
        """A whole pass; what it says."""
        socket = self.cluster.path("run", "ceph-osd.0.asok")
        before = json.loads(self.world.client("ceph", "daemon", socket, "verify", "status").stdout)
        time.sleep(1.1)  # passes are told apart by the second of their end
        self.world.client("ceph", "daemon", socket, "verify", "start")
        deadline = time.monotonic() + 200  # of all that earlier tests have left on this OSD, too
        while time.monotonic() < deadline:
            status = json.loads(self.world.client("ceph", "daemon", socket, "verify", "status").stdout)
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
        return self.world.client("ceph", "health", "detail").stdout.decode()

    def test_is_found_and_named(self):
        if self.cluster.software != "spirula":
            return  # the commands are ours
        pool = self.pool("damaged")
        source, copy = self.world.scratch("source"), self.world.scratch("copy")
        data = os.urandom(1 << 20)
        with open(source, "wb") as f:
            f.write(data)
        for name in ("bad", "good"):
            self.world.client("rados", "-p", pool, "put", name, source)
            if name == "bad":  # the other one gets other bytes
                with open(source, "wb") as f:
                    f.write(os.urandom(1 << 20))
        self.world.client("ceph", "config", "set", "osd", "osd_verify_bytes_per_second", "1G")
        self.assertEqual(self.verify()["damaged_objects"], 0)
        self.assertGreater(flip_a_bit(self.cluster.path("osd.0.img"), data[40 * BLOCK:41 * BLOCK]), 0)
        status = self.verify()
        self.assertEqual([each["bytes"] for each in status["damaged"]], [BLOCK], status)
        self.assertIn(":bad:", status["damaged"][0]["object"])
        self.wait_for_health(True)
        self.assertIn(":bad:", self.health())
        log = self.world.client("ceph", "log", "last", "20").stdout.decode()
        self.assertIn(f"does not verify at {40 * BLOCK}~{BLOCK}", log)
        done = self.world.client("rados", "-p", pool, "get", "bad", copy, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"Input/output error", done.stdout + done.stderr)
        self.world.client("rados", "-p", pool, "get", "good", copy)
        self.world.client("rados", "-p", pool, "put", "bad", source)
        self.assertEqual(self.verify()["damaged_objects"], 0)
        self.wait_for_health(False)
        self.world.client("ceph", "config", "rm", "osd", "osd_verify_bytes_per_second")
