"""What the mischief is done to: a PostgreSQL that can be frozen and crashed, instances, and sessions of psql."""

import fcntl
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "rivals"))

from cluster import Cluster, Failure, process_table  # noqa: E402

# What the README promises for the default pool_size.
CONNECTIONS_MOST = 15
READY_WITHIN = 60


class Server(Cluster):
    """The throw-away cluster, with what can happen to one."""

    def family(self):
        table = process_table()
        return [pid for pid, (parent, _, _) in table.items() if parent == self.process.pid]

    def freeze(self):
        os.kill(self.process.pid, signal.SIGSTOP)
        for pid in self.family():
            send(pid, signal.SIGSTOP)

    def thaw(self):
        for pid in self.family():
            send(pid, signal.SIGCONT)
        os.kill(self.process.pid, signal.SIGCONT)

    def crash(self):
        """Ends as `pg_ctl stop -m immediate` ends it, and starts again."""
        words = Path(f"/proc/{self.process.pid}/cmdline").read_bytes().split(b"\0")[:-1]
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(60)
        self.process = subprocess.Popen(
            [*self.drop, *words], stdout=self.log, stderr=self.log, cwd=self.folder, start_new_session=True,
        )

    def wait_ready(self, seconds=60):
        deadline = time.monotonic() + seconds
        while subprocess.run([self.programs / "pg_isready", "-q", "-d", self.url("postgres")]).returncode != 0:
            if time.monotonic() > deadline:
                raise Failure(f"PostgreSQL did not come back, see {self.folder}/log")
            time.sleep(0.1)


def send(pid, number):
    """A signal to a process that may end this moment."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


class Session:
    """A psql that stays open. It raises `Failure` when its server goes, or is silent for `patience` seconds."""

    def __init__(self, url, patience=30):
        self.patience = patience
        self.buffer = b""
        self.process = subprocess.Popen(
            ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )

    def __call__(self, query):
        """The rows, each a list of columns."""
        try:
            self.process.stdin.write(f"{query};\n\\echo .\n".encode())
            self.process.stdin.flush()
        except OSError as error:
            raise Failure(f"psql has ended: {error}") from error
        rows = []
        while (line := self.line()) != ".":
            rows.append(line.split("|"))
        return rows

    def line(self):
        deadline = time.monotonic() + self.patience
        while b"\n" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise Failure("psql is silent")
            piece = os.read(self.process.stdout.fileno(), 1 << 16)
            if not piece:
                raise Failure(f"psql has ended: {self.process.stderr.read().decode(errors='replace').strip()}")
            self.buffer += piece
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.decode()

    def close(self):
        self.process.kill()
        self.process.communicate()


class Instance:
    """One instance of the service, with a reader of its standard error that can be told to stall or to go."""

    def __init__(self, world, number, program, environment):
        self.world, self.number, self.program, self.environment = world, number, program, environment
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.generation = 0
        self.process = None
        self.tail = deque(maxlen=50)

    def __str__(self):
        return f"instance {self.number}"

    @property
    def name(self):
        return f"mischief-{self.number}"

    @property
    def application(self):
        return f"{self.name}-{self.generation}"

    def start(self):
        self.generation += 1
        read, write = os.pipe()
        # As small as a pipe can be, so that a stalled reader is felt.
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        url = f"{self.world.url}?application_name={self.application}"
        self.process = subprocess.Popen(
            [self.program, "serve"] if self.program.name == "reveille" else [self.program],
            env={
                **os.environ, "DATABASE_URL": url, "REVEILLE_LISTEN": f"127.0.0.1:{self.port}",
                "REVEILLE_INSTANCE_NAME": self.name, "REVEILLE_LOG": "info,reveille=debug",
                "MISCHIEF_FILE": str(self.world.marks), **self.environment,
            },
            stdout=subprocess.PIPE, stderr=write, cwd=self.world.folder, start_new_session=True,
        )
        os.close(write)
        self.stalled, self.closed = threading.Event(), threading.Event()
        threading.Thread(target=self.read_log, args=(read, self.stalled, self.closed), daemon=True).start()
        self.wait_ready()

    def wait_ready(self):
        out, said = self.process.stdout, b""
        deadline = time.monotonic() + READY_WITHIN
        while b"\n" not in said:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Failure(f"{self} was not ready within {READY_WITHIN} s: {self.last_words()}")
            if select.select([out], [], [], left)[0]:
                piece = os.read(out.fileno(), 4096)
                if not piece:
                    raise Failure(f"{self} ended at its start: {self.last_words()}")
                said += piece

    def last_words(self):
        return "\n".join(list(self.tail)[-10:])

    def read_log(self, read, stalled, closed):
        rest = b""
        with open(self.world.folder / f"{self.application}.log", "wb") as log:
            while not closed.is_set():
                if stalled.is_set():
                    time.sleep(0.1)
                    continue
                if not select.select([read], [], [], 0.1)[0]:
                    continue
                piece = os.read(read, 1 << 16)
                if not piece:
                    break
                log.write(piece)
                *lines, rest = (rest + piece).split(b"\n")
                self.tail.extend(line.decode(errors="replace") for line in lines)
        os.close(read)

    def signal(self, number):
        send(self.process.pid, number)

    def ended(self, seconds):
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise Failure(f"{self} has not ended within {seconds} s") from error
        self.process.stdout.close()
        return status

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def memory_mb(self):
        if self.process is None:
            return 0
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return 0
        found = re.search(r"VmRSS:\s+(\d+)", status)
        return int(found[1]) / 1024 if found else 0


class World:
    """A cluster, its instances, and the file of marks."""

    def __init__(self, cluster, folder, programs, environment=None):
        self.cluster, self.folder = cluster, folder
        self.url = cluster.url("mischief")
        self.marks = folder / "marks"
        self.marks.touch()
        if cluster.sql("select 1 from pg_database where datname = 'mischief'"):
            cluster.sql("drop database mischief with (force)")
        cluster.sql("create database mischief template template0 encoding 'UTF8'")
        self.instances = [
            Instance(self, number, program, environment or {}) for number, program in enumerate(programs, 1)
        ]

    def start(self):
        for instance in self.instances:
            instance.start()

    def stop(self):
        for instance in self.instances:
            if instance.alive():
                instance.signal(signal.SIGCONT)
                instance.signal(signal.SIGKILL)
                instance.process.wait()

    def session(self, patience=30):
        return Session(self.cluster.url("mischief"), patience)
