"""The ceph.* attributes that a stock client shows and sets: statistics of folders, layouts of files and folders; and what is
no value for one."""

import errno
import os
import time

from harness.suite import ClusterTest

POOL = "cephfs.fs.data"
LAYOUT = {"stripe_unit": b"65536", "stripe_count": b"2", "object_size": b"1048576", "pool": POOL.encode(),
          "pool_namespace": b"apart"}


class VirtualXattrs(ClusterTest):
    def setUp(self):
        super().setUp()
        self.mount, self.process = self.world.mount_fuse("vxattrs")
        self.top = f"{self.mount}/vxattrs"
        os.makedirs(f"{self.top}/sub/below")
        for name, size in (("a", 10), ("sub/b", 200), ("sub/below/c", 3000)):
            with open(f"{self.top}/{name}", "wb") as f:
                f.write(b"x" * size)
                os.fsync(f.fileno())

    def tearDown(self):
        self.world.client_program(["/usr/bin/rm", "-r", self.top])
        self.world.unmount_fuse(self.mount, self.process)
        super().tearDown()

    def refused(self, number, path, name, value):
        with self.assertRaises(OSError) as raised:
            os.setxattr(path, name, value)
        self.assertEqual(raised.exception.errno, number, f"{name}={value}")

    def test_statistics(self):
        expected = {"entries": 2, "files": 1, "subdirs": 1, "rentries": 6, "rfiles": 3, "rsubdirs": 3, "rbytes": 3210}
        deadline = time.monotonic() + 20  # a stock MDS carries them up after a while
        while True:
            found = {name: int(os.getxattr(self.top, f"ceph.dir.{name}")) for name in expected}
            if found == expected or time.monotonic() > deadline:
                break
            os.utime(self.top)
            time.sleep(0.2)
        self.assertEqual(found, expected)
        age = time.time() - float(os.getxattr(self.top, "ceph.dir.rctime").split(b".")[0])
        self.assertLess(abs(age), 60)
        for name in ("ceph.dir.rbytes", "ceph.dir.nothing"):
            self.refused(errno.EINVAL if name.endswith("nothing") else errno.EOPNOTSUPP, self.top, name, b"1")

    def test_no_folder_has_a_quota(self):
        for name in ("ceph.quota", "ceph.quota.max_bytes", "ceph.quota.max_files"):
            with self.assertRaises(OSError, msg=name) as raised:
                os.getxattr(self.top, name)
            self.assertEqual(raised.exception.errno, errno.ENODATA, name)

    def test_quotas_and_pins_are_not_offered(self):
        if self.cluster.software == "stock":  # it has both
            return
        for name in ("ceph.quota", "ceph.quota.max_bytes", "ceph.quota.max_files", "ceph.dir.pin"):
            self.refused(errno.EOPNOTSUPP, self.top, name, b"max_bytes=1" if name == "ceph.quota" else b"1")
        with self.assertRaises(OSError) as raised:
            os.getxattr(self.top, "ceph.dir.pin")
        self.assertEqual(raised.exception.errno, errno.ENODATA)

    def test_layout_of_a_file(self):
        path = f"{self.top}/new"
        with open(path, "wb"):
            pass
        for field, value in LAYOUT.items():
            os.setxattr(path, f"ceph.file.layout.{field}", value)
        for field, value in LAYOUT.items():
            self.assertEqual(os.getxattr(path, f"ceph.file.layout.{field}"), value)
        whole = os.getxattr(path, "ceph.file.layout")
        for field, value in LAYOUT.items():
            self.assertIn(field.encode() + b"=" + value, whole)
        with open(path, "wb") as f:
            f.write(os.urandom(3 << 20))
        self.refused(errno.ENOTEMPTY, path, "ceph.file.layout.stripe_count", b"3")
        os.truncate(path, 0)
        for field, value in (("stripe_unit", b"100"), ("object_size", b"65537"), ("stripe_count", b"many"),
                             ("pool", b"no-such-pool"), ("colour", b"red")):
            with self.assertRaises(OSError, msg=field):
                os.setxattr(path, f"ceph.file.layout.{field}", value)

    def test_layout_of_a_folder_is_inherited(self):
        folder = f"{self.top}/laid"
        os.mkdir(folder)
        with self.assertRaises(OSError) as raised:
            os.getxattr(folder, "ceph.dir.layout")
        self.assertEqual(raised.exception.errno, errno.ENODATA)
        os.setxattr(folder, "ceph.dir.layout",
                    f"stripe_unit=65536 stripe_count=2 object_size=1048576 pool={POOL}".encode())
        os.setxattr(folder, "ceph.dir.layout.pool_namespace", b"apart")
        os.mkdir(f"{folder}/deeper")
        with open(f"{folder}/deeper/f", "wb") as f:
            f.write(os.urandom(100_000))
        for field, value in LAYOUT.items():
            self.assertEqual(os.getxattr(folder, f"ceph.dir.layout.{field}"), value)
            self.assertEqual(os.getxattr(f"{folder}/deeper/f", f"ceph.file.layout.{field}"), value)
        os.removexattr(folder, "ceph.dir.layout")
        with open(f"{folder}/plain", "wb"):
            pass
        self.assertEqual(os.getxattr(f"{folder}/plain", "ceph.file.layout.object_size"), b"4194304")
