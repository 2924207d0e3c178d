#!/usr/bin/python3 -B
"""Everything that python3-rados and the `rados` command can ask of an OSD, with the answers: rados_script.py CONF FOLDER

Prints one JSON line a step: [what, answer]. Answers hold nothing that differs from run to run, so that two clusters can
be compared. Needs the empty pools script-a, script-b and script-snaps, and an empty folder for its files.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time

import rados


def plain(value):
    """As JSON has it."""
    if isinstance(value, bytes):
        return value.decode("latin-1") if len(value) <= 200 else f"{len(value)} bytes {hashlib.md5(value).hexdigest()}"
    if isinstance(value, dict):
        return {str(plain(key)): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(each) for each in value]
    return value


def step(what, function, *arguments, **named):
    try:
        answer = plain(function(*arguments, **named))
    except rados.Error as error:
        answer = f"{type(error).__name__} {error.errno}"
    except (TypeError, ValueError, OverflowError, AssertionError) as error:  # what the binding makes of some codes
        answer = type(error).__name__
    print(json.dumps([what, answer]), flush=True)
    return answer


def wait(start, what="value"):
    """The outcome of an asynchronous call. `start` gets the callback and returns the completion."""
    got, done = [], threading.Event()

    def finished(completion, *answer):
        got.extend(answer)
        done.set()

    completion = start(finished)
    completion.wait_for_complete_and_cb()
    assert done.wait(30)
    return [completion.get_return_value(), *map(plain, got)]


def data(io):
    step("read of what is not there", io.read, "none")
    step("stat of what is not there", io.stat, "none")
    step("remove of what is not there", io.remove_object, "none")
    step("trunc makes", lambda: (io.trunc("made", 10), io.stat("made")[0], io.read("made")))
    step("write", io.write, "o", b"hello world", 0)
    step("write behind the end", io.write, "o", b"far", 20)
    step("read", io.read, "o")
    step("read a part", io.read, "o", 5, 6)
    step("read behind the end", io.read, "o", 10, 100)
    step("read over the end", io.read, "o", 100, 15)
    step("read nothing", io.read, "o", 0, 0)
    step("append", lambda: (io.append("o", b"+"), io.read("o")))
    step("write_full shortens", lambda: (io.write_full("o", b"short"), io.read("o"), io.stat("o")[0]))
    step("write_full of nothing", lambda: (io.write_full("o", b""), io.stat("o")[0]))
    step("write nothing", lambda: (io.write("empty", b"", 0), io.stat("empty")[0]))
    step("writesame", lambda: (io.writesame("o", b"ab", 10, 2), io.read("o")))
    step("writesame uneven", io.writesame, "o", b"abc", 10, 0)
    step("writesame of nothing", io.writesame, "o", b"", 10, 0)
    step("cmpext equal", io.cmpext, "o", b"abab", 2)
    step("cmpext not", io.cmpext, "o", b"abax", 2)
    step("cmpext behind the end", io.cmpext, "o", b"\0\0", 1000)
    step("cmpext not behind the end", io.cmpext, "o", b"\0x", 1000)
    step("cmpext of none", io.cmpext, "none", b"x", 0)
    step("trunc grows", lambda: (io.trunc("o", 100), io.read("o", 200)))
    step("trunc too far", io.trunc, "o", 1 << 40)
    step("write too far", io.write, "o", b"x", 1 << 40)
    step("write at the limit", io.write, "o", b"x", 128 << 20)
    step("write just below the limit", io.write, "o", b"x", (128 << 20) - 1)
    step("stat", lambda: io.stat("o")[0])
    step("read in the hole", io.read, "o", 10, 64 << 20)
    big = bytes(range(256)) * (20 << 12)
    step("20 MiB", lambda: (io.write_full("big", big), io.read("big", len(big)) == big))
    step("too much at once", lambda: io.write_full("big", big * 5))
    step("a long name", io.write_full, "n" * 2048, b"x")
    step("too long a name", io.write_full, "n" * 2049, b"x")
    step("a name of any bytes", lambda: (io.write_full("\x01/\n\xff%", b"x"), io.read("\x01/\n\xff%")))
    step("mtime", lambda: time.mktime(io.stat("big")[1]) > 1.5e9)


def versions(io):
    def last(work):
        work()
        return io.get_last_version()

    first = last(lambda: io.write_full("version", b"1"))
    step("a write counts one", lambda: last(lambda: io.append("version", b"2")) - first)
    step("a read shows it", lambda: last(lambda: io.read("version")) - first)
    for name, version in (("right", first + 1), ("older", first), ("newer", first + 9), ("zero", 0)):
        def write():
            with rados.WriteOpCtx() as op:
                op.assert_version(version)
                op.append(b"3")
                io.operate_write_op(op, "version")
        step(f"assert_version {name}", write)
    step("content", io.read, "version")


def asynchronous(io):
    step("aio_write", wait, lambda cb: io.aio_write("a", b"hello", 0, cb, cb))
    step("aio_append", wait, lambda cb: io.aio_append("a", b" world", cb, cb))
    step("aio_read", wait, lambda cb: io.aio_read("a", 100, 0, cb))
    step("aio_read a part", wait, lambda cb: io.aio_read("a", 3, 4, cb))
    step("aio_read none", wait, lambda cb: io.aio_read("none", 100, 0, cb))
    step("aio_stat", lambda: wait(lambda cb: io.aio_stat("a", cb))[:2])
    step("aio_stat none", lambda: wait(lambda cb: io.aio_stat("none", cb))[:1])
    step("aio_write_full", wait, lambda cb: io.aio_write_full("a", b"full", cb, cb))
    step("aio_writesame", wait, lambda cb: io.aio_writesame("a", b"xy", 6, 0, cb))
    step("aio_cmpext", wait, lambda cb: io.aio_cmpext("a", b"xyxy", 0, cb))
    step("aio_cmpext not", wait, lambda cb: io.aio_cmpext("a", b"xyyy", 0, cb))
    step("aio_setxattr", wait, lambda cb: io.aio_setxattr("a", "k", b"v", cb))
    step("aio_rmxattr", wait, lambda cb: io.aio_rmxattr("a", "k", cb))
    step("aio_rmxattr none", wait, lambda cb: io.aio_rmxattr("a", "k", cb))
    step("aio_execute", wait, lambda cb: io.aio_execute("a", "lock", "get_info", b"", 100, cb, cb))
    step("aio_remove", wait, lambda cb: io.aio_remove("a", cb, cb))
    step("aio_remove none", wait, lambda cb: io.aio_remove("a", cb, cb))

    def many():
        calls = [io.aio_append("many", b"%03d" % i) for i in range(300)]
        io.aio_flush()
        assert all(call.is_complete() for call in calls)
        return io.read("many", 1000)
    step("appends keep their order", many)


def attributes(io):
    io.write_full("x", b"")
    step("get_xattr of none", io.get_xattr, "x", "k")
    step("get_xattr of no object", io.get_xattr, "none", "k")
    step("set_xattr", io.set_xattr, "x", "k", b"v\0\xff")
    step("get_xattr", io.get_xattr, "x", "k")
    step("set_xattr makes", lambda: (io.set_xattr("made by xattr", "k", b"v"), io.stat("made by xattr")[0]))
    step("empty value", lambda: (io.set_xattr("x", "empty", b""), io.get_xattr("x", "empty")))
    step("get_xattrs", lambda: sorted(io.get_xattrs("x")))
    step("get_xattrs of no object", lambda: sorted(io.get_xattrs("none")))
    step("rm_xattr", io.rm_xattr, "x", "k")
    step("rm_xattr again", io.rm_xattr, "x", "k")
    step("a large one", lambda: (io.set_xattr("x", "large", b"v" * 60000), io.get_xattr("x", "large")))
    step("a long name", io.set_xattr, "x", "n" * 99, b"v")
    step("too long a name", io.set_xattr, "x", "n" * 256, b"v")
    step("names", lambda: sorted(key for key, _ in io.get_xattrs("x")))


def omap(io):
    def write(name, *work):
        with rados.WriteOpCtx() as op:
            for each in work:
                each(op)
            io.operate_write_op(op, name)

    def pairs(name, after="", prefix="", count=100):
        with rados.ReadOpCtx() as op:
            found, status = io.get_omap_vals(op, after, prefix, count)
            io.operate_read_op(op, name)
            return list(found)

    def keys(name, after="", count=100):
        with rados.ReadOpCtx() as op:
            found, status = io.get_omap_keys(op, after, count)
            io.operate_read_op(op, name)
            return [key for key, _ in found]

    def by_keys(name, wanted):
        with rados.ReadOpCtx() as op:
            found, status = io.get_omap_vals_by_keys(op, wanted)
            io.operate_read_op(op, name)
            return list(found)

    names = tuple(f"{p}{i:02}" for p in "ab" for i in range(10))
    values = tuple(f"value {n}".encode() for n in names)
    step("omap of no object", pairs, "none")
    step("set_omap", write, "m", lambda op: io.set_omap(op, names, values))
    step("all", pairs, "m")
    step("some", pairs, "m", "", "", 3)
    step("after", pairs, "m", "b07")
    step("prefix", pairs, "m", "", "b0", 2)
    step("after and prefix", pairs, "m", "a05", "b")
    step("keys", keys, "m")
    step("keys after", keys, "m", "a08", 3)
    step("by keys", by_keys, "m", ("a01", "nothing", "b02"))
    step("remove keys", lambda: (write("m", lambda op: io.remove_omap_keys(op, ("a01", "nothing"))), len(keys("m"))))
    step("remove keys of none", write, "none", lambda op: io.remove_omap_keys(op, ("a01",)))
    step("remove a range", lambda: (write("m", lambda op: io.remove_omap_range2(op, "a05", "b03")), keys("m")))
    step("any bytes", lambda: (write("m", lambda op: io.set_omap(op, ("\x01", "\x7f/"), (b"\0", b"\xff"))), keys("m")))
    for value, operation in ((b"value b05", rados.LIBRADOS_CMPXATTR_OP_EQ), (b"value b06", rados.LIBRADOS_CMPXATTR_OP_EQ),
                             (b"value b06", rados.LIBRADOS_CMPXATTR_OP_GT), (b"value b04", rados.LIBRADOS_CMPXATTR_OP_LT),
                             (b"value b04", rados.LIBRADOS_CMPXATTR_OP_NE)):
        step(f"omap_cmp {value} {operation}", write, "m", lambda op: op.omap_cmp("b05", value.decode(), operation))
    step("clear", lambda: (write("m", io.clear_omap), keys("m")))
    step("clear none", write, "none 2", io.clear_omap)
    step("more than a page", lambda: (write("large", lambda op: io.set_omap(
        op, tuple(f"{i:05}" for i in range(3000)), (b"v",) * 3000)), len(keys("large", "", 5000)), keys("large", "02990")))


def compound(io):
    def write(name, *work, flags=0):
        with rados.WriteOpCtx() as op:
            for each in work:
                each(op)
            io.operate_write_op(op, name, flags=flags)

    step("create exclusive", write, "c", lambda op: op.new(rados.LIBRADOS_CREATE_EXCLUSIVE))
    step("again", write, "c", lambda op: op.new(rados.LIBRADOS_CREATE_EXCLUSIVE))
    step("idempotent", write, "c", lambda op: op.new(rados.LIBRADOS_CREATE_IDEMPOTENT))
    step("several", lambda: (write("c", lambda op: op.write_full(b"0123456789"), lambda op: op.append(b"abc"),
                                   lambda op: op.zero(2, 3), lambda op: op.set_xattr("k", b"v"),
                                   lambda op: op.truncate(12)), io.read("c"), io.get_xattr("c", "k")))
    step("all or nothing", write, "c", lambda op: op.write_full(b"lost"), lambda op: op.rm_xattr("none"),
         lambda op: op.new(rados.LIBRADOS_CREATE_EXCLUSIVE))
    step("nothing", io.read, "c")
    step("cmpext guards", write, "c", lambda op: op.cmpext(b"xx", 0), lambda op: op.write_full(b"lost"))
    step("writesame", lambda: (write("c", lambda op: op.writesame(b"z", 4, 0)), io.read("c")))
    step("remove and write", lambda: (write("c", lambda op: op.remove(), lambda op: op.write(b"new", 0)), io.read("c"),
                                      sorted(io.get_xattrs("c"))))
    step("zero behind the end", lambda: (write("c", lambda op: op.zero(100, 10)), io.stat("c")[0]))
    step("remove what is not there", write, "none", lambda op: op.remove())
    step("no operation", write, "none")
    step("unknown class", io.execute, "c", "no_such_class", "method", b"")
    step("unknown method", io.execute, "c", "lock", "no_such_method", b"")
    step("garbage for a method", io.execute, "c", "lock", "lock", b"\xff\xff\xff")
    step("a method of no object", io.execute, "none", "lock", "get_info", b"")
    step("execute in an operation", write, "c", lambda op: op.execute("lock", "no_such_method", b""))


def snapshots(io, own):
    io.write_full("s", b"one")
    step("create_snap", io.create_snap, "first")
    step("create_snap again", io.create_snap, "first")
    io.write_full("s", b"two, longer")
    io.write_full("later", b"later")
    step("list_snaps", lambda: [snap.name for snap in io.list_snaps()])
    step("lookup none", io.lookup_snap, "none")
    io.create_snap("second")
    io.remove_object("s")
    step("head", io.read, "s")
    step("a removed object is listed while a snapshot has it",
         lambda: sorted(each.key for each in io.list_objects()))

    def at(name, what):
        io.set_read(io.lookup_snap(name).snap_id)
        try:
            return io.read(what)
        finally:
            io.set_read(rados.LIBRADOS_SNAP_HEAD)
    for name in ("first", "second"):
        for what in ("s", "later"):
            step(f"{what} at {name}", at, name, what)
    step("a write at a snapshot", lambda: (io.set_read(1), io.write("s", b"x", 0)))
    io.set_read(rados.LIBRADOS_SNAP_HEAD)
    step("write again", lambda: (io.write_full("s", b"three"), io.read("s"), at("second", "s"), at("first", "s")))
    step("rollback", lambda: (io.snap_rollback("s", "first"), io.read("s")))
    step("rollback to what was not", lambda: (io.snap_rollback("later", "first"), io.read("later")))
    step("rollback to none", io.snap_rollback, "s", "none")
    step("remove_snap", io.remove_snap, "first")
    step("remove_snap again", io.remove_snap, "first")
    step("what is left", lambda: [snap.name for snap in io.list_snaps()])
    step("at the other", at, "second", "s")
    step("self-managed in a pool of pool snapshots", io.create_self_managed_snap)

    ids = [own.create_self_managed_snap()]
    own.set_self_managed_snap_write(ids)
    own.write_full("s", b"one")
    ids.insert(0, own.create_self_managed_snap())
    own.set_self_managed_snap_write(ids)
    own.append("s", b" two")
    own.set_xattr("s", "k", b"v")

    def own_at(snap):
        own.set_read(snap)
        try:
            return own.read("s"), sorted(key for key, _ in own.get_xattrs("s"))
        finally:
            own.set_read(rados.LIBRADOS_SNAP_HEAD)
    step("self-managed, newest", own_at, ids[0])
    step("self-managed, before it was made", own_at, ids[1])
    step("self-managed rollback", lambda: (own.rollback_self_managed_snap("s", ids[0]), own.read("s")))
    step("remove self-managed", own.remove_self_managed_snap, ids[0])
    step("out of order", lambda: (own.set_self_managed_snap_write([3, 2, 1]), own.write("s", b"!", 0)))
    step("ascending", lambda: (own.set_self_managed_snap_write([1, 2, 3]), own.write("s", b"!", 0)))
    step("pool snapshot in a pool of self-managed ones", own.create_snap, "x")


def watches(cluster, io):
    io.write_full("w", b"")
    heard, lost = [], []

    def notified(notify_id, notifier, watch_id, payload):
        heard.append(payload)
        return b"answer"

    step("watch of none", lambda: io.watch("none", notified, None, 30))
    step("notify of none", io.notify, "none", "x", 2000)
    step("notify of nobody", io.notify, "w", "x", 2000)
    watch = io.watch("w", notified, lambda *what: lost.append(what), 30)
    step("notify", lambda: (io.notify("w", "hello", 5000), heard))
    second = io.watch("w", notified, None, 30)

    def answers():
        got, done = [], threading.Event()

        def finished(completion, result, replies, timeouts):
            got.extend([result, [reply[2] for reply in replies or []], len(timeouts or [])])
            done.set()
        io.aio_notify("w", finished, "hello again", 5000)
        assert done.wait(30)
        return got
    step("answers of two watchers of one client", answers)
    second.close()
    step("one is gone", answers)
    watch.close()
    step("nobody", answers)
    step("no error", lambda: lost)


def locks(cluster, other, io):
    mine, theirs = io, other.open_ioctx("script-a")
    step("lock_exclusive", mine.lock_exclusive, "l", "lock", "cookie", "description")
    step("again", mine.lock_exclusive, "l", "lock", "cookie")
    step("another cookie", mine.lock_exclusive, "l", "lock", "cookie 2")
    step("another client", theirs.lock_exclusive, "l", "lock", "cookie")
    step("another lock", theirs.lock_exclusive, "l", "lock 2", "cookie")
    step("shared instead", mine.lock_shared, "l", "lock", "cookie", "tag")
    step("unlock of another", theirs.unlock, "l", "lock", "cookie")
    step("unlock of another cookie", mine.unlock, "l", "lock", "cookie 2")
    step("unlock", mine.unlock, "l", "lock", "cookie")
    step("unlock again", mine.unlock, "l", "lock", "cookie")
    step("shared", mine.lock_shared, "l", "lock", "a", "tag")
    step("shared by two", theirs.lock_shared, "l", "lock", "a", "tag")
    step("another tag", theirs.lock_shared, "l", "lock", "b", "tag 2")
    step("exclusive beside shared", theirs.lock_exclusive, "l", "lock", "b")
    step("unlock of none", mine.unlock, "none", "lock", "cookie")
    step("for a second", mine.lock_exclusive, "t", "lock", "cookie", "", 1)
    time.sleep(1.5)
    step("after it", theirs.lock_exclusive, "t", "lock", "cookie")
    theirs.close()


def places(io):
    for space in ("", "one", "two"):
        io.set_namespace(space)
        io.write_full("same", f"in {space}".encode())
    step("namespaces", lambda: [(io.set_namespace(space), io.read("same"))[1] for space in ("", "one", "two")])
    step("list one", lambda: [(each.nspace, each.key) for each in io.list_objects()])
    io.set_namespace(rados.LIBRADOS_ALL_NSPACES)
    step("list all", lambda: sorted((each.nspace, each.key, each.locator_key or "") for each in io.list_objects()))
    io.set_namespace("")
    io.set_locator_key("together")
    for number in range(3):
        io.write_full(f"located {number}", b"x")
    step("with a locator", io.read, "located 1")
    io.set_locator_key("")
    step("without it", io.read, "located 1")
    step("listed with locators", lambda: sorted((each.key, each.locator_key or "") for each in io.list_objects()))
    for number in range(100):
        io.write_full(f"many {number}", b"")
    step("listed once each", lambda: len([each for each in io.list_objects() if each.key.startswith("many")]))
    step("too long a namespace", lambda: (io.set_namespace("n" * 300), io.write_full("x", b"x")))
    io.set_namespace("")


def tool(conf, folder):
    """The `rados` command, verb by verb."""
    def run(*words, pool="script-b", text=None):
        done = subprocess.run(["rados", "-c", conf, *(["-p", pool] if pool else []), *words], input=text, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder)
        out = (done.stdout + done.stderr).decode("latin-1")
        for pattern, by in ((r"\d{4}-\d\d-\d\dT[\d:.+]+", "TIME"), (r"mtime [^,\n]+", "mtime TIME"),
                            (r"client\.\d+", "client.N"), (r"cookie=\d+", "cookie=N"), (r"watcher=\S+", "watcher=A"),
                            (r"\b\d+\.\d+\.\d+\.\d+:\d+/\d+", "ADDRESS"), (r"\[INF\].*\n", "")):
            out = re.sub(pattern, by, out)
        return [done.returncode, out if len(out) <= 3000 else plain(out.encode())]

    def verb(*words, pool="script-b", text=None, order=False):
        def sort():
            code, out = run(*words, pool=pool, text=text)
            return [code, sorted(out.splitlines()) if order else out]
        step("rados " + " ".join(words), sort)

    for name, content in (("small", b"content"), ("large", bytes(range(256)) * (40 << 10)), ("none", b"")):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(content)

    def file(name):
        with open(os.path.join(folder, name), "rb") as f:
            return f.read()

    verb("put", "o", "small")
    verb("put", "o", "no such file")
    verb("put", "large", "large")
    verb("put", "empty", "none")
    verb("put", "o", "small", "--offset", "5")
    verb("get", "o", "-")
    verb("get", "large", "out")
    step("content", lambda: file("out") == file("large"))
    verb("get", "nowhere", "out")
    verb("append", "o", "small")
    verb("get", "o", "-")
    verb("truncate", "o", "3")
    verb("truncate", "o", "-1")
    verb("get", "o", "-")
    verb("create", "made")
    verb("create", "made")
    verb("stat", "o")
    verb("stat", "nowhere")
    verb("stat2", "o")
    verb("touch", "touched")
    verb("touch", "touched", "1500000000")
    verb("stat", "touched")
    verb("mapext", "o")
    verb("cp", "o", "copy")
    verb("get", "copy", "-")
    verb("cp", "nowhere", "copy")
    verb("cp", "large", "large copy", "--target-pool", "script-a")
    verb("stat", "large copy", pool="script-a")
    verb("setxattr", "o", "k", "v")
    verb("setxattr", "o", "piped", text=b"from stdin")
    verb("getxattr", "o", "k")
    verb("getxattr", "o", "piped")
    verb("getxattr", "o", "nowhere")
    verb("getxattr", "nowhere", "k")
    verb("listxattr", "o")
    verb("listxattr", "nowhere")
    verb("rmxattr", "o", "k")
    verb("rmxattr", "o", "k")
    verb("setomapval", "o", "key", "value")
    verb("setomapval", "o", "key 2", "--input-file", "small")
    verb("listomapkeys", "o")
    verb("listomapvals", "o")
    verb("getomapval", "o", "key")
    verb("getomapval", "o", "key", "out")
    step("content", lambda: file("out"))
    verb("getomapval", "o", "nowhere")
    verb("rmomapkey", "o", "key")
    verb("rmomapkey", "o", "key")
    verb("setomapheader", "o", "header")
    verb("getomapheader", "o")
    verb("getomapheader", "nowhere")
    verb("clearomap", "o")
    verb("listomapvals", "o")
    verb("listomapkeys", "nowhere")
    verb("set-alloc-hint", "o", "4096", "4096")
    verb("set-alloc-hint", "hinted", "4096", "4096")
    verb("listwatchers", "o")
    verb("listwatchers", "nowhere")
    verb("notify", "o", "hello")
    verb("ls", order=True)
    verb("ls", "-", order=True)
    verb("ls", "--all", order=True)
    verb("-N", "space", "put", "inside", "small")
    verb("-N", "space", "ls")
    verb("--object-locator", "key", "put", "located", "small")
    verb("--object-locator", "key", "get", "located", "-")
    verb("get", "located", "-")
    verb("ls", "--all", order=True)
    verb("ls", pool="nowhere")
    verb("lock", "get", "o", "l", "--lock-cookie", "c", "--lock-description", "d")
    verb("lock", "get", "o", "l", "--lock-cookie", "c2")
    verb("lock", "list", "o")
    verb("lock", "info", "o", "l")
    verb("lock", "info", "o", "nowhere")
    locker = re.search(r"client\.\d+", subprocess.run(
        ["rados", "-c", conf, "-p", "script-b", "lock", "info", "o", "l"], stdout=subprocess.PIPE, timeout=60,
        check=True).stdout.decode()).group()
    step("rados lock break", run, "lock", "break", "o", "l", locker, "--lock-cookie", "c")
    step("rados lock break again", run, "lock", "break", "o", "l", locker, "--lock-cookie", "c")
    verb("lock", "list", "o")
    verb("lock", "list", "nowhere")
    # Everything out and in again.
    verb("export", "dump")
    verb("import", "--dry-run", "dump", order=True)
    verb("cppool", "script-b", "script-a")
    verb("rm", "o", "made", "touched")
    verb("rm", "o")
    verb("rm", "nowhere", "--force-full")
    verb("import", "--no-overwrite", "dump", order=True)
    verb("ls", "--all", order=True)
    verb("stat", "o")
    verb("listxattr", "o")
    verb("getxattr", "o", "piped")
    verb("bench", "1", "write", "--no-cleanup", "-b", "nonsense")
    step("rados bench write", lambda: run("bench", "1", "write", "-b", "4096", "-t", "2", "--no-cleanup")[0])
    step("rados bench seq", lambda: run("bench", "1", "seq", "-t", "2")[0])
    step("rados bench rand", lambda: run("bench", "1", "rand", "-t", "2")[0])
    step("rados cleanup", lambda: run("cleanup")[0])
    step("rados load-gen", lambda: run("load-gen", "--num-objects", "4", "--min-object-size", "1024", "--max-object-size",
                                       "4096", "--max-ops", "20", "--run-length", "1", "--min-op-len", "512",
                                       "--max-op-len", "1024")[0])
    verb("purge", "script-b")
    step("rados purge", lambda: run("purge", "script-b", "--yes-i-really-really-mean-it", pool="")[0])
    verb("ls", "--all")
    # Snapshots of a pool.
    snaps = "script-snaps"
    verb("put", "t", "small", pool=snaps)
    verb("mksnap", "third", pool=snaps)
    verb("mksnap", "third", pool=snaps)
    verb("put", "t", "none", pool=snaps)
    verb("-s", "third", "get", "t", "-", pool=snaps)
    verb("-s", "nowhere", "get", "t", "-", pool=snaps)
    step("rados lssnap", lambda: [line.split("\t")[1:2] for line in run("lssnap", pool=snaps)[1].splitlines()])
    verb("listsnaps", "t", pool=snaps)
    verb("listsnaps", "nowhere", pool=snaps)
    verb("rollback", "t", "third", pool=snaps)
    verb("rollback", "t", "nowhere", pool=snaps)
    verb("get", "t", "-", pool=snaps)
    verb("rmsnap", "third", pool=snaps)
    verb("rmsnap", "third", pool=snaps)
    # Verbs of cache tiers and manifests.
    verb("put", "x", "small", pool="script-a")
    verb("set-redirect", "x", "--target-pool", "script-b", "target", pool="script-a")
    verb("set-chunk", "x", "0", "4", "--target-pool", "script-b", "target", "0", pool="script-a")
    verb("tier-promote", "x", pool="script-a")
    verb("unset-manifest", "x", pool="script-a")
    verb("tier-flush", "x", pool="script-a")
    verb("tier-evict", "x", pool="script-a")
    verb("cache-flush", "x", pool="script-a")
    verb("cache-try-flush", "x", pool="script-a")
    verb("cache-evict", "x", pool="script-a")


def main():
    conf, folder = sys.argv[1:]
    with rados.Rados(conffile=conf) as cluster, rados.Rados(conffile=conf) as other:
        with cluster.open_ioctx("script-a") as io, cluster.open_ioctx("script-b") as own:
            for part in (data, versions, asynchronous, attributes, omap, compound, places):
                step(part.__name__, lambda: None)
                part(io)
            watches(cluster, io)
            locks(cluster, other, io)
            with cluster.open_ioctx("script-snaps") as pool_snaps:
                snapshots(pool_snaps, own)
            own.set_self_managed_snap_write([])
        for name in ("script-a", "script-b"):
            subprocess.run(["rados", "-c", conf, "purge", name, "--yes-i-really-really-mean-it"], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    tool(conf, folder)


if __name__ == "__main__":
    main()
