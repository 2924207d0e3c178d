"""ceph-fuse against the MDS: a tree copied in, read by another client, changed, removed."""

import os
import subprocess

from harness import trees
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

    def same(self, expected, found):
        lines = trees.differences(expected, found)
        if lines:
            self.fail("\n".join(lines))

    def tool(self, *argv):
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, text=True)
        self.assertEqual(done.returncode, 0, done.stdout[-2000:])
