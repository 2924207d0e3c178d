"""Who has no business here is told so."""

from harness import keys
from harness.guest import Guest
from harness.network import SERVER
from harness.suite import ClusterTest


class Refused(ClusterTest):
    def test_wrong_key(self):
        self.refused("client.admin", keys.make_key())

    def test_unknown_name(self):
        self.refused("client.nobody", keys.make_key())

    def test_no_key(self):
        done = self.world.client("rados", "--keyring", "/nonexistent", "lspools", check=False, timeout=40)
        self.assertNotEqual(done.returncode, 0)

    def test_wrong_key_ceph_fuse(self):
        with self.assertRaises(AssertionError):
            self.world.mount_fuse("refused", "--keyring", self.keyring("client.admin", keys.make_key()))

    def test_wrong_key_kernel(self):
        script = """
mkdir -p /mnt
for mode in crc secure; do
  mount -t ceph {server}:3300:/ /mnt -o name=admin,secret={key},ms_mode=$mode,mount_timeout=8 && fail "mounted"
  say refused $mode
done
dmesg | grep -c 'authentication failed: -13' | grep -q 2 || fail "not told why"
"""
        guest = Guest(self.world.netns, script.format(server=SERVER, key=keys.make_key()), mark=self.world.folder)
        self.assertIn(("refused", "secure"), guest.run(deadline=60))
        self.world.client("rados", "lspools")  # who has the right key is served as before

    def test_caps_are_enforced(self):
        """A key that may only read reads, and cannot write."""
        pool = self.pool("caps")
        source = self.world.scratch("source")
        with open(source, "wb") as f:
            f.write(b"text")
        self.world.client("rados", "-p", pool, "put", "object", source)
        given = self.world.client("ceph", "auth", "get-or-create", "client.reader", "mon", "allow r", "osd", "allow r")
        keyring = self.world.scratch("reader.keyring")
        with open(keyring, "wb") as f:
            f.write(given.stdout)
        as_reader = ("--keyring", keyring, "--name", "client.reader", "-p", pool)
        self.assertEqual(self.world.client("rados", *as_reader, "get", "object", "-").stdout, b"text")
        done = self.world.client("rados", *as_reader, "put", "object", source, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"not permitted", done.stdout + done.stderr)

    def refused(self, name, key):
        done = self.world.client("rados", "--keyring", self.keyring(name, key), "--name", name, "lspools", check=False,
                                 timeout=40)
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn(b"cephfs", done.stdout)
        words = done.stdout + done.stderr
        self.assertIn(b"handle_auth_bad_method", words)  # told no, not left waiting

    def keyring(self, name, key):
        path = self.world.scratch("wrong.keyring")
        keys.write_keyring(path, {name: key})
        return path
