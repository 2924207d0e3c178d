"""ceph-fuse at the edges: many names, long names, deep folders, little memory in the MDS, clients that die, a full disk."""

import errno
import json
import os
import subprocess
import time

from harness.spirula import SpirulaCluster
from harness.suite import ClusterTest

SLOW = bool(os.environ.get("SPIRULA_SLOW"))
FILES = 16_000 if SLOW else 8_000  # with little memory each costs a look at the stored folder
NAMES = 100_000 if SLOW else 3_000
DEEP = 1_000 if SLOW else 300
MIB = 1 << 20


class FuseLimits(ClusterTest):
    def admin(self, *words, daemon="mds.a"):
        """The answer of the daemon's admin socket."""
        done = subprocess.run(["ceph", "--admin-daemon", self.cluster.path("run", f"ceph-{daemon}.asok"), *words],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
        self.assertEqual(done.returncode, 0, done.stdout[-500:])
        return json.loads(done.stdout)

    def tool(self, *argv):
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, text=True)
        self.assertEqual(done.returncode, 0, done.stdout[-2000:])

    def restart_mds(self, *names):
        self.cluster.kill(*(names or self.cluster.mds_names()))
        self.cluster.start_all()

    def with_small_memory(self, size):
        """The MDS starts again with this bound on its memory, until the end of the test."""
        with open(self.cluster.conf) as f:
            before = f.read()
        self.cluster.write_file("ceph.conf", before + f"\n[mds]\nmds cache memory limit = {size}\n")

        def back():
            if self.world.current is not self.cluster:  # the test has failed
                return
            self.cluster.write_file("ceph.conf", before)
            self.restart_mds()

        self.addCleanup(back)
        self.restart_mds()

    def test_a_folder_larger_than_the_mds_may_keep(self):
        self.with_small_memory("2M")
        mount, client = self.world.mount_fuse("large")
        folder = mount + "/large"
        os.mkdir(folder)
        for i in range(FILES):
            os.close(os.open(f"{folder}/file-{i}", os.O_CREAT | os.O_WRONLY, 0o600))
        expected = {f"file-{i}" for i in range(FILES)}
        names = os.listdir(folder)
        self.assertEqual(len(names), FILES, "nothing twice")
        self.assertEqual(set(names), expected)
        with self.assertRaises(FileExistsError):
            os.mkdir(folder + "/file-1")
        if isinstance(self.cluster, SpirulaCluster):
            # What the client gives back when asked is dropped.
            deadline = time.monotonic() + 60
            while (memory := self.admin("perf", "dump")["mds"])["cache_bytes"] > 2 * MIB:
                self.assertLess(time.monotonic(), deadline, memory)
                time.sleep(0.5)
            self.assertGreater(memory["dropped"], FILES / 2)
        self.world.unmount_fuse(mount, client)
        self.restart_mds()
        mount, client = self.world.mount_fuse("large")
        self.assertEqual(set(os.listdir(folder)), expected)
        for i in range(0, FILES, 97):
            self.assertEqual(os.stat(f"{folder}/file-{i}").st_mode & 0o777, 0o600)
        with self.assertRaises(FileNotFoundError):
            os.stat(folder + "/none")
        self.tool("rm", "-r", folder)
        self.assertFalse(os.path.exists(folder))
        self.world.unmount_fuse(mount, client)

    def test_many_names_in_one_folder(self):
        mount, client = self.world.mount_fuse("many")
        folder = mount + "/many"
        os.mkdir(folder)
        here = os.open(folder, os.O_DIRECTORY)
        for i in range(NAMES):
            os.close(os.open(str(i), os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=here))
        os.close(here)
        self.world.unmount_fuse(mount, client)
        self.restart_mds()
        mount, client = self.world.mount_fuse("many")
        names = os.listdir(folder)
        self.assertEqual(len(names), NAMES)
        self.assertEqual(set(names), {str(i) for i in range(NAMES)})
        self.assertEqual(int(os.getxattr(folder, "ceph.dir.rfiles")), NAMES)
        for i in range(0, NAMES, 997):
            os.unlink(f"{folder}/{i}")
        self.assertEqual(len(os.listdir(folder)), NAMES - len(range(0, NAMES, 997)))
        self.world.unmount_fuse(mount, client)

    def test_deep_folders(self):
        mount, client = self.world.mount_fuse("deep")
        here = os.open(mount, os.O_DIRECTORY)
        for i in range(DEEP):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.close(here)
        self.world.unmount_fuse(mount, client)
        self.restart_mds()
        mount, client = self.world.mount_fuse("deep")
        self.assertTrue(os.path.exists(mount + "/d" * DEEP + "/bottom"))
        self.tool("rm", "-r", mount + "/d")
        self.assertFalse(os.path.exists(mount + "/d"))
        self.world.unmount_fuse(mount, client)

    def test_names_of_all_kinds(self):
        mount, client = self.world.mount_fuse("names")
        folder = os.fsencode(mount) + b"/names"
        os.mkdir(folder)
        every_byte = bytes(b for b in range(1, 256) if b != ord("/"))
        names = {every_byte, b"x" * 255, b"\xff" * 255, "ß".encode() * 127, b" ", b"-", b"\n", b"..." * 85, b"a\\b"}
        for name in names:
            with open(folder + b"/" + name, "wb") as f:
                f.write(name)
        for too_long in (b"x" * 256, b"\xc3\x9f" * 128):
            with self.assertRaises(OSError) as raised:
                os.mkdir(folder + b"/" + too_long)
            self.assertEqual(raised.exception.errno, errno.ENAMETOOLONG)
        self.world.unmount_fuse(mount, client)
        self.restart_mds()
        mount, client = self.world.mount_fuse("names")
        self.assertEqual(set(os.listdir(folder)), names)
        for name in names:
            with open(folder + b"/" + name, "rb") as f:
                self.assertEqual(f.read(), name)
        self.tool("rm", "-r", os.fsdecode(folder))
        self.world.unmount_fuse(mount, client)

    def test_what_an_evicted_client_wrote_is_there(self):
        """Its data had reached the OSDs, and how long the file is it never told."""
        mount, client = self.world.mount_fuse("dies", "--client_oc=false")
        other, survivor = self.world.mount_fuse("lives")
        path = mount + "/evicted"
        open(path, "w").close()
        self.assertTrue(os.path.exists(other + "/evicted"))
        fd = os.open(path, os.O_WRONLY)
        for _ in range(5):
            os.write(fd, b"x" * MIB)
        os.write(fd, b"end")
        client.signal(9)
        self.assertTrue(client.wait(10))
        subprocess.run(["umount", "-l", mount], check=True)
        if isinstance(self.cluster, SpirulaCluster):
            sessions = self.admin("session", "ls")
            self.assertEqual(len(sessions), 2)
            dead = next(s["id"] for s in sessions if s["client_metadata"].get("mount_point") == mount)
            self.admin("session", "evict", str(dead))
        self.assertEqual(os.stat(other + "/evicted").st_size, 5 * MIB + 3)
        with open(other + "/evicted", "rb") as f:
            f.seek(-3, os.SEEK_END)
            self.assertEqual(f.read(), b"end")
        os.unlink(other + "/evicted")
        self.world.unmount_fuse(other, survivor)

    def test_a_key_for_one_folder(self):
        mount, client = self.world.mount_fuse("whole")
        for name in ("mine", "other"):
            os.mkdir(f"{mount}/{name}")
            with open(f"{mount}/{name}/file", "w") as f:
                f.write(name)
        ring = self.world.scratch("limited.keyring")
        got = self.world.client("ceph", "auth", "get-or-create", "client.limited", "mon", "allow r", "mds",
                                "allow rw path=/mine", "osd", "allow rw pool=cephfs_data, allow rw tag cephfs data=*")
        with open(ring, "wb") as f:
            f.write(got.stdout)
        limited, second = self.world.mount_fuse("limited", "-n", "client.limited", "-k", ring, "-r", "/mine")
        with open(limited + "/file") as f:
            self.assertEqual(f.read(), "mine")
        with open(limited + "/new", "w") as f:
            f.write("new")
        self.assertEqual(sorted(os.listdir(mount + "/mine")), ["file", "new"])
        self.world.unmount_fuse(limited, second)
        with self.assertRaises(AssertionError):  # the root is not for it
            self.world.mount_fuse("limited", "-n", "client.limited", "-k", ring)
        self.tool("rm", "-r", mount + "/mine", mount + "/other")
        self.world.unmount_fuse(mount, client)

    def test_a_full_file_system_can_be_emptied(self):
        """Full is what the monitor says it is: the ratio is lowered to a little above what is used."""

        def space():
            """(all, used) bytes."""
            if isinstance(self.cluster, SpirulaCluster):
                stats = json.loads(self.world.client("ceph", "df", "-f", "json").stdout)["stats"]
                return stats["total_bytes"], stats["total_used_raw_bytes"]
            osd = self.admin("perf", "dump", daemon="osd.0")["osd"]  # a stock monitor has it from a manager only
            return osd["stat_bytes"], osd["stat_bytes_used"]

        def data_objects():
            return len(self.world.client("rados", "-p", "cephfs.fs.data", "ls").stdout.splitlines())

        def wait_until(condition, complaint):
            deadline = time.monotonic() + 60
            while not condition():
                self.assertLess(time.monotonic(), deadline, complaint)
                time.sleep(0.5)

        mount, client = self.world.mount_fuse("full")
        os.mkdir(mount + "/full")
        wait_until(lambda: space()[0], "the OSD does not say how large it is")
        before, (total, used) = data_objects(), space()
        for name, above in (("nearfull", 0.003), ("backfillfull", 0.006), ("full", 0.01)):
            self.world.client("ceph", "osd", f"set-{name}-ratio", f"{used / total + above:.4f}")
        try:
            raised = None
            for i in range(100):
                try:
                    with open(f"{mount}/full/{i}", "wb") as f:
                        f.write(os.urandom(4 * MIB))
                        f.flush()
                        os.fsync(f.fileno())
                except OSError as error:
                    raised = error.errno
                    break
                time.sleep(0.2)  # the monitor hears of it every now and then
            self.assertEqual(raised, errno.ENOSPC)
            self.tool("rm", "-r", mount + "/full")
            self.assertFalse(os.path.exists(mount + "/full"))
            wait_until(lambda: data_objects() <= before, "the objects of removed files do not go")
        finally:
            for name, ratio in (("full", 0.95), ("backfillfull", 0.9), ("nearfull", 0.85)):
                self.world.client("ceph", "osd", f"set-{name}-ratio", ratio)

        def writes():
            try:
                with open(f"{mount}/again", "wb") as f:
                    f.write(b"again")
                    f.flush()
                    os.fsync(f.fileno())
                return True
            except OSError as error:
                self.assertEqual(error.errno, errno.ENOSPC)
                return False

        wait_until(writes, "nothing can be written again")
        os.unlink(mount + "/again")
        self.world.unmount_fuse(mount, client)
