"""The commands of the thin line through the stock `ceph`."""

import json

from harness.suite import ClusterTest


class Commands(ClusterTest):
    def ceph(self, *words, check=True):
        return self.world.client("ceph", *words, check=check)

    def json(self, *words):
        return json.loads(self.ceph(*words, "--format", "json").stdout)

    def test_status(self):
        text = self.ceph("-s").stdout.decode()
        self.assertIn(self.cluster.fsid, text)
        self.assertIn("1 osds: 1 up", text)
        status = self.json("status")
        self.assertEqual(status["fsid"], self.cluster.fsid)
        self.assertEqual(status["osdmap"]["num_up_osds"], 1)
        self.assertIn(status["health"]["status"], ("HEALTH_OK", "HEALTH_WARN"))

    def test_osd_tree(self):
        text = self.ceph("osd", "tree").stdout.decode()
        self.assertRegex(text, r"root default")
        self.assertRegex(text, r"osd\.0\s+up")
        nodes = {node["name"]: node for node in self.json("osd", "tree")["nodes"]}
        self.assertEqual((nodes["osd.0"]["type"], nodes["osd.0"]["status"]), ("osd", "up"))
        self.assertEqual(nodes["default"]["type"], "root")

    def test_pools(self):
        said = self.ceph("osd", "pool", "create", "made", "8")
        self.assertIn(b"pool 'made' created", said.stdout + said.stderr)
        self.assertIn("made", self.ceph("osd", "pool", "ls").stdout.decode().split())
        self.assertIn("made", self.json("osd", "pool", "ls"))
        self.assertEqual(self.json("osd", "pool", "get", "made", "pg_num")["pg_num"], 8)
        self.ceph("osd", "pool", "set", "made", "nodelete", "1")
        details = {pool["pool_name"]: pool for pool in self.json("osd", "pool", "ls", "detail")}
        self.assertIn("nodelete", details["made"]["flags_names"])
        self.assertEqual(details["made"]["size"], 1)
        again = self.ceph("osd", "pool", "create", "made", "8")  # not an error
        self.assertIn(b"already exists", again.stdout + again.stderr)
        refused = self.ceph("osd", "pool", "set", "made", "nonsense", "1", check=False)
        self.assertNotEqual(refused.returncode, 0)
        missing = self.ceph("osd", "pool", "set", "missing", "nodelete", "1", check=False)
        self.assertEqual(missing.returncode, 2, "ENOENT")

    def test_file_systems(self):
        text = self.ceph("fs", "ls").stdout.decode()
        self.assertIn("name: fs, metadata pool: cephfs.fs.meta, data pools: [cephfs.fs.data ]", text)
        (found,) = self.json("fs", "ls")
        self.assertEqual((found["name"], found["data_pools"]), ("fs", ["cephfs.fs.data"]))
        refused = self.ceph("fs", "new", "fs", "missing-meta", "missing-data", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("up:active", self.ceph("mds", "stat").stdout.decode())

    def test_auth_get_or_create(self):
        first = self.ceph("auth", "get-or-create", "client.made", "mon", "allow r").stdout.decode()
        self.assertIn("[client.made]", first)
        self.assertEqual(self.ceph("auth", "get-or-create", "client.made", "mon", "allow r").stdout.decode(), first)
        other = self.ceph("auth", "get-or-create", "client.made", "mon", "allow *", check=False)
        self.assertEqual(other.returncode, 22, "EINVAL: the caps differ")
        keyring = self.world.scratch("made.keyring")
        with open(keyring, "w") as f:
            f.write(first)
        self.ceph("--keyring", keyring, "--name", "client.made", "-s")

    def test_unknown_command(self):
        done = self.ceph("make", "coffee", check=False)
        self.assertEqual(done.returncode, 22, "EINVAL")
