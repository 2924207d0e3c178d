"""Every daemon is killed in the middle of writing and started again: what was acknowledged or fsynced is there."""

import os
import signal
import subprocess
import time

from harness import file_history, rados_history
from harness.suite import ClusterTest

PYTHON = ("/usr/bin/python3", "-B")
BEFORE = 3  # seconds of writing before the kill


class Crash(ClusterTest):
    def test_rados_client_dies_too(self):
        self.rados(client_lives=False)

    def test_rados_client_lives(self):
        """It sends again what was not acknowledged, and nothing happens twice."""
        self.rados(client_lives=True)

    def test_fuse_client_dies_too(self):
        self.fuse(client_lives=False)

    def test_fuse_client_lives(self):
        self.fuse(client_lives=True)

    def rados(self, client_lives):
        pool = self.pool(f"crash-{client_lives}")
        log = self.world.scratch(f"rados-{client_lives}.log")
        writer = self.start_writer(rados_history, self.cluster.conf, pool, log)
        self.crash(log, writer, [] if client_lives else [writer])
        self.check(rados_history, self.cluster.conf, pool, log)

    def fuse(self, client_lives):
        mount, client = self.world.mount_fuse("crash")
        folder, log = f"{mount}/crash-{client_lives}", self.world.scratch(f"fuse-{client_lives}.log")
        writer = self.start_writer(file_history, folder, log)
        self.crash(log, writer, [] if client_lives else [writer, client])
        self.world.unmount_fuse(mount, client)
        mount, client = self.world.mount_fuse("crash")
        self.check(file_history, folder, log)
        self.world.unmount_fuse(mount, client)

    def start_writer(self, module, *words):
        return self.world.spawn([*PYTHON, module.__file__, "write", *words], "writer")

    def crash(self, log, writer, clients):
        """Kills the daemons and `clients` while the writer is busy, and starts the daemons again. A writer that was
        not killed has to come to its end."""
        self.wait_for_lines(log, 30)
        time.sleep(BEFORE)
        for process in clients:
            process.signal(9)
        self.cluster.kill()
        before = len(self.lines(log))
        self.cluster.start_all()
        if clients:
            self.assertTrue(all(process.wait(10) for process in clients))
            return
        self.wait_for_lines(log, before + 100)
        writer.signal(signal.SIGTERM)
        self.assertTrue(writer.wait(90), f"the writer hangs; its last lines: {self.lines(log)[-3:]}")
        self.assertEqual(self.lines(log)[-1], "end", self.world.output_of("writer")[-2000:])

    def lines(self, log):
        if not os.path.exists(log):
            return []
        with open(log) as f:
            return f.read().splitlines()

    def wait_for_lines(self, log, count):
        deadline = time.monotonic() + 60
        while len(self.lines(log)) < count:
            self.assertLess(time.monotonic(), deadline,
                            f"the writer does not get on: {len(self.lines(log))} lines, the last "
                            f"{self.lines(log)[-3:]}\n{self.world.output_of('writer')[-2000:]}")
            time.sleep(0.05)

    def check(self, module, *words):
        done = subprocess.run([*self.world.inside(), *PYTHON, module.__file__, "check", *words], text=True, timeout=90,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout[-2000:])
        print("     " + done.stdout.splitlines()[-1])
