"""ceph-fuse against the MDS: a tree copied in, read by another client, changed, removed."""

import json
import os
import subprocess
import time

from harness import trees
from harness.cluster import POOLS
from harness.suite import ClusterTest

FILES = 3000


class FuseTree(ClusterTest):
    def test_copy_remount_compare(self):
        source = trees.make(self.world.scratch("tree"), FILES)
        expected = trees.describe(source)
        mount, client = self.world.mount_fuse()
        before = os.listdir(mount)
        self.tool("cp", "-a", source, mount + "/tree")
        self.world.unmount_fuse(mount, client)

        mount, client = self.world.mount_fuse()
        self.same(expected, trees.describe(mount + "/tree"))
        self.tool("rm", "-rf", mount + "/tree")
        self.assertEqual(os.listdir(mount), before)
        self.world.unmount_fuse(mount, client)

        mount, client = self.world.mount_fuse()
        self.assertEqual(os.listdir(mount), before)
        self.world.unmount_fuse(mount, client)

    def test_everyday_changes(self):
        """Each call's effect is seen by a second client while the first stays mounted."""
        mount, client = self.world.mount_fuse("one")
        other, second = self.world.mount_fuse("two")
        here, there = mount + "/changes", other + "/changes"
        os.mkdir(here)
        with open(here + "/file", "wb") as f:
            f.write(b"0123456789" * 1000)
        with open(there + "/file", "rb") as f:
            self.assertEqual(f.read(), b"0123456789" * 1000)
        os.truncate(here + "/file", 5)
        self.assertEqual(os.stat(there + "/file").st_size, 5)
        with open(there + "/file", "ab") as f:
            f.write(b"+there")
        with open(here + "/file", "rb") as f:
            self.assertEqual(f.read(), b"01234+there")
        os.truncate(there + "/file", 5_000_000)
        with open(here + "/file", "rb") as f:
            self.assertEqual(f.read(), b"01234+there" + bytes(5_000_000 - 11))
        os.mkdir(there + "/sub")
        os.rename(here + "/file", here + "/sub/moved")
        self.assertEqual(sorted(os.listdir(there)), ["sub"])
        self.assertEqual(os.listdir(there + "/sub"), ["moved"])
        with open(here + "/other", "w") as f:
            f.write("other")
        os.rename(there + "/other", there + "/sub/moved")  # over an existing file
        with open(here + "/sub/moved") as f:
            self.assertEqual(f.read(), "other")
        os.chmod(here + "/sub/moved", 0o640)
        os.utime(here + "/sub/moved", ns=(1, 2_000_000_003))
        os.setxattr(here + "/sub/moved", "user.key", b"value")
        status = os.stat(there + "/sub/moved")
        self.assertEqual((status.st_mode & 0o777, status.st_mtime_ns), (0o640, 2_000_000_003))
        self.assertEqual(os.getxattr(there + "/sub/moved", "user.key"), b"value")
        os.removexattr(there + "/sub/moved", "user.key")
        self.assertEqual(os.listxattr(here + "/sub/moved"), [])
        os.symlink("sub/moved", here + "/link")
        self.assertEqual(os.readlink(there + "/link"), "sub/moved")
        with self.assertRaises(FileExistsError):
            os.mkdir(there + "/sub")
        with self.assertRaises(OSError):
            os.rmdir(there + "/sub")
        with self.assertRaises(FileNotFoundError):
            os.stat(there + "/missing")
        os.unlink(there + "/sub/moved")
        os.unlink(there + "/link")
        os.rmdir(there + "/sub")
        self.assertEqual(os.listdir(here), [])
        os.rmdir(here)
        self.world.unmount_fuse(other, second)
        self.world.unmount_fuse(mount, client)

    def test_snapshots_are_not_there(self):
        """Their folder is, as the protocol has it: empty, and nothing can be made in it."""
        mount, client = self.world.mount_fuse()
        os.mkdir(mount + "/snapless")
        for folder in (mount, mount + "/snapless"):
            self.assertNotIn(".snap", os.listdir(folder))
            self.assertEqual(os.listdir(folder + "/.snap"), [])
            self.assertTrue(os.path.isdir(folder + "/.snap"))
            if not self.stock:
                with self.assertRaises(PermissionError):
                    os.mkdir(folder + "/.snap/one")
            with self.assertRaises(FileNotFoundError):
                os.stat(folder + "/.snap/one")
            with self.assertRaises(OSError):
                os.rmdir(folder + "/.snap/one")
            with self.assertRaises(OSError):
                os.close(os.open(folder + "/.snap/file", os.O_CREAT | os.O_WRONLY))
            self.assertEqual(os.listdir(folder + "/.snap"), [])
        os.rmdir(mount + "/snapless")
        self.world.unmount_fuse(mount, client)

    def test_space_is_that_of_the_data_pool(self):
        mount, client = self.world.mount_fuse()
        with open(mount + "/space", "wb") as f:
            f.write(os.urandom(8 << 20))
            os.fsync(f.fileno())
        deadline = time.monotonic() + 30
        while True:  # the OSD tells the monitor every now and then; both have to be asked between two such moments
            space, df = os.statvfs(mount), json.loads(self.world.client("ceph", "df", "-f", "json").stdout)
            pool = next((p["stats"] for p in df["pools"] if p["name"] == POOLS[1]), {"stored": 0, "max_avail": 0})
            found = {"used": (space.f_blocks - space.f_bfree) * space.f_frsize, "left": space.f_bavail * space.f_frsize}
            expected = {"used": pool["stored"], "left": pool["max_avail"]}
            if self.stock or expected["used"] >= 8 << 20 and all(
                    abs(found[key] - expected[key]) <= 2 * space.f_frsize for key in found):
                break
            self.assertLess(time.monotonic(), deadline, f"{found}, and ceph df says {expected}")
            time.sleep(0.5)
        self.assertEqual(space.f_bfree, space.f_bavail)
        self.assertEqual(space.f_namemax, 255)
        os.unlink(mount + "/space")
        self.world.unmount_fuse(mount, client)

    @property
    def stock(self):
        """Then snapshots can be made; and nobody counts space without a manager."""
        return self.cluster.software == "stock"

    def same(self, expected, found):
        lines = trees.differences(expected, found)
        if lines:
            self.fail("\n".join(lines))

    def tool(self, *argv):
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, text=True)
        self.assertEqual(done.returncode, 0, done.stdout[-2000:])
