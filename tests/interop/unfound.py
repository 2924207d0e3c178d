"""Objects whose newest state only a lost OSD had: `ceph pg PGID query`, `list_unfound` and `mark_unfound_lost`, with the
answers of a stock OSD."""

import json
import os
import subprocess
import time

from harness.cluster import Options
from harness.suite import ClusterTest


class Unfound(ClusterTest):
    seconds_max = 180

    def setUp(self):
        world = self.world
        folder = os.path.join(world.folder, f"unfound-{self._testMethodName}")
        world.ledger.record("cluster", path=folder)
        self.cluster = world.kind(folder, Options(osds=3, mds=0, osd_size=3, netns=world.netns, addr="127.0.0.1"))
        self.cluster.up()
        self.addCleanup(self.cluster.down)
        self.ceph("osd", "pool", "create", "p", "1")
        for name, value in (("size", "3"), ("min_size", "1")):
            self.ceph("osd", "pool", "set", "p", name, value)
        self.ceph("osd", "pool", "application", "enable", "p", "test")
        self.text = {}
        for text in ("one", "two"):
            self.text[text] = world.scratch(text)
            with open(self.text[text], "w") as f:
                f.write(text)

    def test_given_up(self):
        self.lose()
        listed = self.wait_for(lambda: self.ask("list_unfound"), lambda answer: answer.get("num_unfound") == 2)
        objects = {each["oid"]["oid"]: each for each in listed["objects"]}
        self.assertEqual(set(objects), {"a", "b"})
        for each in objects.values():
            self.assertLessEqual({"oid", "need", "have", "flags", "locations"}, each.keys())
            self.assertEqual(each["oid"].keys(), {"oid", "key", "snapid", "hash", "max", "pool", "namespace"})
        self.assertEqual(objects["b"]["have"], "0'0")
        self.assertNotEqual(objects["a"]["have"], "0'0")
        self.assertEqual([listed[name] for name in ("num_missing", "state", "more")], [2, "Active", False])
        self.assertEqual(listed["might_have_unfound"], [{"osd": self.lost, "status": "osd is down"}])
        # Both ways of asking, and from an object on.
        self.assertEqual(json.loads(self.ceph("tell", self.pg, "list_unfound").stdout)["objects"], listed["objects"])

        query = self.ask("query")
        self.assertLessEqual({"state", "epoch", "up", "acting", "acting_recovery_backfill", "info", "peer_info",
                              "recovery_state", "snap_trimq", "snap_trimq_len", "scrubber", "agent_state"},
                             query.keys())
        self.assertIn("active", query["state"])
        self.assertEqual(sorted(query["up"]), sorted(int(osd) for osd in self.left))
        self.assertEqual([each["peer"] for each in query["peer_info"] if each["peer"] in self.left],
                         [str(osd) for osd in query["up"][1:]])
        info = query["info"]
        self.assertEqual((info["pgid"], info["last_backfill"], info["incomplete"]), (self.pg, "MAX", 0))
        self.assertEqual(info["stats"]["stat_sum"]["num_objects_unfound"], 2)
        self.assertEqual(info["stats"]["state"], query["state"])
        self.assertEqual(query["recovery_state"][0]["name"], "Started/Primary/Active")
        self.assertIn({"osd": self.lost, "status": "osd is down"}, query["recovery_state"][0]["might_have_unfound"])

        refused = self.ceph("pg", self.pg, "mark_unfound_lost", "revert", check=False)
        self.assertEqual(refused.returncode, 22)
        self.assertIn(b"pg has 2 unfound objects but we haven't probed all sources, not marking lost", refused.stderr)
        self.assertEqual(self.ceph("pg", self.pg, "mark_unfound_lost", "both", check=False).returncode, 22)
        none = self.ceph("pg", self.pg.split(".")[0] + ".77", "query", check=False)
        self.assertEqual(none.returncode, 2)

        self.give_up()
        for name in ("a", "b"):
            self.assertEqual(self.rados("get", name, "-", check=False).returncode, 1, name)
        self.assertEqual(self.ask("list_unfound")["num_unfound"], 0)
        self.rados("put", "a", self.text["two"])
        self.assertEqual(self.rados("get", "a", "-").stdout, b"two")

    def test_requests_for_it_leave_room_for_others(self):
        """More than osd_client_message_size_cap of them, from several clients, until it is given up."""
        source, small = self.world.scratch("source"), self.world.scratch("small")
        with open(source, "wb") as f:
            f.write(os.urandom(16 << 20))
        self.lose()
        self.wait_for(lambda: self.ask("list_unfound"), lambda answer: answer.get("num_unfound") == 2)
        waiting = [self.begin("put", "a", source, "--block-size", str(16 << 20)) for _ in range(4)]
        waiting += [self.begin("get", "b", small), self.begin("append", "b", self.text["one"])]
        time.sleep(5)
        started = time.monotonic()
        for name in range(10):
            self.rados("put", f"other{name}", source)
        print(f"     10 objects of 16 MiB in {time.monotonic() - started:.1f} s meanwhile")
        self.assertTrue(all(process.poll() is None for process in waiting), "some do not wait")
        asked_to_wait = 0
        for osd in self.left:
            figures = self.ceph("--admin-daemon", self.cluster.path("run", f"ceph-osd.{osd}.asok"), "perf", "dump").stdout
            asked_to_wait += json.loads(figures)["osd"]["backoffs"]
        print(f"     {asked_to_wait} clients were asked to wait")
        self.assertGreater(asked_to_wait, 0)
        self.give_up()
        for process in waiting:
            said = process.communicate(timeout=60)[0]
            if "get" not in process.args:  # it may come before the append
                self.assertEqual(process.returncode, 0, said)
        with open(source, "rb") as f:
            self.assertEqual(self.rados("get", "a", "-").stdout, f.read())
        self.assertEqual(self.rados("get", "b", "-").stdout, b"one")

    def lose(self):
        """`a` is changed and `b` made while two OSDs are down; they hear of it, and the third one is gone."""
        self.rados("put", "a", self.text["one"])
        for flag in ("norecover", "nobackfill", "noout"):
            self.ceph("osd", "set", flag)
        where = json.loads(self.ceph("osd", "map", "p", "a", "-f", "json").stdout)
        self.pg, acting = where["pgid"], [str(osd) for osd in where["acting"]]
        self.lost, self.left = acting[0], acting[1:]
        self.cluster.kill(*(f"osd.{osd}" for osd in self.left))
        self.ceph("osd", "down", *self.left)
        for name in ("a", "b"):
            self.rados("put", name, self.text["two"])
        for osd in self.left:
            self.cluster.start(f"osd.{osd}")
        self.wait_for(lambda: self.ask("query"), self.all_follow)
        self.cluster.kill(f"osd.{self.lost}")
        self.ceph("osd", "down", self.lost)

    def give_up(self):
        self.ceph("osd", "lost", self.lost, "--yes-i-really-mean-it")
        given_up = self.wait_for(lambda: self.ceph("pg", self.pg, "mark_unfound_lost", "delete", check=False),
                                 lambda done: done.returncode == 0)  # once its primary has the map
        self.assertIn(b"pg has 2 objects unfound and apparently lost marking", given_up.stderr + given_up.stdout)
        self.ceph("osd", "unset", "norecover")

    @staticmethod
    def all_follow(query):
        """Whether three copies have begun the interval together."""
        if len(query.get("acting_recovery_backfill", [])) != 3:
            return False
        began = query["info"]["history"]["same_interval_since"]
        return all(each["history"]["last_epoch_started"] >= began for each in [query["info"], *query["peer_info"]])

    def ask(self, *words):
        done = self.ceph("pg", self.pg, *words, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else {"error": done.stderr}

    def wait_for(self, look, good):
        deadline = time.monotonic() + 60
        while not good(found := look()):
            self.assertLess(time.monotonic(), deadline, found)
            time.sleep(0.3)
        return found

    def ceph(self, *words, check=True):
        return self.client("ceph", *words, check=check)

    def rados(self, *words, check=True):
        return self.client("rados", "-p", "p", *words, check=check)

    def begin(self, *words):
        process = subprocess.Popen([*self.world.inside(), "rados", "-c", self.cluster.conf, "-p", "p", *words],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def client(self, program, *words, check):
        done = subprocess.run([*self.world.inside(), program, "-c", self.cluster.conf, *words], timeout=60,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if check:
            self.assertEqual(done.returncode, 0, (words, done.stdout, done.stderr))
        return done
