"""The monitor and the daemons it watches, when things go wrong: a full disk, a damaged log, another address, OSDs and
MDSs that die. The tests of the log are about files of our own and do not run with --stock."""

import json
import os
import subprocess
import time

from harness import disks
from harness.cluster import Options
from harness.suite import ClusterTest

LOG_DISK_BYTES = 2 << 20


def asked(world, cluster, *words, check=True):
    """`ceph` against a cluster that is not the shared one."""
    done = subprocess.run([*world.inside(), "ceph", "-c", cluster.conf, "--connect-timeout", "20", *map(str, words)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=40)
    if check and done.returncode:
        raise AssertionError(f"{words}: {done.returncode} {(done.stdout + done.stderr)[-1000:].decode()}")
    return done


def wait_for(condition, what, seconds=40, pause=0.1):
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} within {seconds} s")
        time.sleep(pause)


class MonitorLife(ClusterTest):
    def json(self, *words):
        return json.loads(self.world.client("ceph", *words, "--format", "json").stdout)

    def monitor_alone(self, name):
        """A monitor of its own whose log is on a small disk."""
        world = self.world

        class Alone(world.kind):
            def make_folder(self, *parts):
                path = super().make_folder(*parts)
                if parts == ("mon.a",):
                    self.ledger.record("mount", target=path)
                    disks.run("mount", "-t", "tmpfs", "-o", f"size={LOG_DISK_BYTES}", "tmpfs", path)
                return path

        folder = os.path.join(world.folder, name)
        world.ledger.record("cluster", path=folder)
        cluster = Alone(folder, Options(osds=0, mds=0, netns=world.netns, addr="127.0.0.1"))
        cluster.up()
        return cluster

    def test_full_disk(self):
        """Decisions are refused, everything else goes on; when there is room again it decides again."""
        if self.cluster.software == "stock":
            return  # a stock monitor ends when its disk is nearly full
        cluster = self.monitor_alone("full")
        asked(self.world, cluster, "config-key", "set", "before", "kept")
        filler = cluster.path("mon.a", "filler")
        with open(filler, "wb", buffering=0) as f:
            try:
                while f.write(b"x" * 512):
                    pass
            except OSError:
                pass
        refused = asked(self.world, cluster, "config-key", "set", "during", "x" * 4000, check=False)
        self.assertEqual(refused.returncode, 28, "ENOSPC")
        for _ in range(5):  # logins, reads and maps need no decision
            self.assertEqual(asked(self.world, cluster, "config-key", "get", "before").stdout, b"kept")
        self.assertIn(b"MON_DISK_REFUSES", asked(self.world, cluster, "health", "detail").stdout)
        os.remove(filler)
        asked(self.world, cluster, "config-key", "set", "after", "kept too")
        wait_for(lambda: b"MON_DISK_REFUSES" not in asked(self.world, cluster, "health", "detail").stdout,
                 "the refusal is not taken back")
        cluster.kill("mon.a")
        cluster.start("mon.a")
        self.assertEqual(json.loads(asked(self.world, cluster, "config-key", "ls").stdout), ["after", "before"])
        cluster.down()

    def test_damaged_log(self):
        """Damage with decisions behind it stops the start and names the file and the offset; a torn tail is cut."""
        if self.cluster.software == "stock":
            return  # the log is ours
        cluster = self.monitor_alone("damaged")
        for number in range(5):
            asked(self.world, cluster, "config-key", "set", f"key{number}", "value" * 50)
        cluster.kill("mon.a")
        folder = cluster.path("mon.a")
        log = max((os.path.join(folder, name) for name in os.listdir(folder) if name.startswith("log.")),
                  key=os.path.getsize)
        with open(log, "rb") as f:
            whole = f.read()
        at = whole.index(b"key2")
        with open(log, "wb") as f:
            f.write(whole[:at] + b"?" + whole[at + 1:])
        done = subprocess.run([*self.world.inside(), *cluster.daemon_argv("mon.a")], timeout=20, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertNotEqual(done.returncode, 0)
        with open(cluster.path("log", "mon.a.log")) as f:
            said = done.stdout + f.read()
        self.assertRegex(said, rf"{os.path.basename(log)}.*offset [0-9]+")
        with open(log, "wb") as f:
            f.write(whole + b"DSCN half a record")
        cluster.start("mon.a")
        self.assertEqual(len(json.loads(asked(self.world, cluster, "config-key", "ls").stdout)), 5)
        cluster.down()

    def test_address_changes(self):
        """The monitor comes back at another port: it rewrites its entry, the daemons register again, data is there."""
        if self.cluster.software == "stock":
            return  # its monitor map has to be edited with monmaptool first
        cluster = self.cluster
        pool = self.pool("moved")
        source = self.world.scratch("moved.txt")
        with open(source, "wb") as f:
            f.write(b"still here")
        self.world.client("rados", "-p", pool, "put", "object", source)
        before = self.json("mon", "dump")
        cluster.stop()
        home = cluster.ports
        for ports in ([home[0] + 17], home):
            cluster.ports = ports
            cluster.save()
            cluster.write_file("ceph.conf", cluster.conf_text())
            cluster.start_all()
            after = self.json("mon", "dump")
            self.assertGreater(after["epoch"], before["epoch"])
            self.assertIn(f":{ports[0]}/", after["mons"][0]["public_addrs"]["addrvec"][0]["addr"] + "/")
            self.assertEqual(self.world.client("rados", "-p", pool, "get", "object", "-").stdout, b"still here")
            before = after
            if ports != home:
                cluster.stop()

    def test_an_osd_dies_and_comes_back(self):
        if self.cluster.software == "stock":
            return  # it needs other OSDs to report one, or 15 minutes; three of them: osd_failures.py
        ceph = self.world.client
        ceph("ceph", "config", "set", "mon", "mon_osd_down_out_interval", "2")
        ceph("ceph", "config", "set", "mon", "mon_osd_min_in_ratio", "0")
        ceph("ceph", "osd", "set", "noout")
        self.cluster.kill("osd.0")

        def osd():
            return self.json("osd", "dump")["osds"][0]

        wait_for(lambda: not osd()["up"], "osd.0 is not marked down")
        self.assertEqual(self.json("osd", "tree")["nodes"][-1]["status"], "down")
        self.assertIn("OSD_DOWN", self.json("health")["checks"])
        ceph("ceph", "health", "mute", "OSD_DOWN", "1h")
        health = self.json("health")
        self.assertTrue(health["checks"]["OSD_DOWN"]["muted"])
        self.assertEqual([mute["code"] for mute in health["mutes"]], ["OSD_DOWN"])
        self.assertIn(b"(muted: ", ceph("ceph", "health").stdout)
        self.assertTrue(osd()["in"], "noout holds")
        ceph("ceph", "osd", "unset", "noout")
        wait_for(lambda: not osd()["in"], "osd.0 is not put out")
        self.cluster.start("osd.0")
        wait_for(lambda: osd()["up"] and osd()["in"], "osd.0 does not come back in")
        wait_for(lambda: not self.json("health")["mutes"], "the mute outlives its check")
        for name in ("mon_osd_down_out_interval", "mon_osd_min_in_ratio"):
            ceph("ceph", "config", "rm", "mon", name)

    def test_a_standby_takes_over(self):
        """The failed MDS is blocklisted before its successor is promoted; the map shows every step, in order."""
        key = self.world.scratch("mds.b.keyring")
        self.world.client("ceph", "auth", "get-or-create", "mds.b", "mon", "allow profile mds", "osd", "allow *", "mds",
                          "allow *", "-o", key)
        # A stock monitor that ticks every 5 s takes less than 15 for a delay of its own, and forgives everybody.
        grace = "15" if self.cluster.software == "stock" else "3"
        self.world.client("ceph", "config", "set", "mon", "mds_beacon_grace", grace)
        self.assertIn("mds.a", self.cluster.daemon_names())
        first = self.cluster.daemon_argv("mds.a")
        standby = self.world.spawn([first[0], "-i", "b", "-c", self.cluster.conf, "--keyring", key, "--admin-socket",
                                    self.world.scratch("mds.b.asok")], "mds.b")
        wait_for(lambda: self.json("fs", "dump")["standbys"], "mds.b is no standby")
        last = self.json("fs", "dump")
        (before,) = last["filesystems"][0]["mdsmap"]["info"].values()
        self.cluster.kill("mds.a")

        def rank_0(fs_map):
            return [each for each in fs_map["filesystems"][0]["mdsmap"]["info"].values() if each["gid"] != before["gid"]]

        wait_for(lambda: [each["state"] for each in rank_0(self.json("fs", "dump"))] == ["up:active"],
                 "mds.b does not take over", seconds=60)
        states, first = [], None
        for epoch in range(last["epoch"] + 1, self.json("fs", "dump")["epoch"] + 1):
            fs_map = self.json("fs", "dump", str(epoch))
            for each in rank_0(fs_map):
                first = first or fs_map
                if each["state"] not in states:
                    states.append(each["state"])
        order = ["up:replay", "up:reconnect", "up:rejoin", "up:clientreplay", "up:active"]
        self.assertEqual(states, [state for state in order if state in states], "in this order")
        self.assertEqual((states[0], states[-1]), ("up:replay", "up:active"))
        # The map with the promotion names an OSD map in which the old one is shut out.
        shut_out = self.json("osd", "dump", str(first["filesystems"][0]["mdsmap"]["last_failure_osd_epoch"]))["blocklist"]
        self.assertIn(before["addr"], shut_out)
        self.cluster.start("mds.a")
        wait_for(lambda: self.json("fs", "dump")["standbys"], "mds.a is no standby")
        standby.signal(9)
        standby.wait(5)
        wait_for(self.cluster.mds_active, "mds.a does not take over", seconds=60)
        self.world.client("ceph", "config", "rm", "mon", "mds_beacon_grace")
        self.world.client("ceph", "auth", "rm", "mds.b")
