"""`rados` against the OSD: what goes in comes out."""

import hashlib
import os
import random

from harness.suite import ClusterTest

#: Around every boundary that a store or a striper has, and one object of 100 MB.
SIZES = (0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 1 << 20, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, 10_000_000,
         100_000_000)


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


class RadosObjects(ClusterTest):
    def test_round_trips(self):
        pool = self.pool("round-trips")
        source, copy = self.world.scratch("source"), self.world.scratch("copy")
        dice = random.Random(1)
        for size in SIZES:
            with open(source, "wb") as f:
                f.write(dice.randbytes(size))
            self.world.client("rados", "-p", pool, "put", f"o{size}", source)
            self.world.client("rados", "-p", pool, "get", f"o{size}", copy)
            self.assertEqual(os.path.getsize(copy), size)
            self.assertEqual(digest(copy), digest(source), f"{size} bytes")
            said = self.world.client("rados", "-p", pool, "stat", f"o{size}").stdout.decode()
            self.assertTrue(said.strip().endswith(f"size {size}"), said)
        self.assertEqual(self.names(pool), {f"o{size}" for size in SIZES})

    def test_replace_and_remove(self):
        pool = self.pool("replace")
        source, copy = self.world.scratch("source"), self.world.scratch("copy")
        for text in (b"long " * 100_000, b"short"):
            with open(source, "wb") as f:
                f.write(text)
            self.world.client("rados", "-p", pool, "put", "object", source)
            self.world.client("rados", "-p", pool, "get", "object", copy)
            with open(copy, "rb") as f:
                self.assertEqual(f.read(), text)
        self.world.client("rados", "-p", pool, "rm", "object")
        self.assertEqual(self.names(pool), set())
        for verb in (("get", "object", copy), ("rm", "object"), ("stat", "object")):
            done = self.world.client("rados", "-p", pool, *verb, check=False)
            self.assertNotEqual(done.returncode, 0, verb)
            self.assertIn(b"No such file or directory", done.stdout + done.stderr)

    def test_attributes_and_omap(self):
        pool = self.pool("attributes")
        rados = lambda *words: self.world.client("rados", "-p", pool, *words).stdout
        rados("create", "object")
        rados("setxattr", "object", "colour", "blue")
        self.assertEqual(rados("getxattr", "object", "colour"), b"blue")
        self.assertEqual(rados("listxattr", "object").split(), [b"colour"])
        rados("rmxattr", "object", "colour")
        self.assertEqual(rados("listxattr", "object").split(), [])
        for index in range(5):
            rados("setomapval", "object", f"key{index}", f"value{index}")
        self.assertEqual(rados("listomapkeys", "object").split(), [b"key%d" % i for i in range(5)])
        self.assertIn(b"value3", rados("getomapval", "object", "key3"))
        rados("rmomapkey", "object", "key3")
        self.assertEqual(len(rados("listomapkeys", "object").split()), 4)

    def test_secure_connections(self):
        """The monitor's are secure by default; here those to the OSD are, too."""
        pool = self.pool("secure")
        source = self.world.scratch("source")
        text = random.Random(2).randbytes(5_000_001)
        with open(source, "wb") as f:
            f.write(text)
        secure = ("--ms-client-mode", "secure", "-p", pool)
        self.world.client("rados", *secure, "put", "object", source)
        self.assertEqual(self.world.client("rados", *secure, "get", "object", "-").stdout, text)
        crc = ("--ms-mon-client-mode", "crc", "--ms-client-mode", "crc", "-p", pool)
        self.assertEqual(self.world.client("rados", *crc, "get", "object", "-").stdout, text)

    def test_bench_and_list(self):
        pool = self.pool("bench")
        wrote = self.figure(self.bench(pool, "write", "-b", "4096", "-t", "16", "--no-cleanup"), "Total writes made")
        self.assertGreater(wrote, 0)
        names = {name for name in self.names(pool) if name.startswith("benchmark_data")}
        self.assertEqual(len(names), wrote, "every object written is listed once")
        self.assertGreater(self.figure(self.bench(pool, "rand", "-t", "16"), "Total reads made"), 0)
        self.world.client("rados", "-p", pool, "cleanup", timeout=120)
        self.assertEqual(self.names(pool), set())
        self.bench(pool, "write", "-b", str(4 << 20), "-t", "16", "--no-cleanup")
        self.assertGreater(self.figure(self.bench(pool, "seq", "-t", "16"), "Total reads made"), 0)
        self.world.client("rados", "-p", pool, "cleanup", timeout=120)

    def bench(self, pool, *words):
        return self.world.client("rados", "-p", pool, "bench", "2", *words, timeout=60).stdout.decode()

    def figure(self, text, name):
        for line in text.splitlines():
            if line.startswith(name):
                return int(line.split(":")[1])
        self.fail(f"no {name!r} in\n{text}")

    def names(self, pool):
        listed = self.world.client("rados", "-p", pool, "ls").stdout.decode().split()
        self.assertEqual(len(listed), len(set(listed)), "no name twice")
        return set(listed)
