"""A disk that is nearly full: what was overwritten or removed comes back with the store's next commits, and writers wait
for those instead of being refused."""

import os

from harness.cluster import Options
from harness.suite import ClusterTest
from interop.monitor_life import asked

#: rados_small_disk.py CONF POOL STEP, through python3-rados: objects of 4 MiB, eight requests under way.
SCRIPT = """
import sys
import rados

OBJECT = 4 << 20
cluster = rados.Rados(conffile=sys.argv[1])
cluster.connect(timeout=30)
io = cluster.open_ioctx(sys.argv[2])

def write(names):
    "How many were written until the first refusal, and that refusal."
    done, waiting = 0, []
    names = list(names)
    while names or waiting:
        while names and len(waiting) < 8:
            name = names.pop(0)
            waiting.append(io.aio_write_full(name, name[-1].encode() * OBJECT))
        first = waiting.pop(0)
        first.wait_for_complete()
        if first.get_return_value() != 0:
            refused = first.get_return_value()
            for each in waiting:
                each.wait_for_complete()
            return done, refused
        done += 1
    return done, 0

def rewrite(objects, rounds):
    "The same objects again and again: several times what the disk holds."
    done, refused = write(f"again{i}" for _ in range(rounds) for i in range(objects))
    assert refused == 0, f"{done} of {objects * rounds}: {refused}"

def replace(rounds):
    "Filled up, and all of it removed and written again without a pause."
    held, refused = write(f"fill{i}" for i in range(10000))
    assert refused == -28, refused
    assert held > 50, held
    for _ in range(rounds):
        for i in range(held + 8):
            try:
                io.remove_object(f"fill{i}")
            except rados.ObjectNotFound:
                pass
        done, refused = write(f"fill{i}" for i in range(held - 8))
        assert refused == 0, f"{done} of {held} after all were removed: {refused}"

exec(sys.argv[3])
"""


class SmallDisk(ClusterTest):
    seconds_max = 240

    def setUp(self):
        world = self.world
        if world.kind.software != "spirula":
            self.cluster = None  # a stock client waits there for what an administrator does
            return
        folder = os.path.join(world.folder, f"small-{self._testMethodName}")
        world.ledger.record("cluster", path=folder)
        self.cluster = world.kind(folder, Options(mds=0, osd_size=1.5, netns=world.netns, addr="127.0.0.1"))
        self.addCleanup(self.cluster.down)
        self.cluster.up()
        asked(world, self.cluster, "osd", "pool", "create", "p", "8")

    def run_script(self, step):
        self.world.client_program(["/usr/bin/python3", "-c", SCRIPT, self.cluster.conf, "p", step])

    def test_rewriting_waits_for_commits(self):
        if self.cluster:
            self.run_script("rewrite(objects=200, rounds=8)")

    def test_what_was_removed_can_be_written_at_once(self):
        if self.cluster:
            self.run_script("replace(rounds=2)")
