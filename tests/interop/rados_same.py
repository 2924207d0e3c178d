"""python3-rados and the `rados` command get the same answers from our OSD as from a stock one.

What a stock one answers is in tests/golden/rados.json; `tests/run rados_same --stock` compares with that and writes it
anew. (It takes a stock cluster too long to start for `make check` to do so every time.)"""

import json
import os
import re

from harness import rados_script
from harness.stock import StockCluster
from harness.suite import ClusterTest

GOLDEN = os.path.realpath(os.path.join(os.path.dirname(__file__), "../golden/rados.json"))

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
        answers = [json.loads(line) for line in lines.splitlines()]
        golden = []
        if os.path.exists(GOLDEN):
            with open(GOLDEN) as f:
                golden = json.load(f)
        if self.world.kind is StockCluster:
            with open(GOLDEN, "w") as f:
                f.write("[\n" + ",\n".join(json.dumps(each) for each in answers) + "\n]\n")
        self.assertEqual([what for what, _ in answers], [what for what, _ in golden])
        wrong = [f"{what}: {ours}, stock {stock}" for (what, ours), (_, stock) in zip(answers, golden)
                 if ours != stock and not any(pattern.search(what) for pattern, _ in DIFFERENT)]
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))
