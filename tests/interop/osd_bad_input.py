"""What an OSD has to survive: connections by the thousand, a client that stops reading, a second daemon with its id, a
store of another cluster. It answers everybody else meanwhile and holds no more memory than it may."""

import random
import re
import signal
import subprocess
import time

from harness.suite import ClusterTest

CONNECTIONS = 1000
#: Resident MiB of the OSD whatever is done to it. The messenger holds 80 MiB of requests, a session's queue is bounded.
MIB_MAX = 400

#: Opens connections, says nothing, half a banner or nonsense on them, prints, and waits to be killed.
CROWD = r"""
import os, random, resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
kept, dice = [], random.Random(1)
for number in range(count):
    each = socket.create_connection((host, port), timeout=20)
    kept.append(each)
    each.sendall((b"", b"ceph v2\n", b"ceph v2\n" + dice.randbytes(200), dice.randbytes(64))[number % 4])
print("open", flush=True)
time.sleep(600)
"""


class OsdBadInput(ClusterTest):
    def setUp(self):
        super().setUp()
        self.io = self.pool(self._testMethodName.replace("_", "-"))
        self.source = self.world.scratch(self._testMethodName)
        with open(self.source, "wb") as f:
            f.write(random.Random(1).randbytes(8 << 20))
        self.before = self.cluster.process("osd.0")
        self.put_and_get("before")

    def tearDown(self):
        osd = self.cluster.process("osd.0")
        self.assertEqual(osd and osd.pid, self.before.pid, "the OSD is another one")
        self.put_and_get("after")
        self.assertLess(osd.memory_mib("VmHWM"), MIB_MAX)

    def put_and_get(self, name):
        self.world.client("rados", "-p", self.io, "put", name, self.source)
        with open(self.source, "rb") as f:
            self.assertEqual(self.world.client("rados", "-p", self.io, "get", name, "-").stdout, f.read())

    def test_thousand_connections(self):
        dump = self.cluster.ask(prefix="osd dump")["osds"][0]
        host, port = re.search(r"([\d.]+):(\d+)", str(dump["public_addrs"])).groups()
        crowd = self.world.spawn(["/usr/bin/python3", "-c", CROWD, host, port, str(CONNECTIONS)], "crowd")
        deadline = time.monotonic() + 60
        while "open" not in self.world.output_of("crowd"):
            self.assertTrue(crowd.alive(), self.world.output_of("crowd"))
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        self.put_and_get("meanwhile")
        crowd.signal(signal.SIGKILL)
        self.assertTrue(crowd.wait(10))

    def test_a_client_that_stops_reading(self):
        self.world.client("rados", "-p", self.io, "bench", "2", "write", "-b", str(4 << 20), "-t", "4", "--no-cleanup")
        readers = [self.world.spawn(["rados", "-c", self.cluster.conf, "-p", self.io, "bench", "60", "rand", "-t", "32"],
                                    f"reader{number}") for number in range(3)]
        time.sleep(2)
        for reader in readers:
            self.assertTrue(reader.alive())
            reader.signal(signal.SIGSTOP)
        time.sleep(1)
        for _ in range(3):
            self.put_and_get("meanwhile")
        for reader in readers:
            reader.signal(signal.SIGKILL)
            self.assertTrue(reader.wait(10))

    def test_a_second_daemon_with_its_id(self):
        """On the same store it is refused by the store; the first one goes on."""
        done = self.start_another()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"busy", done.stdout)

    def test_a_store_of_another_cluster(self):
        conf = self.world.scratch("another.conf")
        with open(self.cluster.conf) as f:
            text = f.read()
        with open(conf, "w") as f:
            f.write(text.replace(self.cluster.fsid, "01234567-89ab-cdef-0123-456789abcdef"))
        done = self.start_another(conf)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"cluster", done.stdout)

    def start_another(self, conf=None):
        argv = self.cluster.daemon_argv("osd.0")
        if conf:
            argv[argv.index("-c") + 1] = conf
        return subprocess.run([*self.world.inside(), *argv, "--log-file", "", "--admin-socket", ""], timeout=30,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
