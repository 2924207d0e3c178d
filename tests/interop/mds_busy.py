"""Many sessions at a time: what the load generator made a stock client finds, and nothing of what it removed."""

import json
import os

from harness.spirula import BIN
from harness.suite import ClusterTest

COUNT, SESSIONS = 3_000, 12


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
