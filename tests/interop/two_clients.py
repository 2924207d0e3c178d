"""Two clients on the same files get the answers that they get from a stock MDS: synchronous I/O when both write, sizes
and times, attributes and ACLs, names that the other changes, locks.

What a stock one answers is in tests/golden/two_clients.json; `tests/run two_clients --stock` compares with that and
writes it anew."""

from harness import golden, two_clients
from harness.suite import ClusterTest


class TwoClients(ClusterTest):
    def test_answers_are_those_of_a_stock_mds(self):
        lines = self.world.client_program(["/usr/bin/python3", "-B", two_clients.__file__, self.cluster.conf])
        golden.compare(self, "two_clients", lines)
