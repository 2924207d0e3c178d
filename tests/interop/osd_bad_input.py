"""What an OSD has to survive: connections by the thousand, a client that stops reading, a second daemon with its id, a
store of another cluster. It answers everybody else meanwhile and holds no more memory than it may."""

import random
import re
import signal
import subprocess
import time

from harness.suite import ClusterTest

CONNECTIONS = 1000
#: Resident MiB of the OSD whatever is done to it. At most 36 MiB of
#: requests and of answers to them are under way, and 16 MiB and those wait for each client that takes none.
MIB_MAX = 300

#: Through librados itself, as python3-rados takes no names of any bytes: classes and methods nobody has, and omap keys
#: that come back as they were given, in order. Prints what a client sees.
ANY_BYTES = r"""
import ctypes, random, sys
rados, ptr = ctypes.CDLL("librados.so.2"), ctypes.c_void_p
rados.rados_ioctx_create.argtypes = [ptr, ctypes.c_char_p, ptr]
cluster, io = ptr(), ptr()
def good(result):
    assert result >= 0, result
good(rados.rados_create(ctypes.byref(cluster), b"admin"))
good(rados.rados_conf_read_file(cluster, sys.argv[1].encode()))
good(rados.rados_connect(cluster))
good(rados.rados_ioctx_create(cluster, sys.argv[2].encode(), ctypes.byref(io)))
good(rados.rados_write_full(io, b"o", b"text", ctypes.c_size_t(4)))
dice = random.Random(5)
def name(length):
    return bytes(dice.randrange(1, 256) for _ in range(length))
answers = set()
for number in range(300):
    cls, method = name(dice.choice((0, 1, 7, 100, 255))), name(dice.choice((0, 1, 7, 100, 255)))
    if number % 3 == 0:
        cls = b"lock"
    out = ctypes.create_string_buffer(64)
    answers.add(rados.rados_exec(io, b"o", cls, method, dice.randbytes(30), ctypes.c_size_t(30), out, ctypes.c_size_t(64)))
print("exec", sorted(answers))
for call in ("rados_create_write_op", "rados_create_read_op"):
    getattr(rados, call).restype = ptr
def arrays(values):
    count = len(values)
    keep = [ctypes.create_string_buffer(value, len(value) + 1) for value in values]
    pointers = (ctypes.c_char_p * count)(*(ctypes.cast(each, ctypes.c_char_p) for each in keep))
    return keep, pointers, (ctypes.c_size_t * count)(*map(len, values)), ctypes.c_size_t(count)
model = {bytes([byte]): b"one" for byte in range(256)}
model.update({dice.randbytes(dice.randrange(1, 2000)): dice.randbytes(dice.randrange(200)) for _ in range(300)})
model[b"\0" * 50 + b"/../%\xff"] = b""
keys, values = list(model), list(model.values())
def change(call, *more):
    op = ptr(rados.rados_create_write_op())
    keep = [arrays(each) for each in more]
    if len(more) == 2:
        call(op, keep[0][1], keep[1][1], keep[0][2], keep[1][2], keep[0][3])
    else:
        call(op, keep[0][1], keep[0][2], keep[0][3])
    good(rados.rados_write_op_operate(op, io, b"o", None, 0))
def listed():
    # All at once: where to go on is a C string, which no key with a zero byte fits into.
    op, it, more, result = ptr(rados.rados_create_read_op()), ptr(), ctypes.c_ubyte(), ctypes.c_int()
    rados.rados_read_op_omap_get_vals2(op, b"", b"", ctypes.c_uint64(100000), ctypes.byref(it), ctypes.byref(more),
                                       ctypes.byref(result))
    good(rados.rados_read_op_operate(op, io, b"o", 0))
    good(result.value)
    found = {}
    while True:
        key, value, key_size, size = ptr(), ptr(), ctypes.c_size_t(), ctypes.c_size_t()
        good(rados.rados_omap_get_next2(it, ctypes.byref(key), ctypes.byref(value), ctypes.byref(key_size),
                                        ctypes.byref(size)))
        if not key.value:
            break
        found[ctypes.string_at(key, key_size.value)] = ctypes.string_at(value, size.value) if size.value else b""
    return found, bool(more.value)
change(rados.rados_write_op_omap_set2, keys, values)
print("set", listed() == (model, False), len(model))
gone = keys[::2]
change(rados.rados_write_op_omap_rm_keys2, gone)
print("removed", listed() == ({key: model[key] for key in keys[1::2]}, False))
"""

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

    def test_names_and_keys_of_any_bytes(self):
        said = self.world.client_program(["/usr/bin/python3", "-c", ANY_BYTES, self.cluster.conf, self.io])
        # As a stock OSD: EOPNOTSUPP, and EPERM for a class without a name.
        self.assertEqual(said.splitlines(), ["exec [-95, -1]", "set True 557", "removed True"])

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

    def test_a_second_daemon_with_its_id_and_a_store_of_its_own(self):
        """The monitor refuses it, and it ends; the first one goes on."""
        data = self.cluster.make_btrfs("twin", self.cluster.make_loop("twin.img", 2 << 30))
        own = ["--osd-data", data, "--osd-journal", self.cluster.make_loop("twin.journal.img", 256 << 20)]
        made = self.start_another(None, "--mkfs", *own)
        self.assertEqual(made.returncode, 0, made.stdout)
        done = self.start_another(None, *own)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"the monitor refuses us", done.stdout)
        (osd,) = self.cluster.ask(prefix="osd dump")["osds"]
        self.assertEqual((osd["osd"], osd["up"]), (0, 1))

    def test_a_store_of_another_cluster(self):
        conf = self.world.scratch("another.conf")
        with open(self.cluster.conf) as f:
            text = f.read()
        with open(conf, "w") as f:
            f.write(text.replace(self.cluster.fsid, "01234567-89ab-cdef-0123-456789abcdef"))
        done = self.start_another(conf)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"cluster", done.stdout)

    def start_another(self, conf=None, *more):
        argv = self.cluster.daemon_argv("osd.0")
        if conf:
            argv[argv.index("-c") + 1] = conf
        return subprocess.run([*self.world.inside(), *argv, *more, "--log-file", "", "--admin-socket", ""], timeout=30,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
