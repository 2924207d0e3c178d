"""The command line that tests/cluster and tests/stock share."""

import argparse
import dataclasses
import json
import os
import signal
import sys
import time

from . import processes
from .cluster import ClusterError, Options
from .spirula import SpirulaCluster
from .stock import StockCluster

_KINDS = {kind.software: kind for kind in (SpirulaCluster, StockCluster)}


def open_cluster(directory):
    """The cluster that `up` made in `directory`. Raises ClusterError when there is none."""
    try:
        with open(os.path.join(directory, "cluster.json")) as f:
            state = json.load(f)
    except FileNotFoundError:
        raise ClusterError(f"no cluster in {directory}") from None
    except ValueError:
        raise ClusterError(f"{directory}/cluster.json is torn; `down` still works") from None
    return _KINDS[state["software"]](directory).load(state)


def print_status(cluster):
    """True when every daemon lives."""
    alive = True
    for name in cluster.daemon_names():
        process = cluster.process(name)
        if process:
            print(f"{name:8} pid {process.pid:<8} {process.memory_mib():6.0f} MiB {process.cpu_seconds():8.1f} s CPU")
        else:
            print(f"{name:8} dead")
            alive = False
    code, out = cluster.command({"prefix": "status"})
    print(out.rstrip())
    return alive and code == 0


def mount_lines(cluster):
    """How a person mounts it."""
    address = cluster.mon_address("mon.a")[3:].partition("/")[0]
    secret = f"name=admin,secret={cluster.admin_key()}," if cluster.options.auth == "cephx" else ""
    return [f"mount -t ceph {address}:/ /mnt -o {secret}ms_mode=prefer-crc",
            f"ceph-fuse -c {cluster.conf} /mnt",
            f"ceph -c {cluster.conf} -s"]


def _interrupted(number, frame):
    raise KeyboardInterrupt


def serve(cluster):
    """Up, say how to mount it, and down again on Ctrl-C or SIGTERM, or when a daemon dies."""
    if cluster.ledger.exists() and not processes.marked(cluster.directory):
        cluster.down()  # what an earlier one left that was killed
    cluster.up()
    print("\nReady. Mount it with one of\n")
    for line in mount_lines(cluster):
        print("  " + line)
    print("\nCtrl-C takes it down and forgets the data.", flush=True)
    try:
        while len(cluster.running()) == len(cluster.daemon_names()):
            time.sleep(0.5)
        dead = sorted(set(cluster.daemon_names()) - set(cluster.running()))
        print(f"\n{', '.join(dead)} has died:\n{cluster.log_tails()}")
        return 1
    except KeyboardInterrupt:
        print()
        return 0
    finally:
        cluster.down()


def parse(software, argv):
    defaults = Options()
    parser = argparse.ArgumentParser(prog="tests/" + ("cluster" if software == "spirula" else software))
    commands = parser.add_subparsers(dest="verb", required=True)
    for verb, words in (("up", "make a cluster in DIR and wait until it answers"),
                        ("serve", "as up, stay, and take it down on Ctrl-C")):
        up = commands.add_parser(verb, help=words)
        up.add_argument("directory", metavar="DIR")
        for name in ("mons", "osds", "mds"):
            up.add_argument(f"--{name}", type=int, default=getattr(defaults, name), metavar="N")
        up.add_argument("--osd-size", type=float, default=defaults.osd_size, metavar="GIB")
        up.add_argument("--auth", choices=("cephx", "none"), default=defaults.auth)
        up.add_argument("--addr", default=defaults.addr, metavar="IP", help="what the daemons bind to")
        up.add_argument("--netns", default="", metavar="NAME", help="an existing network namespace to run them in")
        up.add_argument("--wait", type=float, default=defaults.wait, metavar="SECONDS")
        if software == "stock":
            up.add_argument("--store", choices=("bluestore", "filestore"), default="bluestore")
    for verb, words in (("status", "what runs, and what the monitor says"), ("down", "take it all away"),
                        ("kill", "SIGKILL daemons (default: all)"), ("stop", "SIGTERM daemons (default: all)"),
                        ("start", "start daemons (default: those that do not run)")):
        sub = commands.add_parser(verb, help=words)
        sub.add_argument("directory", metavar="DIR")
        if verb in ("kill", "stop", "start"):
            sub.add_argument("daemons", nargs="*", metavar="NAME", help="mon.a, osd.0, mds.a ...")
    return parser.parse_args(argv)


def run(software, argv):
    args = parse(software, argv)
    if args.verb in ("up", "serve"):
        given = {f.name: getattr(args, f.name) for f in dataclasses.fields(Options) if hasattr(args, f.name)}
        cluster = _KINDS[software](args.directory, Options(**given))
        if args.verb == "serve":
            return serve(cluster)
        cluster.up()
        return 0
    if args.verb == "down":
        try:
            cluster = open_cluster(args.directory)
        except ClusterError:
            cluster = _KINDS[software](args.directory)
        cluster.down()
        return 0
    cluster = open_cluster(args.directory)
    if args.verb == "status":
        return 0 if print_status(cluster) else 1
    if args.verb == "start" and not args.daemons:
        cluster.start_all()
    elif args.verb == "start":
        for name in args.daemons:
            cluster.start(name)
    else:
        getattr(cluster, args.verb)(*args.daemons)
    return 0


def main(software):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # SIGINT too: a shell's background job ignores it
        signal.signal(number, _interrupted)
    try:
        sys.exit(run(software, sys.argv[1:]))
    except ClusterError as error:
        print(f"{error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
