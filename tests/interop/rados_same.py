"""python3-rados and the `rados` command get the same answers from our OSD as from a stock one.

What a stock one answers is in tests/golden/rados.json; `tests/run rados_same --stock` compares with that and writes it
anew. (It takes a stock cluster too long to start for `make check` to do so every time.)"""

import os
import re

from harness import golden, rados_script
from harness.suite import ClusterTest

#: Where our answers differ, and why.
DIFFERENT = [(re.compile(pattern), why) for pattern, why in (
    ("^rados (set-redirect|set-chunk|tier-|unset-manifest|cache-)", "no manifests and no cache tiers: EOPNOTSUPP"),
)]


class RadosSame(ClusterTest):
    def test_answers_are_those_of_a_stock_osd(self):
        for name in ("script-a", "script-b", "script-snaps"):
            self.pool(name)
        folder = self.world.scratch("script")
        os.mkdir(folder)
        lines = self.world.client_program(["/usr/bin/python3", "-B", rados_script.__file__, self.cluster.conf, folder])
        golden.compare(self, "rados", lines, [pattern for pattern, _ in DIFFERENT])
