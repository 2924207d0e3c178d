"""An OSD that dies is reported by its peers, marked down, and put out; it comes back."""

import json
import os
import re
import subprocess
import time

from harness.cluster import Options
from harness.suite import ClusterTest
from interop.monitor_life import asked, wait_for

GRACE = 4


class OsdFailures(ClusterTest):
    def setUp(self):  # needs a cluster of its own
        pass

    def three(self):
        folder = os.path.join(self.world.folder, self._testMethodName)
        self.world.ledger.record("cluster", path=folder)
        cluster = self.world.kind(folder, Options(osds=3, mds=0, netns=self.world.netns, addr="127.0.0.1"))
        self.addCleanup(cluster.down)
        cluster.up()
        return cluster

    def test_killed_osds_are_reported_by_their_peers(self):
        world, cluster = self.world, self.three()

        def json_of(*words):
            return json.loads(asked(world, cluster, *words, "-f", "json").stdout)

        def in_tree(status):
            return [node["id"] for node in json_of("osd", "tree")["nodes"]
                    if node["type"] == "osd" and node["status"] == status]

        for name, value in (("osd_heartbeat_grace", GRACE), ("osd_heartbeat_interval", 1),
                            ("mon_osd_down_out_interval", 3), ("mon_osd_min_in_ratio", 0)):
            asked(world, cluster, "config", "set", "global", name, value)
        pool = "copies"
        asked(world, cluster, "osd", "pool", "create", pool, 16)
        asked(world, cluster, "osd", "pool", "set", pool, "size", 3)
        asked(world, cluster, "osd", "pool", "set", pool, "min_size", 1)
        asked(world, cluster, "osd", "set", "noout")
        time.sleep(6)  # until each has heard the others
        before = json_of("osd", "dump")
        cluster.kill("osd.1")
        killed = time.monotonic()
        wait_for(lambda: in_tree("down") == [1], "osd.1 is not marked down", seconds=25)
        took = time.monotonic() - killed
        # By beacons alone it would have been mon_osd_report_timeout, 15 minutes.
        print(f"     down after {took:.1f} s")
        said = asked(world, cluster, "-s").stdout.decode()
        self.assertRegex(said, r"osd: 3 osds: 2 up \(.*\), 3 in")
        self.assertRegex(said, r"1 osds? down")
        log = asked(world, cluster, "log", "last", "50", "info", "cluster").stdout.decode()
        self.assertRegex(log, r"osd\.1 (failed|reported immediately failed)", "by peers, and the log says so")
        self.assertEqual(json_of("osd", "dump")["osds"][1]["in"], 1, "noout holds")
        asked(world, cluster, "osd", "unset", "noout")
        wait_for(lambda: not json_of("osd", "dump")["osds"][1]["in"], "osd.1 is not put out")
        self.assertRegex(asked(world, cluster, "-s").stdout.decode(), r"osd: 3 osds: 2 up \(.*\), 2 in")
        (node,) = [node for node in json_of("osd", "tree")["nodes"] if node["id"] == 1]
        self.assertEqual(node["reweight"], 0)
        self.assertEqual(node["status"], "down")

        cluster.start("osd.1")
        wait_for(lambda: not in_tree("down") and json_of("osd", "dump")["osds"][1]["in"], "osd.1 does not come back in")
        after = json_of("osd", "dump")
        self.assertGreater(after["osds"][1]["up_from"], before["osds"][1]["up_from"])
        self.assertRegex(asked(world, cluster, "-s").stdout.decode(), r"osd: 3 osds: 3 up \(.*\), 3 in")
        for other in (0, 2):
            self.assertEqual(after["osds"][other]["up_from"], before["osds"][other]["up_from"], "nobody else went down")

    def test_nothing_is_recovered_onto_a_full_disk(self):
        """By the log, that is: backfill stops earlier, see copies."""
        world, cluster = self.world, self.three()

        def states():
            return asked(world, cluster, "pg", "ls", "-f", "json").stdout.decode()

        def ratios(near, back_fill, full):
            for what, ratio in sorted((("nearfull", near), ("backfillfull", back_fill), ("full", full)),
                                      key=lambda each: each[1], reverse=full > 0.5):
                asked(world, cluster, "osd", f"set-{what}-ratio", ratio)

        asked(world, cluster, "osd", "pool", "create", "p", 4)
        for name, value in (("size", 3), ("min_size", 1)):
            asked(world, cluster, "osd", "pool", "set", "p", name, value)
        asked(world, cluster, "osd", "set", "noout")
        source = world.scratch("piece")
        with open(source, "wb") as f:
            f.write(os.urandom(16 << 20))

        def put(name):
            done = subprocess.run([*world.inside(), "rados", "-c", cluster.conf, "-p", "p", "put", name, source],
                                  timeout=40, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.assertEqual(done.returncode, 0, done.stdout)

        put("a")
        wait_for(lambda: states().count('"active+clean"') == 4, "not clean")
        cluster.kill("osd.1")
        wait_for(lambda: "undersized" in states(), "osd.1 is not missed")
        put("a")
        put("b")
        ratios(0.0001, 0.0002, 0.0003)
        wait_for(lambda: "3 full osd(s)" in asked(world, cluster, "health").stdout.decode(), "no OSD is full")
        cluster.start("osd.1")
        wait_for(lambda: "recovery_toofull" in states(), "it does not say that it waits for room")
        time.sleep(3)
        self.assertIn("recovery_toofull", states(), "it goes on although there is no room")
        said = json.loads(asked(world, cluster, "health", "-f", "json").stdout)["checks"]["PG_RECOVERY_FULL"]
        self.assertEqual(said["severity"], "HEALTH_ERR")
        self.assertRegex(said["summary"]["message"], r"^Full OSDs blocking recovery: \d pgs? recovery_toofull$")
        ratios(0.85, 0.9, 0.95)
        wait_for(lambda: states().count('"active+clean"') == 4, "it does not go on when there is room", seconds=60)

    def test_requests_to_an_inactive_pg_leave_room_for_others(self):
        """More than osd_client_message_size_cap of them, from several clients, while the PG waits for a third copy."""
        world, cluster = self.world, self.three()

        def rados(*words, seconds=20):
            return subprocess.run([*world.inside(), "rados", "-c", cluster.conf, *words], timeout=seconds,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

        def begin(*words):
            process = subprocess.Popen([*world.inside(), "rados", "-c", cluster.conf, "-p", "waits", *words],
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            return process

        def states():
            return asked(world, cluster, "pg", "ls-by-pool", "waits").stdout.decode()

        for pool, count, least in (("waits", 1, 3), ("served", 16, 1)):
            asked(world, cluster, "osd", "pool", "create", pool, count)
            for name, value in (("size", 3), ("min_size", least)):
                asked(world, cluster, "osd", "pool", "set", pool, name, value)
        asked(world, cluster, "osd", "set", "noout")
        source = world.scratch("source")
        with open(source, "wb") as f:
            f.write(os.urandom(16 << 20))
        for name in range(8):
            self.assertEqual(rados("-p", "waits", "put", f"old{name}", source).returncode, 0)
        cluster.kill("osd.1")
        wait_for(lambda: "peered" in states() and "undersized" in states(), "it goes on with two copies")
        copies = [world.scratch(f"copy{name}") for name in range(8)]
        waiting = [begin("bench", "3", "write", "-b", "1048576", "-t", "40", "--no-cleanup", "--run-name", f"run{each}")
                   for each in range(2)]
        waiting += [begin("get", f"old{name}", copy) for name, copy in enumerate(copies)]
        waiting += [begin("put", f"new{name}", source) for name in range(2)]
        time.sleep(5)
        started = time.monotonic()
        for name in range(20):
            done = rados("-p", "served", "put", f"o{name}", source)
            self.assertEqual(done.returncode, 0, done.stdout)
        print(f"     20 objects of 16 MiB in {time.monotonic() - started:.1f} s meanwhile")
        self.assertTrue(all(process.poll() is None for process in waiting), "some do not wait")
        asked_to_wait = 0
        for osd in (0, 2):
            done = subprocess.run(["ceph", "--admin-daemon", cluster.path("run", f"ceph-osd.{osd}.asok"), "perf", "dump"],
                                  timeout=20, stdout=subprocess.PIPE, check=True)
            asked_to_wait += json.loads(done.stdout)["osd"]["backoffs"]
        print(f"     {asked_to_wait} clients were asked to wait")
        self.assertGreater(asked_to_wait, 0)
        cluster.start("osd.1")
        for process in waiting:
            said = process.communicate(timeout=90)[0]
            self.assertEqual(process.returncode, 0, said)
        for copy in copies:
            with open(copy, "rb") as f, open(source, "rb") as g:
                self.assertEqual(f.read(), g.read())
        for name in range(2):
            self.assertEqual(rados("-p", "waits", "get", f"new{name}", copies[0]).returncode, 0)
            with open(copies[0], "rb") as f, open(source, "rb") as g:
                self.assertEqual(f.read(), g.read())

    def test_clients_stay_in_front_of_recovery(self):
        """Small writes, one at a time, beside the recovery of thousands of objects and before it."""
        world, cluster = self.world, self.three()

        def bench(seconds, *more):
            done = subprocess.run([*world.inside(), "rados", "-c", cluster.conf, "-p", "p", "bench", str(seconds), "write",
                                   "--no-cleanup", *more], timeout=90, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.assertEqual(done.returncode, 0, done.stdout[-500:])
            return float(re.search(rb"Average Latency\(s\): *([\d.e-]+)", done.stdout)[1])

        def degraded():
            status = json.loads(asked(world, cluster, "-s", "-f", "json").stdout)
            return status["pgmap"].get("degraded_objects", 0)

        def recovered():
            """By the primaries themselves: the monitor hears of it every five seconds."""
            pgs = json.loads(asked(world, cluster, "pg", "ls-by-pool", "p", "-f", "json").stdout)["pg_stats"]
            queries = [json.loads(asked(world, cluster, "tell", pg["pgid"], "query").stdout) for pg in pgs]
            return sum(query["info"]["stats"]["stat_sum"]["num_objects_recovered"] for query in queries)

        asked(world, cluster, "osd", "pool", "create", "p", 16)
        for name, value in (("size", 3), ("min_size", 1)):
            asked(world, cluster, "osd", "pool", "set", "p", name, value)
        asked(world, cluster, "osd", "set", "noout")
        small = ("-b", "4096", "-t", "1", "--run-name", "small")
        before = bench(4, *small)
        cluster.kill("osd.1")
        wait_for(degraded, "osd.1 is not missed")
        bench(6, "-b", "16384", "-t", "16", "--run-name", "large")
        cluster.start("osd.1")
        wait_for(lambda: "recovering" in asked(world, cluster, "pg", "ls").stdout.decode(), "nothing is recovered")
        done = recovered()
        beside = bench(4, *small)
        done = recovered() - done
        print(f"     {beside / before:.1f} times as long beside the recovery of {done} objects")
        self.assertGreater(done, 0, "recovery goes on as well")
        self.assertLess(beside / before, 10)
        wait_for(lambda: not degraded(), "recovery does not end", seconds=60)

    def test_a_silent_osd_is_reported_after_its_grace(self):
        """Stopped, not dead: its sockets are open, it answers nobody."""
        world, cluster = self.world, self.three()
        for name, value in (("osd_heartbeat_grace", GRACE), ("osd_heartbeat_interval", 1),
                            ("mon_osd_reporter_subtree_level", "osd")):  # all are on one host
            asked(world, cluster, "config", "set", "global", name, value)
        time.sleep(3)
        process = cluster.process("osd.2")
        process.signal(19)
        try:
            def downs():
                dump = json.loads(asked(world, cluster, "osd", "dump", "-f", "json").stdout)
                return [osd["osd"] for osd in dump["osds"] if not osd["up"]]

            stopped = time.monotonic()
            wait_for(lambda: downs() == [2], "osd.2 is not marked down", seconds=40)
            self.assertGreater(time.monotonic() - stopped, GRACE - 2, "not before its grace is over")
            self.assertRegex(asked(world, cluster, "health", "detail").stdout.decode(), r"osd\.2 .*is down")
        finally:
            process.signal(18)
        wait_for(lambda: not downs(), "osd.2 does not boot again", seconds=40)
