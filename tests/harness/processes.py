"""Processes by identity: a pid alone may have been given to somebody else, a pid with its start time cannot."""

import os
import select
import signal
import subprocess
import time

#: Set in the environment of everything a cluster starts, to "FOLDER"; that is how they are found after a crash.
MARK = "SPIRULA_TEST_RUN"


def state_and_start(pid):
    """A letter, and the clock ticks since boot at which `pid` started; None, None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None, None
    return fields[0], int(fields[19])


def start_time(pid):
    """As above; None also when there is only its zombie."""
    state, start = state_and_start(pid)
    return None if state in ("Z", "X") else start


class Process:
    """One process of any parent."""

    def __init__(self, pid, start):
        self.pid = pid
        self.start = start

    def alive(self):
        return self.start is not None and start_time(self.pid) == self.start

    def signal(self, number):
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.alive():
                signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            pass
        finally:
            os.close(descriptor)

    def wait(self, seconds):
        """True once it is gone with all its threads, of which the first may be a zombie long before the last lets go of
        the files (reaped, when it is our child)."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if self.start is None or state_and_start(self.pid)[1] != self.start:
                return True
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            gone = bool(poll.poll(seconds * 1000))
        finally:
            os.close(descriptor)
        try:
            os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            pass
        return gone

    def cpu_seconds(self):
        """User and system time so far, finer than /proc says it in ticks (clock_getcpuclockid(3))."""
        return time.clock_gettime(~self.pid << 3 | 2)

    def memory_mib(self, field="VmRSS"):
        """VmRSS: now; VmHWM: the most it ever held."""
        with open(f"/proc/{self.pid}/status") as f:
            for line in f:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) / 1024
        return 0.0


def spawn(argv, mark, output, environment=None):
    """Starts `argv` in a session of its own, its output appended to the file `output`."""
    with open(output, "ab") as out:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                                 env={**os.environ, **(environment or {}), MARK: mark})
    child.returncode = 0  # Process.wait() reaps it; Popen shall not complain
    return Process(child.pid, start_time(child.pid))


def marked(mark):
    """Every living process that carries `mark` in its environment, whoever its parent is."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        start = start_time(int(entry))
        try:
            with open(f"/proc/{entry}/environ", "rb") as f:
                environment = f.read().split(b"\0")
        except OSError:
            continue
        if start is not None and wanted in environment:
            found.append(Process(int(entry), start))
    return found


def kill_all(found):
    """SIGKILL. Returns a line for each that is still there after ten seconds."""
    found = list(found)
    for process in found:
        process.signal(signal.SIGKILL)
    return [f"process {p.pid} does not die" for p in found if not p.wait(10)]
