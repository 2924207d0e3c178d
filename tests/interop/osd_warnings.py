"""What an OSD tells people and refuses clients, as stock clients see it: slow requests, quotas, and who goes past them."""

import json
import time

from harness.suite import ClusterTest
from interop.monitor_life import wait_for

#: Writes with the flags of librados.h; prints the error numbers of: FULL_TRY, FULL_FORCE, a removal with FULL_TRY.
PAST_A_QUOTA = r"""
import sys, rados
FULL_TRY, FULL_FORCE = 64, 128
cluster = rados.Rados(conffile=sys.argv[1])
cluster.connect()
io = cluster.open_ioctx(sys.argv[2])
def result(flags, change):
    with rados.WriteOpCtx() as op:
        change(op)
        try:
            io.operate_write_op(op, sys.argv[3], flags=flags)
        except rados.Error as error:
            return error.errno
        return 0
print(result(FULL_TRY, lambda op: op.write_full(b"more")), result(FULL_FORCE, lambda op: op.write_full(b"more")),
      result(FULL_TRY, lambda op: op.remove()))
"""


class OsdWarnings(ClusterTest):
    def ceph(self, *words):
        return self.world.client("ceph", *map(str, words)).stdout.decode()

    def test_a_request_that_waits_is_called_slow(self):
        pool = self.pool("slow")
        self.ceph("config", "set", "osd", "osd_op_complaint_time", "1")
        for name, value in (("size", 2), ("min_size", 2)):  # on one OSD
            self.ceph("osd", "pool", "set", pool, name, value)
        writer = self.world.spawn(["rados", "-c", self.cluster.conf, "-p", pool, "create", "o"], "writer")
        wait_for(lambda: "SLOW_OPS" in self.ceph("health", "detail"), "no warning")
        said = self.ceph("health", "detail")
        self.assertRegex(said, r"1 slow ops, oldest one blocked for \d+ sec")
        self.assertRegex(said, r"osd\.0")
        self.assertIn("slow ops", self.ceph("-s"))
        waits = json.loads(self.ceph("tell", "osd.0", "dump_ops_in_flight"))
        self.assertIn("waiting for peering", json.dumps(waits), "where it waits")
        self.assertTrue(writer.alive())
        self.ceph("osd", "pool", "set", pool, "min_size", 1)
        self.assertTrue(writer.wait(20), "it goes on as soon as it may")
        wait_for(lambda: "SLOW_OPS" not in self.ceph("health", "detail"), "the warning stays")
        self.ceph("config", "rm", "osd", "osd_op_complaint_time")

    def test_a_quota_and_who_goes_past_it(self):
        pool = self.pool("quota")
        self.ceph("osd", "pool", "set-quota", pool, "max_objects", 2)
        for name in ("a", "b"):
            self.world.client("rados", "-p", pool, "create", name)
        flags = lambda: next(each["flags_names"] for each in json.loads(self.ceph("osd", "dump", "-f", "json"))["pools"]
                             if each["pool_name"] == pool)
        wait_for(lambda: "full_quota" in flags(), "the pool is not full")
        self.assertRegex(self.ceph("health", "detail"), rf"pool '{pool}' is full \(running out of quota\)")
        edquot = 122
        self.assertEqual(self.past_it(pool, "c"), [edquot, 0, 0])
        # One without flags waits until there is room.
        writer = self.world.spawn(["rados", "-c", self.cluster.conf, "-p", pool, "create", "d"], "waiting")
        time.sleep(1)
        self.assertTrue(writer.alive())
        self.ceph("osd", "pool", "set-quota", pool, "max_objects", 10)
        self.assertTrue(writer.wait(30), "it goes on when the quota allows it")
        self.assertEqual(sorted(self.world.client("rados", "-p", pool, "ls").stdout.split()), [b"a", b"b", b"d"])

    def past_it(self, pool, name):
        said = self.world.client_program(["/usr/bin/python3", "-c", PAST_A_QUOTA, self.cluster.conf, pool, name])
        return [int(each) for each in said.split()]
