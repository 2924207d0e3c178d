"""A program that uses python3-rados: it connects, lists and makes pools, runs monitor commands, snapshots pools; with a
wrong key it is refused."""

import json

from harness import keys
from harness.suite import ClusterTest

PROGRAM = r"""
import json, rados, sys, time
cluster = rados.Rados(conffile=sys.argv[1])
cluster.connect(timeout=20)
assert cluster.get_fsid() == sys.argv[2], cluster.get_fsid()
assert "cephfs.fs.data" in cluster.list_pools()

def ask(**command):
    code, out, text = cluster.mon_command(json.dumps({**command, "format": "json"}), b"", timeout=20)
    return code, json.loads(out) if out.strip() else None, text

code, status, text = ask(prefix="status")
assert code == 0 and status["fsid"] == sys.argv[2], (code, text)
malformed = ['{"prefix": "no such"}', '{"prefix": ', "[]"]
if sys.argv[3] != "stock":
    malformed.append('{"prefix": 7}')  # one that kills a stock monitor (bad_cmd_get in Monitor::handle_command)
for command in malformed:
    assert cluster.mon_command(command, b"")[0] == -22, command
deadline = time.monotonic() + 20  # after a start, OSDs report within some seconds; a stock one counts in its manager
while sys.argv[3] != "stock" and not cluster.get_cluster_stats()["kb"]:
    assert time.monotonic() < deadline
    time.sleep(0.2)

# Pools and their snapshots: the pool's own, or those that the client numbers; never both.
for name in ("python-a", "python-b"):
    cluster.create_pool(name)
    assert cluster.pool_exists(name)
first, second = cluster.open_ioctx("python-a"), cluster.open_ioctx("python-b")
first.write_full("object", b"old")
first.create_snap("before")
first.write_full("object", b"new")
assert [snap.name for snap in first.list_snaps()] == ["before"]
first.set_read(first.lookup_snap("before").snap_id)
assert first.read("object") == b"old"
first.set_read(rados.LIBRADOS_SNAP_HEAD)
first.snap_rollback("object", "before")
assert first.read("object") == b"old"
first.remove_snap("before")
assert list(first.list_snaps()) == []
numbered = second.create_self_managed_snap()
second.set_self_managed_snap_write([numbered])
second.write_full("object", b"kept")
second.remove_self_managed_snap(numbered)
try:
    second.create_snap("mixed")
    raise SystemExit("a pool snapshot in a pool of self-managed ones")
except rados.Error as refused:
    assert refused.errno == 22, refused
code, _, _ = ask(prefix="osd pool application enable", pool="python-a", app="mine")
assert code == 0
first.application_metadata_set("mine", "key", "value")
assert first.application_metadata_get("mine", "key") == "value"
assert first.application_list() == ["mine"]

# Deleted once the guard is lifted.
try:
    cluster.delete_pool("python-a")
    raise SystemExit("deleted in spite of the guard")
except rados.Error as refused:
    assert refused.errno == 1, refused
assert ask(prefix="config set", who="mon", name="mon_allow_pool_delete", value="true")[0] == 0
first.close()
second.close()
for name in ("python-a", "python-b"):
    cluster.delete_pool(name)
    assert not cluster.pool_exists(name)
assert ask(prefix="config rm", who="mon", name="mon_allow_pool_delete")[0] == 0
cluster.shutdown()
print(json.dumps("done"))
"""

REFUSED = r"""
import rados, sys
cluster = rados.Rados(conffile=sys.argv[1], name=sys.argv[2], conf={"keyring": sys.argv[3]})
try:
    cluster.connect(timeout=20)
except rados.Error as refused:
    print(type(refused).__name__)
"""


class PythonClient(ClusterTest):
    def run_program(self, text, *words):
        return self.world.client_program(["/usr/bin/python3", "-B", "-c", text, self.cluster.conf, *words])

    def test_program(self):
        self.assertEqual(json.loads(self.run_program(PROGRAM, self.cluster.fsid, self.cluster.software)), "done")

    def test_wrong_key(self):
        keyring = self.world.scratch("python-wrong.keyring")
        for name in ("client.admin", "client.nobody"):
            keys.write_keyring(keyring, {name: keys.make_key()})
            self.assertIn(self.run_program(REFUSED, name, keyring).strip(),
                          ("PermissionDeniedError", "PermissionError"), name)
