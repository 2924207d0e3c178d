"""Objects in several copies on three OSDs: daemons killed one at a time and all at once, a disk that is empty again, OSDs
put out and in. Clients never see an error, and what was acknowledged is there. It asks our monitor for the states of PGs
(a stock one needs a manager for that), so it does not run with --stock."""

import json
import os
import signal
import subprocess
import time

from harness import disks, rados_history
from harness.cluster import Options
from harness.suite import SLOW, ClusterTest

PYTHON = ("/usr/bin/python3", "-B")
SECONDS = 180 if SLOW else 12  # of each time that daemons are killed in turn
PGS = 16


class Copies(ClusterTest):
    seconds_max = 2 * SECONDS + 150

    def setUp(self):
        """A cluster of its own: the shared one has a single OSD. Its logs are short, so that copies have to be filled."""
        world = self.world
        more = "osd shards = 3\n" if "threads" in self._testMethodName else ""

        class Short(world.kind):
            def conf_text(self):
                return super().conf_text().replace("[global]\n", f"[global]\nosd max pg log entries = 16\n{more}", 1)
        folder = os.path.join(world.folder, f"copies-{self._testMethodName}")
        world.ledger.record("cluster", path=folder)
        self.cluster = Short(folder, Options(osds=3, mds=0, osd_size=3, netns=world.netns, addr="127.0.0.1"))
        self.cluster.up()
        self.addCleanup(self.cluster.down)

    # ---- the tests

    def test_killed_one_at_a_time_with_two_copies(self):
        self.kill_in_turn(2, 1)

    def test_killed_one_at_a_time_with_three_copies(self):
        self.kill_in_turn(3, 2)

    def test_killed_one_at_a_time_on_several_threads(self):
        self.kill_in_turn(2, 1)

    def test_all_killed_at_once(self):
        self.make_pool(3, 2)
        writer, log = self.start_writer()
        for _ in range(3 if SLOW else 1):
            self.wait_for_lines(log, len(self.lines(log)) + 100)
            self.cluster.kill(*self.cluster.osd_names())
            time.sleep(1)
            self.cluster.start_all()
            self.wait_for_lines(log, len(self.lines(log)) + 100)
        self.finish_writer(writer, log)
        self.check(log)

    def test_empty_disk_is_filled(self):
        """A disk is lost and another one takes its place, all under load; then everything is read from that disk."""
        self.make_pool(3, 1)
        writer, log = self.start_writer()
        self.wait_for_lines(log, 1000)
        self.cluster.kill("osd.1")
        self.make_disk_anew("osd.1")
        self.cluster.start("osd.1")
        self.wait_for_clean()
        self.finish_writer(writer, log)
        self.wait_for_clean()
        self.cluster.kill("osd.0", "osd.2")
        self.wait_until(lambda: {pg["acting_primary"] for pg in self.pgs()} == {1}, "osd.1 does not take over")
        self.check(log)
        self.cluster.start_all()
        self.wait_for_clean()

    def test_out_and_in(self):
        """What is put out is emptied, what is put in gets its share again; clients go on."""
        self.make_pool(2, 1)
        writer, log = self.start_writer()
        self.wait_for_lines(log, 3000)
        # Nothing is filled where the map says that there is no room, or while it says so.
        self.ceph("osd", "set-backfillfull-ratio", "0.001")
        self.ceph("osd", "set-nearfull-ratio", "0.0005")
        self.wait_until(lambda: b"backfillfull" in self.ceph("health"), "no OSD is too full")
        self.ceph("osd", "out", "1")
        self.wait_for_state("backfill_toofull")
        self.ceph("osd", "set", "nobackfill")
        self.ceph("osd", "set-backfillfull-ratio", "0.9")
        self.ceph("osd", "set-nearfull-ratio", "0.85")
        self.wait_for_state("backfill_wait")
        self.ceph("osd", "unset", "nobackfill")
        self.wait_until(lambda: all(1 not in pg["acting"] + pg["up"] for pg in self.pgs()), "osd.1 keeps PGs")
        self.wait_for_clean()
        self.wait_until(lambda: self.osd_df(1)["pgs"] == 0, "osd.1 keeps copies")
        self.ceph("osd", "in", "1")
        self.wait_until(lambda: any(1 in pg["acting"] for pg in self.pgs()), "osd.1 gets no PGs")
        self.wait_for_clean()
        self.finish_writer(writer, log)
        self.check(log)
        self.wait_for_clean()
        sums = [self.osd_df(osd) for osd in range(3)]
        self.assertEqual(sum(each["pgs"] for each in sums), 2 * PGS)
        self.assertIn(b"%d active+clean\n" % PGS, self.ceph("-s"))
        names = subprocess.run([*self.world.inside(), "rados", "-c", self.cluster.conf, "-p", "p", "ls"], check=True,
                               stdout=subprocess.PIPE, timeout=60).stdout.split()
        self.wait_until(lambda: sum(pg["stat_sum"]["num_objects"] for pg in self.pgs()) == len(names), "wrong sums",
                        seconds=10)
        stored = sum(pg["stat_sum"]["num_bytes"] for pg in self.pgs())
        self.wait_until(lambda: abs(sum(self.osd_df(osd)["kb_used_data"] for osd in range(3)) * 1024 - 2 * stored) < 1 << 20,
                        "osd df does not show what is stored", seconds=10)

    # ---- what they are made of

    def kill_in_turn(self, size, min_size):
        self.make_pool(size, min_size)
        writer, log = self.start_writer()
        until, kills = time.monotonic() + SECONDS, 0
        while time.monotonic() < until or kills < 3:
            before = len(self.lines(log))
            name = self.cluster.osd_names()[kills % 3]
            kills += 1
            self.cluster.kill(name)
            self.wait_for_lines(log, before + 100)  # clients go on without it
            self.cluster.start_all()
            self.wait_for_clean()
        self.finish_writer(writer, log)
        self.check(log)
        print(f"     {kills} kills, {len(self.lines(log)) // 2} operations")

    def make_pool(self, size, min_size):
        self.ceph("osd", "pool", "create", "p", PGS)
        self.ceph("osd", "pool", "set", "p", "size", size)
        self.ceph("osd", "pool", "set", "p", "min_size", min_size)
        self.ceph("osd", "pool", "application", "enable", "p", "test")
        self.wait_for_clean()

    def start_writer(self):
        log = self.world.scratch(f"{self._testMethodName}.log")
        argv = [*PYTHON, rados_history.__file__, "write", self.cluster.conf, "p", log]
        writer = self.world.spawn(argv, self._testMethodName)
        self.wait_for_lines(log, 50)
        return writer, log

    def finish_writer(self, writer, log):
        writer.signal(signal.SIGTERM)
        self.assertTrue(writer.wait(60), f"the writer hangs; its last lines: {self.lines(log)[-3:]}")
        errors = [line for line in self.lines(log) if line.startswith("error")]
        self.assertEqual(self.lines(log)[-1], "end", f"{errors} {self.world.output_of(self._testMethodName)[-2000:]}")

    def check(self, log):
        done = subprocess.run([*self.world.inside(), *PYTHON, rados_history.__file__, "check", self.cluster.conf, "p",
                               log], text=True, timeout=120, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout[-2000:])
        print("     " + done.stdout.splitlines()[-1])

    def make_disk_anew(self, name):
        """An empty file system where the store was, and a new store in it."""
        cluster = self.cluster
        # Another store may take the place of one that was given up; its key went with it.
        self.wait_until(lambda: len(cluster.osds_up()) == 2, f"{name} is not marked down")
        self.ceph("osd", "destroy", name[4:], "--yes-i-really-mean-it")
        self.ceph("auth", "import", "-i", cluster.path("bootstrap.keyring"))
        (device,) = disks.loops_of(cluster.path(f"{name}.img"))
        disks.unmount(cluster.path(name))
        disks.mount_btrfs(device, cluster.path(name))
        cluster.run([cluster.tool("cosd"), "--mkfs", "-i", name[4:], "-c", cluster.conf,
                     "--osd-mkfs-force", "true"])  # the journal is the old store's

    def ceph(self, *words):
        done = subprocess.run([*self.world.inside(), "ceph", "-c", self.cluster.conf, *map(str, words)], timeout=30,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def pgs(self):
        return self.cluster.ask(prefix="pg dump")["pg_map"]["pg_stats"]

    def osd_df(self, osd):
        return self.cluster.ask(prefix="osd df")["nodes"][osd]

    def wait_for_state(self, wanted):
        self.wait_until(lambda: any(wanted in pg["state"] for pg in self.pgs()), f"no PG is {wanted}")

    def wait_for_clean(self):
        def clean():
            states = [pg["state"] for pg in self.pgs()]
            return len(states) >= PGS and all(state == "active+clean" for state in states)
        self.wait_until(clean, "PGs do not become active+clean")

    def wait_until(self, condition, complaint, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                states = {pg["pgid"]: pg["state"] for pg in self.pgs()}
                self.fail(f"{complaint} within {seconds} s: {json.dumps(states)}\n{self.cluster.log_tails(5)}")
            time.sleep(0.2)

    def lines(self, log):
        if not os.path.exists(log):
            return []
        with open(log) as f:
            return f.read().splitlines()

    def wait_for_lines(self, log, count):
        self.wait_until(lambda: len(self.lines(log)) >= count, f"the writer does not get to {count} lines")
