"""The commands of the thin line through the stock `ceph`."""

import json
import os

from harness.suite import ClusterTest

COMMANDS = os.path.realpath(os.path.join(os.path.dirname(__file__), "../harness/mon_commands.py"))


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

    def over_one_connection(self, *requests):
        """The answers of mon_commands.py; each must have succeeded."""
        text = "".join(json.dumps({"format": "json", **request}) + "\n" for request in requests)
        done = self.world.client_program(["/usr/bin/python3", "-B", COMMANDS, self.cluster.conf], text)
        answers = [json.loads(line) for line in done.splitlines()]
        for request, answer in zip(requests, answers, strict=True):
            self.assertEqual(answer["result"], 0, f"{request}: {answer['text']}")
        return [json.loads(answer["output"]) if answer["output"].strip() else None for answer in answers]

    def test_every_setting_of_a_pool(self):
        """What is set is what is got; the flags come and go."""
        pool = self.pool("settings")
        sure = {"yes_i_really_mean_it": True}
        flags = ("nodelete", "nosizechange", "write_fadvise_dontneed", "noscrub", "nodeep-scrub", "nopgchange")
        wanted = [("pg_autoscale_mode", "off"), ("size", 2), ("min_size", 2), ("min_size", 1), ("pgp_num", 8),
                  ("crush_rule", "replicated_rule"), ("hashpspool", False), ("hashpspool", True)]
        wanted += [(flag, on) for flag in flags for on in (True, False)]
        requests = []
        for name, value in wanted:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            requests.append({"prefix": "osd pool set", "pool": pool, "var": name, "val": text, **sure})
            requests.append({"prefix": "osd pool get", "pool": pool, "var": name})
        answers = self.over_one_connection(*requests)
        for (name, value), answer in zip(wanted, answers[1::2], strict=True):
            self.assertEqual(answer[name], value, name)
        everything = self.ceph("osd", "pool", "get", pool, "all").stdout.decode()
        for name in ("size: 2", "min_size: 1", "crush_rule: replicated_rule", "hashpspool: true", "nodelete: false"):
            self.assertIn(name + "\n", everything)
        if self.cluster.software == "stock":
            return  # it answers get-quota from its manager's statistics, and tests/stock has no manager
        quota = self.over_one_connection(
            {"prefix": "osd pool set-quota", "pool": pool, "field": "max_objects", "val": "1000"},
            {"prefix": "osd pool set-quota", "pool": pool, "field": "max_bytes", "val": "1G"},
            {"prefix": "osd pool get-quota", "pool": pool})[-1]
        self.assertEqual((quota["quota_max_objects"], quota["quota_max_bytes"]), (1000, 1 << 30))

    def test_every_setting_of_a_file_system(self):
        """Each is in the map afterwards, and a value out of its bounds is refused with what a stock monitor answers."""
        before = self.json("fs", "get", "fs")["mdsmap"]
        wanted = [("max_mds", 1), ("max_file_size", 1 << 41), ("session_timeout", 61), ("session_autoclose", 301),
                  ("standby_count_wanted", 0)]
        requests = [{"prefix": "fs set", "fs_name": "fs", "var": name, "val": str(value)} for name, value in wanted]
        *_, after = self.over_one_connection(*requests, {"prefix": "fs get", "fs_name": "fs"})
        for name, value in wanted:
            self.assertEqual(after["mdsmap"][name], value, name)
        joinable, snapshots = 1, 2  # Ceph: CEPH_MDSMAP_NOT_JOINABLE, CEPH_MDSMAP_ALLOW_SNAPS
        for name, value, bit in (("allow_new_snaps", "false", 0), ("allow_new_snaps", "true", snapshots),
                                 ("joinable", "false", joinable), ("joinable", "true", 0)):
            _, got = self.over_one_connection({"prefix": "fs set", "fs_name": "fs", "var": name, "val": value},
                                              {"prefix": "fs get", "fs_name": "fs"})
            mask = snapshots if name == "allow_new_snaps" else joinable
            self.assertEqual(got["mdsmap"]["flags"] & mask, bit, name)
        for name, value, status in (("max_file_size", "1", 34), ("session_timeout", "3", 34), ("joinable", "perhaps", 22),
                                    ("nothing", "1", 22)):
            refused = self.ceph("fs", "set", "fs", name, value, check=False)
            self.assertEqual(refused.returncode, status, f"{name}: {refused.stderr}")
        back = [{"prefix": "fs set", "fs_name": "fs", "var": name, "val": str(before[name])} for name, _ in wanted]
        self.over_one_connection(*back)

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
