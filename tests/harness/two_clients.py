#!/usr/bin/python3 -B
"""Two clients of the file system (libcephfs) on the same files, in turns: what each is told, a JSON line an answer.

    two_clients.py CONF
"""

import fcntl
import json
import os
import struct
import sys
import threading

import cephfs


def say(what, answer):
    if isinstance(answer, bytes):
        answer = answer.decode("latin-1")
    print(json.dumps([what, answer]), flush=True)


def attempt(what, call, *words):
    """The answer, or the number of the error."""
    try:
        answer = call(*words)
    except cephfs.Error as error:
        answer = ["errno", error.args[0] if error.args and isinstance(error.args[0], int) else error.get_error_code()]
    say(what, answer)


def client(conf):
    one = cephfs.LibCephFS(conffile=conf)
    one.conf_set("client_acl_type", "posix_acl")
    one.mount()
    return one


def mixed_io(a, b):
    """Both have it open and write: what one wrote, the other reads at once."""
    one = a.open("/two/mixed", os.O_RDWR | os.O_CREAT, 0o644)
    a.write(one, b"0123456789", 0)
    two = b.open("/two/mixed", os.O_RDWR)
    say("mixed: what was written before", b.read(two, 0, 100))
    for i in range(10):
        b.write(two, b"b%d" % i, 10 + 4 * i)
        say(f"mixed: {i} there", a.read(one, 0, 100))
        a.write(one, b"a%d" % i, 12 + 4 * i)
        say(f"mixed: {i} back", b.read(two, 0, 100))
    say("mixed: sizes", [a.fstat(one).st_size, b.fstat(two).st_size])
    b.ftruncate(two, 5)
    say("mixed: cut", [a.read(one, 0, 100).decode(), a.fstat(one).st_size])
    a.ftruncate(one, 20)
    say("mixed: extended", b.read(two, 0, 100))
    b.close(two)
    a.write(one, b"alone again", 0)
    a.close(one)
    two = b.open("/two/mixed", os.O_RDONLY)
    say("mixed: after a close", b.read(two, 0, 100))
    b.close(two)


