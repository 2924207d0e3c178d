"""Two clients on the same files get the answers that they get from a stock MDS: synchronous I/O when both write, sizes
and times, attributes and ACLs, names that the other changes, locks.

What a stock one answers is in tests/golden/two_clients.json; `tests/run two_clients --stock` compares with that and
writes it anew."""

import json
import os

from harness import two_clients
from harness.stock import StockCluster
from harness.suite import ClusterTest

GOLDEN = os.path.realpath(os.path.join(os.path.dirname(__file__), "../golden/two_clients.json"))


class TwoClients(ClusterTest):
    def test_answers_are_those_of_a_stock_mds(self):
        lines = self.world.client_program(["/usr/bin/python3", "-B", two_clients.__file__, self.cluster.conf])
        answers = [json.loads(line) for line in lines.splitlines()]
        golden = []
        if os.path.exists(GOLDEN):
            with open(GOLDEN) as f:
                golden = json.load(f)
        if self.world.kind is StockCluster:
            with open(GOLDEN, "w") as f:
                f.write("[\n" + ",\n".join(json.dumps(each) for each in answers) + "\n]\n")
        self.assertEqual([what for what, _ in answers], [what for what, _ in golden])
        wrong = [f"{what}: {ours}, stock {stock}" for (what, ours), (_, stock) in zip(answers, golden) if ours != stock]
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))
