"""The stock command and the stock tools administer the monitor; it is killed while decisions stream in."""

import json
import os
import subprocess
import time

from harness import decision_history
from harness.suite import ClusterTest

PYTHON = ("/usr/bin/python3", "-B")
DECISIONS = 1000
KILLS = 4


class Monitor(ClusterTest):
    def ceph(self, *words, check=True, input=None):
        return self.world.client("ceph", *words, check=check, input=input)

    def json(self, *words):
        return json.loads(self.ceph(*words, "--format", "json").stdout)

    def tool(self, *words):
        return subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout

    def fetched(self, name, *words):
        path = self.world.scratch(name)
        self.ceph(*words, "-o", path)
        return path

    def test_maps_are_read_by_the_stock_tools(self):
        text = self.tool("osdmaptool", "--print", self.fetched("osdmap", "osd", "getmap"))
        self.assertIn(f"fsid {self.cluster.fsid}", text)
        self.assertRegex(text, r"osd\.0 up +in")
        text = self.tool("crushtool", "-d", self.fetched("crushmap", "osd", "getcrushmap"))
        self.assertIn("root default", text)
        self.assertIn("rule replicated_rule", text)
        text = self.tool("monmaptool", "--print", self.fetched("monmap", "mon", "getmap"))
        self.assertIn(f"fsid {self.cluster.fsid}", text)
        self.assertIn("mon.a", text)

    def test_placement_is_what_osdmaptool_computes(self):
        pool = self.pool("mapped")
        path = self.fetched("osdmap", "osd", "getmap")
        for name in ("one", "two", "three"):
            ours = self.json("osd", "map", pool, name)
            theirs = self.tool("osdmaptool", path, "--test-map-object", name, "--pool", str(ours["pool_id"]))
            self.assertIn(f"-> {ours['pgid']} ", theirs)

    def test_a_crush_map_goes_out_and_comes_back(self):
        path, text = self.fetched("crushmap", "osd", "getcrushmap"), self.world.scratch("crush.txt")
        self.tool("crushtool", "-d", path, "-o", text)
        self.tool("crushtool", "-c", text, "-o", path)
        self.ceph("osd", "setcrushmap", "-i", path)
        self.ceph("osd", "crush", "add-bucket", "cellar", "host")
        self.ceph("osd", "crush", "move", "cellar", "root=default")
        self.assertIn("cellar", {node["name"] for node in self.json("osd", "tree")["nodes"]})
        self.ceph("osd", "crush", "rm", "cellar")
        self.ceph("osd", "crush", "rule", "create-replicated", "by-osd", "default", "osd")
        self.assertIn("by-osd", self.json("osd", "crush", "rule", "ls"))
        self.ceph("osd", "crush", "rule", "rm", "by-osd")
        garbage = self.ceph("osd", "setcrushmap", "-i", "/etc/passwd", check=False)
        self.assertEqual(garbage.returncode, 22, "EINVAL")

    def test_pools_are_deleted_with_the_guard_lifted(self):
        pool = self.pool("doomed")
        words = ("osd", "pool", "rm", pool, pool, "--yes-i-really-really-mean-it")
        self.assertEqual(self.ceph("osd", "pool", "rm", pool, check=False).returncode, 1, "EPERM")
        self.assertEqual(self.ceph(*words, check=False).returncode, 1, "EPERM")
        self.ceph("config", "set", "mon", "mon_allow_pool_delete", "true")
        self.ceph(*words)
        self.assertNotIn(pool, self.json("osd", "pool", "ls"))
        self.ceph("config", "rm", "mon", "mon_allow_pool_delete")
        busy = self.pool("doomed-too")
        self.assertEqual(self.ceph("osd", "pool", "rm", busy, busy, "--yes-i-really-really-mean-it",
                                   check=False).returncode, 1, "the guard is back")

    def test_configuration(self):
        self.ceph("config", "set", "osd", "osd_op_complaint_time", "17")
        self.assertEqual(self.ceph("config", "get", "osd.0", "osd_op_complaint_time").stdout.strip(), b"17.000000")
        self.assertIn("osd_op_complaint_time", {row["name"] for row in self.json("config", "dump")})
        self.ceph("config", "rm", "osd", "osd_op_complaint_time")
        self.assertNotIn("osd_op_complaint_time", {row["name"] for row in self.json("config", "dump")})
        self.ceph("config-key", "set", "drawer/one", "something")
        self.assertEqual(self.ceph("config-key", "get", "drawer/one").stdout.strip(), b"something")
        self.ceph("config-key", "rm", "drawer/one")
        self.assertEqual(self.ceph("config-key", "exists", "drawer/one", check=False).returncode, 2, "ENOENT")

    def test_keys_reach_as_far_as_their_caps(self):
        keyring = self.world.scratch("reader.keyring")
        self.ceph("auth", "get-or-create", "client.reader", "mon", "allow r", "-o", keyring)
        reader = ("--name", "client.reader", "--keyring", keyring)
        self.ceph(*reader, "osd", "pool", "ls")
        for words in (("osd", "pool", "create", "no"), ("auth", "ls"), ("config", "set", "osd", "debug_osd", "1")):
            self.assertEqual(self.ceph(*reader, *words, check=False).returncode, 13, f"EACCES for {words}")
        self.ceph("auth", "caps", "client.reader", "mon", "allow rw")
        self.ceph(*reader, "osd", "blocklist", "add", "192.0.2.1:0/1", "60")
        self.assertIn(b"192.0.2.1:0/1", self.ceph("osd", "blocklist", "ls").stdout)
        self.ceph("osd", "blocklist", "rm", "192.0.2.1:0/1")
        self.ceph("auth", "rm", "client.reader")
        self.assertNotEqual(self.ceph(*reader, "-s", check=False).returncode, 0)

    def test_what_a_manager_would_answer(self):
        if self.cluster.software == "stock":
            return  # the clusters of tests/stock have no manager, and the answers wait for one
        self.assertIn(b"pgs:", self.ceph("pg", "stat").stdout)
        self.assertEqual(self.json("osd", "df")["nodes"][0]["name"], "osd.0")
        self.assertIn(b"active", self.ceph("fs", "status").stdout)
        self.assertIn("pg_stats", self.json("pg", "ls"))
        self.assertFalse(self.json("mgr", "stat")["available"])

    def test_osds_are_marked_by_hand(self):
        self.ceph("osd", "out", "0")
        self.assertEqual(self.json("osd", "dump")["osds"][0]["in"], 0)
        self.ceph("osd", "in", "0")
        self.ceph("osd", "set", "noout")
        self.assertIn("noout", self.json("osd", "dump")["flags_set"])
        self.ceph("osd", "unset", "noout")
        self.ceph("osd", "down", "0")
        deadline = time.monotonic() + 30
        while self.json("osd", "stat")["num_up_osds"] == 0:
            self.assertLess(time.monotonic(), deadline, "osd.0 does not come back")
            time.sleep(0.5)

    def test_killed_while_decisions_stream_in(self):
        log = self.world.scratch("decisions.log")
        writer = self.world.spawn([*PYTHON, decision_history.__file__, "write", self.cluster.conf, log, DECISIONS],
                                  "decisions")
        for kill in range(KILLS):
            self.wait_for(log, (kill + 1) * DECISIONS // (KILLS + 2))
            self.cluster.kill("mon.a")
            self.cluster.start("mon.a")
        self.assertTrue(writer.wait(120), f"the writer hangs\n{self.world.output_of('decisions')[-2000:]}")
        with open(log) as f:
            self.assertEqual(f.read().splitlines()[-1], "end", self.world.output_of("decisions")[-2000:])
        self.cluster.kill("mon.a")
        self.cluster.start("mon.a")
        done = subprocess.run([*self.world.inside(), *PYTHON, decision_history.__file__, "check", self.cluster.conf, log],
                              text=True, timeout=60, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout[-2000:])
        print("     " + done.stdout.splitlines()[-1])

    def wait_for(self, log, lines):
        deadline = time.monotonic() + 60
        while True:
            if os.path.exists(log):
                with open(log) as f:
                    if len(f.read().splitlines()) >= lines:
                        return
            self.assertLess(time.monotonic(), deadline,
                            f"the writer does not get on\n{self.world.output_of('decisions')[-2000:]}")
            time.sleep(0.02)