def appends(a, b):
    one = a.open("/two/appended", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    two = b.open("/two/appended", os.O_WRONLY | os.O_APPEND)
    for i in range(20):
        a.write(one, b"a%02d" % i, -1)
        b.write(two, b"b%02d" % i, -1)
    a.close(one)
    b.close(two)
    one = a.open("/two/appended", os.O_RDONLY)
    say("appended", a.read(one, 0, 1000))
    a.close(one)


def attributes(a, b):
    one = a.open("/two/attributes", os.O_RDWR | os.O_CREAT, 0o600)
    a.write(one, b"x" * 1000, 0)
    say("attributes: the size of what is buffered", b.stat("/two/attributes").st_size)
    b.utime("/two/attributes", (1000, 2000))
    say("attributes: times", [int(a.fstat(one).st_mtime.timestamp()), int(a.fstat(one).st_atime.timestamp())])
    before = b.stat("/two/attributes").st_mtime
    a.write(one, b"y", 1000)
    status = b.stat("/two/attributes")
    say("attributes: written again", [status.st_size, status.st_mtime > before])
    b.chmod("/two/attributes", 0o640)
    b.chown("/two/attributes", 12, 34)
    status = a.fstat(one)
    say("attributes: mode and owner", [oct(status.st_mode), status.st_uid, status.st_gid])
    a.link("/two/attributes", "/two/linked")
    say("attributes: links", b.stat("/two/attributes").st_nlink)
    b.unlink("/two/attributes")
    say("attributes: one name less", [a.stat("/two/linked").st_nlink, a.fstat(one).st_nlink])
    b.unlink("/two/linked")
    say("attributes: a file without a name", [a.fstat(one).st_nlink, len(a.read(one, 0, 2000))])
    a.close(one)
    a.mkdir("/two/marked", 0o755)
    a.setxattr("/two/marked", "user.one", b"1", 0)
    attempt("attributes: the other's", b.getxattr, "/two/marked", "user.one")
    b.setxattr("/two/marked", "user.one", b"2", 0)
    attempt("attributes: changed", a.getxattr, "/two/marked", "user.one")
    b.removexattr("/two/marked", "user.one")
    attempt("attributes: removed", a.getxattr, "/two/marked", "user.one")
    attempt("attributes: must not be there", a.setxattr, "/two/marked", "user.two", b"", os.XATTR_CREATE)
    attempt("attributes: must not be there, but is", b.setxattr, "/two/marked", "user.two", b"", os.XATTR_CREATE)


def acl(*entries):
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def acls(a, b):
    """An ACL and the mode are two sides of one thing."""
    nobody = 0xffffffff
    os_user, user, group, mask, other = 1, 2, 4, 16, 32
    a.close(a.open("/two/acl", os.O_WRONLY | os.O_CREAT, 0o640))
    attempt("acl: none", b.getxattr, "/two/acl", "system.posix_acl_access")
    a.setxattr("/two/acl", "system.posix_acl_access",
               acl((os_user, 6, nobody), (user, 4, 1234), (group, 4, nobody), (mask, 6, nobody), (other, 0, nobody)), 0)
    attempt("acl: the other's", b.getxattr, "/two/acl", "system.posix_acl_access")
    say("acl: mode", oct(b.stat("/two/acl").st_mode))
    b.chmod("/two/acl", 0o600)
    attempt("acl: its mask after chmod", a.getxattr, "/two/acl", "system.posix_acl_access")
    a.mkdir("/two/default", 0o755)
    a.setxattr("/two/default", "system.posix_acl_default",
               acl((os_user, 7, nobody), (user, 5, 1234), (group, 5, nobody), (mask, 7, nobody), (other, 0, nobody)), 0)
    b.close(b.open("/two/default/inherits", os.O_WRONLY | os.O_CREAT, 0o666))
    attempt("acl: inherited", a.getxattr, "/two/default/inherits", "system.posix_acl_access")
    say("acl: inherited mode", oct(a.stat("/two/default/inherits").st_mode))


def names(a, b):
    """Each knows names, and that there are none, which the other changes."""
    def listed(one):
        with one.opendir("/two/names") as folder:
            found = []
            while entry := one.readdir(folder):
                found.append(entry.d_name.decode())
        return sorted(found)

    a.mkdir("/two/names", 0o755)
    for i in range(5):
        attempt(f"names: {i} is not there", a.stat, f"/two/names/{i}")
        b.close(b.open(f"/two/names/{i}", os.O_WRONLY | os.O_CREAT, 0o644))
        say(f"names: {i} is there", a.stat(f"/two/names/{i}").st_size)
    say("names: listed", [listed(a), listed(b)])
    b.unlink("/two/names/0")
    attempt("names: removed", a.stat, "/two/names/0")
    a.rename("/two/names/1", "/two/names/moved")
    attempt("names: moved away", b.stat, "/two/names/1")
    b.rename("/two/names/2", "/two/names/moved")
    say("names: over another", [listed(a), a.stat("/two/names/moved").st_ino == b.stat("/two/names/moved").st_ino])
    attempt("names: made by the other", a.mkdir, "/two/names/3", 0o755)
    attempt("names: exclusively", lambda: a.open("/two/names/4", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    b.mkdir("/two/names/folder", 0o755)
    a.mkdir("/two/names/folder/inner", 0o755)
    attempt("names: not empty", b.rmdir, "/two/names/folder")
    a.rmdir("/two/names/folder/inner")
    attempt("names: empty", b.rmdir, "/two/names/folder")
    attempt("names: in a removed folder", lambda: a.open("/two/names/folder/f", os.O_CREAT | os.O_WRONLY, 0o644))


def locks(a, b, third):
    one = a.open("/two/locked", os.O_RDWR | os.O_CREAT, 0o644)
    two = b.open("/two/locked", os.O_RDWR)
    at_once = fcntl.LOCK_NB
    attempt("locks: exclusive", a.flock, one, fcntl.LOCK_EX, 1)
    attempt("locks: in the way", b.flock, two, fcntl.LOCK_EX | at_once, 2)
    attempt("locks: shared, in the way", b.flock, two, fcntl.LOCK_SH | at_once, 2)
    attempt("locks: made shared", a.flock, one, fcntl.LOCK_SH, 1)
    attempt("locks: shared", b.flock, two, fcntl.LOCK_SH | at_once, 2)
    attempt("locks: both have it", a.flock, one, fcntl.LOCK_EX | at_once, 1)
    attempt("locks: given back", b.flock, two, fcntl.LOCK_UN, 2)
    attempt("locks: exclusive again", a.flock, one, fcntl.LOCK_EX | at_once, 1)

    def waits(end, what):
        """It blocks until `end` is done."""
        got = threading.Event()
        waiter = threading.Thread(target=lambda: (b.flock(two, fcntl.LOCK_EX, 2), got.set()))
        waiter.start()
        blocked = not got.wait(0.3)
        end()
        say(what, [blocked, got.wait(20)])
        waiter.join(1)
        b.flock(two, fcntl.LOCK_UN, 2)

    waits(lambda: a.flock(one, fcntl.LOCK_UN, 1), "locks: blocks until it is given back")
    a.flock(one, fcntl.LOCK_EX, 1)
    waits(lambda: a.close(one), "locks: blocks until it is closed")
    other = third.open("/two/locked", os.O_RDWR)
    third.flock(other, fcntl.LOCK_EX, 3)
    waits(third.shutdown, "locks: blocks until its client is gone")
    b.close(two)


def main():
    a, b, third = client(sys.argv[1]), client(sys.argv[1]), client(sys.argv[1])
    a.mkdir("/two", 0o755)
    mixed_io(a, b)
    appends(a, b)
    attributes(a, b)
    acls(a, b)
    names(a, b)
    locks(a, b, third)
    for one in (a, b):
        one.shutdown()


if __name__ == "__main__":
    main()
