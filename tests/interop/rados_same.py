"""python3-rados and the `rados` command get the same answers from our OSD as from a stock one.

What a stock one answers is in tests/golden/rados.json; `tests/run rados_same --stock` compares with that and writes it
anew. (It takes a stock cluster too long to start for `make check` to do so every time.)"""

import os
import re

from harness import golden, rados_script
from harness.cluster import Options
from harness.suite import ClusterTest

#: Where our answers differ, and why.
DIFFERENT = [(re.compile(pattern), why) for pattern, why in (
    ("^rados (set-redirect|set-chunk|tier-|unset-manifest|cache-)", "no manifests and no cache tiers: EOPNOTSUPP"),
)]


class RadosSame(ClusterTest):
    def test_answers_are_those_of_a_stock_osd(self):
        self.compare()

    def compare(self):
        for name in ("script-a", "script-b", "script-snaps"):
            self.make_pool(name)
        folder = self.world.scratch(f"script-{type(self).__name__}")
        os.mkdir(folder)
        lines = self.world.client_program(["/usr/bin/python3", "-B", rados_script.__file__, self.cluster.conf, folder])
        golden.compare(self, "rados", lines, [pattern for pattern, _ in DIFFERENT])

    def make_pool(self, name):
        self.pool(name)


class OnShards(RadosSame):
    """The same of an OSD that serves on three threads. (A stock one knows the option only under other names.)"""

    def setUp(self):
        world = self.world

        class Sharded(world.kind):
            def conf_text(self):
                return super().conf_text().replace("[global]\n", "[global]\nosd shards = 3\n", 1)
        folder = os.path.join(world.folder, "sharded")
        world.ledger.record("cluster", path=folder)
        self.cluster = Sharded(folder, Options(osds=1, mds=0, netns=world.netns, addr="127.0.0.1"))
        self.cluster.up()
        self.addCleanup(self.cluster.down)

    def make_pool(self, name):
        self.cluster.ask(prefix="osd pool create", pool=name, pg_num=8)
