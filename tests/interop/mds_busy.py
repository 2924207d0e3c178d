"""Many sessions at a time: what the load generator made a stock client finds, and nothing of what it removed. And an MDS
that is busy with what was removed leaves when it is told to."""

import json
import os
import time

from harness.cluster import POOLS
from harness.spirula import BIN
from harness.suite import ClusterTest

COUNT, SESSIONS = 3_000, 12
SPARSE = 256 << 30  # bytes, of which none is written: 65,536 objects to look for


class MdsBusy(ClusterTest):
    def load(self, verb, *options):
        argv = [os.path.join(BIN, "mds-load"), "-c", self.cluster.conf, "--sessions", str(SESSIONS), *options, verb]
        return json.loads(self.world.client_program(argv))

    def files(self, mount):
        return sorted(f"{folder}/{name}" for folder in os.listdir(mount) if folder.startswith("load.")
                      for name in os.listdir(f"{mount}/{folder}"))

    def test_many_sessions_at_once(self):
        self.assertEqual(self.load("create", "--count", str(COUNT), "--seconds", "60")["operations"], COUNT)
        self.assertGreater(self.load("stat", "--seconds", "1")["operations"], 0)
        mount, process = self.world.mount_fuse("busy")
        try:
            found = self.files(mount)
            self.assertEqual(len(found), COUNT)
            self.assertEqual(len({path.split("/")[0] for path in found}), SESSIONS)
            self.assertEqual(self.load("unlink")["operations"], COUNT)
            self.assertEqual(self.files(mount), [])
            for folder in os.listdir(mount):
                if folder.startswith("load."):
                    os.rmdir(f"{mount}/{folder}")
        finally:
            self.world.unmount_fuse(mount, process)

    def test_leaves_while_it_purges(self):
        """What it had begun to remove the next one removes."""
        stock = self.cluster.software == "stock"
        size = SPARSE // 16 if stock else SPARSE  # a stock one takes minutes for the whole
        mount, process = self.world.mount_fuse("purges")
        try:
            with open(f"{mount}/sparse", "wb") as f:
                f.seek(size - 1)
                f.write(b"x")
                f.flush()
                os.fsync(f.fileno())
                last = f"{os.fstat(f.fileno()).st_ino:x}.{size // (4 << 20) - 1:08x}"
            os.unlink(f"{mount}/sparse")
            time.sleep(0.5)  # until the journal has it
            self.assertIn(last, self.objects())
            started = time.monotonic()
            self.cluster.stop("mds.a", seconds=60 if stock else 3)
            print(f"     left within {time.monotonic() - started:.1f} s")
            if not stock:
                self.assertIn(last, self.objects())
            self.cluster.start_all()
            self.assertNotIn("sparse", os.listdir(mount))
            deadline = time.monotonic() + 90
            while last in self.objects():
                self.assertLess(time.monotonic(), deadline, "an object of a removed file stays")
                time.sleep(0.5)
        finally:
            self.world.unmount_fuse(mount, process)

    def objects(self):
        return self.world.client("rados", "-p", POOLS[1], "ls").stdout.decode().split()
