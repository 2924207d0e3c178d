"""What people ask a daemon itself: `ceph tell` over the network and `ceph daemon` over its admin socket."""

import json
import os

from harness.suite import ClusterTest


#: Keeps each option centrally, and forgets it; prints those of which the monitor has not heard.
KEEP = """
import json, sys, rados
conf, who, options = json.load(sys.stdin)
with rados.Rados(conffile=conf) as cluster:
    def command(**words):
        return cluster.mon_command(json.dumps(words), b"")
    for name, value in options.items():
        result, _, text = command(prefix="config set", who=who, name=name, value=value)
        if result and "special" not in text:
            print(name, text)
        command(prefix="config rm", who=who, name=name)
"""


class DaemonCommands(ClusterTest):
    def tell(self, *words, **options):
        return self.world.client("ceph", "tell", *words, **options)

    def daemon(self, name, *words, format="json"):
        path = self.cluster.path("run", f"ceph-{name}.asok")
        return self.world.client("ceph", "--format", format, "--admin-daemon", path, *words)

    def test_both_ways_lead_to_the_same_answers(self):
        for name in ("osd.0", "mds.a"):
            for command in (("version",), ("config", "get", "public_addr")):
                told = json.loads(self.tell(name, *command).stdout)
                self.assertEqual(told, json.loads(self.daemon(name, *command).stdout), name)
            self.assertEqual(json.loads(self.tell(name, "status").stdout)["cluster_fsid"], self.cluster.fsid)

    def test_answers_are_indented_unless_a_program_asks(self):
        pretty = self.daemon("osd.0", "status", format="json-pretty").stdout.decode()
        plain = self.daemon("osd.0", "status").stdout.decode()
        self.assertEqual(json.loads(pretty).keys(), json.loads(plain).keys())
        self.assertIn('\n    "', pretty)
        self.assertNotIn("\n ", plain)

    def test_an_option_is_changed_from_afar(self):
        self.tell("osd.0", "config", "set", "osd_op_complaint_time", "7")
        now = json.loads(self.daemon("osd.0", "config", "get", "osd_op_complaint_time").stdout)
        self.assertEqual(float(now["osd_op_complaint_time"]), 7)
        refused = self.tell("osd.0", "config", "set", "osd_op_complaint_time", "soon", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.tell("osd.0", "config", "set", "osd_op_complaint_time", "30")

    def test_every_option_can_be_kept_centrally(self):
        if self.cluster.software == "stock":
            return  # the stock monitor refuses the defaults of several of its own OSD's options
        for name in ("osd.0", "mds.a"):
            options = json.loads(self.daemon(name, "config", "show").stdout)
            options = {option: value for option, value in options.items() if value}
            text = json.dumps([self.cluster.conf, name, options])
            self.assertEqual(self.world.client_program(["/usr/bin/python3", "-c", KEEP], text), "", name)

    def test_a_client_is_evicted_from_afar(self):
        mount, process = self.world.mount_fuse("evicted")
        try:
            ours = [each for each in json.loads(self.tell("mds.a", "client", "ls").stdout)
                    if each.get("client_metadata", {}).get("mount_point") == mount]
            self.assertEqual(len(ours), 1)
            number = ours[0]["id"]
            self.tell("mds.a", "client", "evict", f"id={number}")
            left = [each["id"] for each in json.loads(self.tell("mds.a", "session", "ls").stdout)]
            self.assertNotIn(number, left)
            for wrong in ("id=none", "2x"):
                self.assertNotEqual(self.tell("mds.a", "client", "evict", wrong, check=False).returncode, 0, wrong)
        finally:
            self.world.unmount_fuse(mount, process)

    def test_what_an_mds_says_of_its_sessions_requests_and_counters(self):
        before = json.loads(self.daemon("mds.a", "perf", "dump").stdout)
        mount, process = self.world.mount_fuse("said")
        try:
            folder = f"{mount}/said"
            os.mkdir(folder)
            for index in range(20):
                with open(f"{folder}/{index}", "w") as f:
                    f.write("text")
            for words in (("session", "ls"), ("client", "ls")):
                ours = [each for each in json.loads(self.daemon("mds.a", *words).stdout)
                        if each["client_metadata"].get("mount_point") == mount]
                self.assertEqual(len(ours), 1, words)
                self.assertEqual(ours[0]["state"], "open")
                self.assertGreater(ours[0]["num_caps"], 20)
                number, entity = ours[0]["id"], ours[0]["entity"]
                self.assertEqual(entity["name"], {"type": "client", "num": number})
                self.assertEqual(set(entity["addr"]), {"type", "addr", "nonce"})
                self.assertEqual(f"client.{number} {entity['addr']['addr']}/{entity['addr']['nonce']}", ours[0]["inst"])
                counters = {"num_leases", "num_caps", "requests_in_flight", "num_completed_requests"}
                self.assertLessEqual({(key, int) for key in counters}, {(key, type(ours[0][key])) for key in ours[0]})
                self.assertRegex(ours[0]["client_metadata"]["client_features"]["feature_bits"], "^0x[0-9a-f]{16}$")
            self.assertEqual(json.loads(self.daemon("mds.a", "ops").stdout)["num_ops"], 0)
            status = json.loads(self.daemon("mds.a", "status").stdout)
            self.assertEqual((status["state"], status["whoami"], status["fs_name"]), ("up:active", 0, "fs"))
            after = json.loads(self.daemon("mds.a", "perf", "dump").stdout)
            self.assertGreaterEqual(after["mds"]["request"] - before["mds"]["request"], 21)
            self.assertGreater(after["mds"]["sessions"], 0)
            self.assertGreater(after["mds_log"]["batches"], before["mds_log"]["batches"])
            self.daemon("mds.a", "flush", "journal")
            flushed = json.loads(self.daemon("mds.a", "perf", "dump").stdout)["mds_log"]
            self.assertEqual(flushed["names_waiting"], 0)
            self.assertEqual(flushed["bytes_waiting"], 0)
            number = json.loads(self.daemon("mds.a", "session", "ls").stdout)[0]["id"]
            for wrong in ("id=", "id=-", "999999999"):
                self.assertNotEqual(self.tell("mds.a", "session", "evict", wrong, check=False).returncode, 0, wrong)
            self.assertIn(number, [each["id"] for each in json.loads(self.daemon("mds.a", "session", "ls").stdout)])
            for index in range(20):
                os.unlink(f"{folder}/{index}")
            os.rmdir(folder)
        finally:
            self.world.unmount_fuse(mount, process)

    def test_who_may_not(self):
        keyring = self.world.scratch("looker.keyring")
        self.world.client("ceph", "auth", "get-or-create", "client.looker", "mon", "allow r", "osd", "allow rw", "mds",
                          "allow rw", "-o", keyring)
        try:
            for name in ("osd.0", "mds.a"):
                done = self.world.client("ceph", "-n", "client.looker", "-k", keyring, "tell", name, "config", "show",
                                         check=False)
                self.assertEqual(done.returncode, 13, done)
        finally:
            self.world.client("ceph", "auth", "rm", "client.looker")
            os.unlink(keyring)
