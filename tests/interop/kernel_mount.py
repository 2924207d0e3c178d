"""Debian's unmodified kernel in a guest mounts the cluster, writes a tree and unmounts; every daemon is killed; a
second guest mounts again and has to read the same tree."""

import json

from harness.cluster import POOLS
from harness.guest import Guest
from harness.network import SERVER
from harness.suite import ClusterTest

MOUNT = """
mkdir -p /mnt
mount -t ceph {server}:3300:/ /mnt -o name=admin,secret={key},ms_mode={mode},mount_timeout=30 || fail mount
grep -q 'ms_mode={mode}' /proc/mounts || fail "not mounted with ms_mode={mode}"
"""

WRITE = """
mkdir /mnt/{mode}
cd /mnt/{mode} || fail cd
for d in a b c; do mkdir -p $d/deep/deeper; done
for i in $(seq 1 150); do echo "small file $i of $RANDOM" > a/s$i; done
for i in $(seq 1 40); do ln -s ../a/s$i b/l$i; done
dd if=/dev/urandom of=big bs=1M count=9 2>/dev/null || fail "writing 9 MiB"
dd if=/dev/urandom of=c/one bs=4097 count=1 2>/dev/null
dd if=/dev/urandom of=c/odd bs=65537 count=7 conv=fsync 2>/dev/null
: > c/empty
dd if=/dev/urandom of=big bs=1000 seek=4194 count=2 conv=notrunc 2>/dev/null    # across an object's end
dd if=/dev/urandom of=c/sparse bs=4096 seek=3000 count=1 2>/dev/null
cp big c/shorter; truncate -s 5000001 c/shorter
cp c/odd c/longer; truncate -s 1000000 c/longer
echo appended >> c/one
for i in $(seq 1 20); do mv a/s$i b/moved$i; done
mv a/s30 a/s31                                                                  # over an existing file
mv c/deep b/deep/deeper/from-c
for i in $(seq 50 69); do rm a/s$i; done
rmdir a/deep/deeper a/deep
chmod 640 a/s40; chown 12:34 a/s41; touch -d '2001-02-03 04:05:06' a/s42; chmod 1777 b
mkdir gone && rmdir gone || fail rmdir
[ -z "$(ls -A .snap)" ] || fail "snapshots"
{snapless} mkdir .snap/one 2>/dev/null && fail "a snapshot was made"
set -- $(stat -f -c '%b %f %a %S %l' /mnt)
[ $1 -ge $2 ] && [ $2 = $3 ] && [ $5 = 255 ] || fail "statfs $*"
say space $1 $2 $4
"""

#: Names, kinds, sizes, modes, owners, times of files, checksums and link targets.
MANIFEST = """
cd /mnt/{mode} || fail cd
find . -type f | sort > /tmp/files
xargs stat -c '@@ stat %n %s %a %u %g %Y' < /tmp/files
xargs md5sum < /tmp/files | sed 's/^/@@ sum /'
find . -type d | sort | xargs stat -c '@@ folder %n %a %u %g'
find . -type l | sort | while read l; do echo "@@ link $l $(readlink $l)"; done
cd /
"""

LEAVE = """
umount /mnt || fail umount
dmesg | grep -iE 'libceph|ceph:' | grep -iE 'corrupt|mismatch|bad |fail|error|WARN|protocol' && fail "dmesg complains"
dmesg | grep -E 'BUG|WARNING|Oops' && fail "the kernel complains"
"""


#: Files that are fsynced one by one; the host ends every daemon at `crash`, and the MDS that serves at
#: `takeover`, when another one waits to go on; the client has to get over both.
GO_ON = """
mkdir /mnt/go-on && cd /mnt/go-on || fail mkdir
for i in $(seq 1 120); do
  dd if=/dev/urandom of=f$i bs=10001 count=$((i % 7 + 1)) conv=fsync 2>/dev/null || fail "writing file $i"
  if [ $((i % 5)) = 0 ]; then mv f$i moved$i || fail "moving file $i"; fi
  if [ $i = 40 ]; then say crash; fi
  if [ $i = 80 ]; then say takeover; fi
done
say written
md5sum * > /tmp/sums
cd /; umount /mnt || fail umount
"""

COMPARE = """
cd /mnt/go-on || fail cd
md5sum * > /tmp/sums-now
cmp -s /tmp/sums /tmp/sums-now || {{ diff /tmp/sums /tmp/sums-now; ls -l | head -40; fail "the files differ"; }}
[ $(wc -l < /tmp/sums) = 120 ] || fail "$(wc -l < /tmp/sums) files"
cd /; umount /mnt || fail umount
"""


class KernelMount(ClusterTest):
    def test_crc(self):
        self.write_kill_read("crc")

    def test_secure(self):
        self.write_kill_read("secure")

    def test_goes_on_after_a_crash(self):
        """The client stays mounted while every daemon dies and comes back, and while another MDS takes over. Placement
        groups that are not active yet ask it to keep its requests."""
        def crash(marker, words):
            if marker == "crash":
                self.cluster.kill()
                with open(self.cluster.conf, "a") as conf:
                    conf.write("[osd]\nosd_backoff_on_peering = true\n")
                self.cluster.start_all()
            if marker == "takeover":
                serves = json.loads(self.world.client("ceph", "status", "-f", "json").stdout)["fsmap"]["by_rank"][0]["name"]
                self.cluster.kill(f"mds.{serves}")

        self.world.client("ceph", "config", "set", "global", "mds_beacon_grace", 10 if self.stock else 3)
        self.cluster.add_standby("mds.b")
        reports = self.boot("prefer-crc", MOUNT + GO_ON + MOUNT + COMPARE, crash, deadline=120)
        self.assertIn(("written", ""), reports)
        if not self.stock:
            figures = self.world.client("ceph", "daemon", "osd.0", "perf", "dump").stdout
            print(f"     asked to keep requests {json.loads(figures)['osd']['backoffs']} times")
        self.cluster.remove_standby("mds.b")
        self.world.client("ceph", "config", "rm", "global", "mds_beacon_grace")

    def write_kill_read(self, mode):
        written = self.entries(mode, MOUNT + WRITE + "sync" + MANIFEST + LEAVE)
        self.assertGreater(len(written), 300)
        self.cluster.kill()
        self.cluster.start_all()
        read = self.entries(mode, MOUNT + MANIFEST + LEAVE)
        lost = [line for line in written if line not in set(read)]
        other = [line for line in read if line not in set(written)]
        if lost or other:
            lines = [f"{len(lost)} of {len(written)} entries are not as they were written"]
            lines += [f"written {' '.join(line)}" for line in lost[:10]]
            lines += [f"read    {' '.join(line)}" for line in other[:10]]
            self.fail("\n".join(lines))

    def entries(self, mode, script):
        return [report for report in self.boot(mode, script, self.space) if report[0] in ("stat", "sum", "folder", "link")]

    def space(self, marker, words):
        """What the kernel says of the file system's size is what the data pool has and can take."""
        if marker == "space" and not self.stock:  # nobody counts for a stock monitor without a manager
            df = json.loads(self.world.client("ceph", "df", "-f", "json").stdout)
            pool = next(p["stats"] for p in df["pools"] if p["name"] == POOLS[1])
            blocks, _, size = map(int, words.split())
            self.assertAlmostEqual(blocks * size, pool["stored"] + pool["max_avail"], delta=256 << 20)

    @property
    def stock(self):
        return self.cluster.software == "stock"

    def boot(self, mode, script, on_report=None, deadline=60):
        snapless = "false" if self.stock else ""
        words = {"snapless": snapless, "mode": mode, "server": SERVER, "key": self.cluster.admin_key()}
        guest = Guest(self.world.netns, script.format(**words), mark=self.world.folder, on_report=on_report)
        return guest.run(deadline)
