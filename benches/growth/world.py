"""What the cases stand on: databases that are filled, services as processes, an open session of SQL, and rates."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
RIVALS = HERE.parent / "rivals"
LIMIT = HERE.parent / "limit"
sys.path.insert(0, str(RIVALS))

from cluster import Failure  # noqa: E402


class Session:
    """A psql that stays open, so that a look costs no new process."""

    def __init__(self, url):
        self.process = subprocess.Popen(
            ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def __call__(self, query):
        self.process.stdin.write(f"{query};\n\\echo .\n")
        self.process.stdin.flush()
        lines = []
        while (line := self.process.stdout.readline()) != ".\n":
            if not line:
                raise Failure(f"psql ended at: {query}")
            lines.append(line.rstrip("\n"))
        return "\n".join(lines)

    def number(self, query):
        return float(self(query) or 0)

    def close(self):
        self.process.communicate("\\q\n", timeout=30)


class Service:
    """One `reveille serve`."""

    def __init__(self, world, database, environment, scheduled=()):
        self.log = open(world.folder / f"{database}.log", "a")
        self.process = subprocess.Popen(
            [*scheduled, world.reveille, "serve"],
            env={
                **os.environ, "DATABASE_URL": world.cluster.url(database), "REVEILLE_LISTEN": "127.0.0.1:0",
                "REVEILLE_LOG": "warn", **environment,
            },
            stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=world.folder, start_new_session=True,
        )
        self.url = self.ready()

    def ready(self):
        for line in self.process.stdout:
            if found := re.match(r"ready (\S+)", line):
                return found[1]
        raise Failure(f"the service did not start, see {self.log.name}")

    def post(self, path):
        request = urllib.request.Request(self.url + path, data=b"", method="POST")
        urllib.request.urlopen(request, timeout=10).read()

    def get(self, path):
        return urllib.request.urlopen(self.url + path, timeout=10).read().decode()

    def completed(self):
        """How many jobs this instance has completed so far."""
        found = re.findall(r'^reveille_job_outcomes_total\{[^}]*"completed"[^}]*\} (\d+)', self.get("/metrics"), re.MULTILINE)
        return sum(int(jobs) for jobs in found)

    def memory_mb(self):
        return memory_mb(self.process.pid)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process.stdout.close()
        self.log.close()


def memory_mb(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


class World:
    """A cluster and the programs that are measured."""

    def __init__(self, cluster, options):
        self.cluster = cluster
        self.quick = options.quick
        self.reveille = Path(options.reveille).resolve()
        self.adapter = Path(options.adapter).resolve()
        self.load = Path(options.load).resolve()
        self.minutes = options.minutes
        self.deep = options.deep
        self.folder = Path(tempfile.mkdtemp(prefix="growth-"))

    def size(self, full, quick):
        return quick if self.quick else full

    def database(self, name, weeks=3, **filled):
        """A fresh database with partitions for so many weeks to come, and so many jobs in it."""
        self.create(name)
        environment = {**os.environ, "DATABASE_URL": self.cluster.url(name)}
        subprocess.run([self.reveille, "migrate"], env=environment, check=True, capture_output=True)
        self.cluster.sql(f"select reveille.partition_ensure({weeks})", name)
        self.fill(name, **filled)

    def create(self, name):
        self.drop(name)
        self.cluster.sql(f'create database "{name}" template template0')

    def fill(self, database, waiting=0, ended=0, queues=1, priorities=1):
        values = {"waiting": waiting, "ended": ended, "queues": queues, "priorities": priorities}
        if waiting or ended:
            given = [word for name, value in values.items() for word in ("-v", f"{name}={value}")]
            psql = ["psql", "-Xq", "-v", "ON_ERROR_STOP=1", *given, "-f", HERE / "fill.sql"]
            subprocess.run([*psql, "-d", self.cluster.url(database)], check=True)
        self.cluster.settle(database)

    def drop(self, name):
        self.cluster.sql(f'drop database if exists "{name}" with (force)')

    @contextmanager
    def session(self, database):
        session = Session(self.cluster.url(database))
        try:
            yield session
        finally:
            session.close()

    @contextmanager
    def services(self, database, count=1, scheduled=(), **environment):
        """So many instances, all of them ready; `scheduled` is the command that starts each with other ways of scheduling."""
        with ExitStack() as stack:
            services = []
            for _ in range(count):
                service = Service(self, database, {name: str(value) for name, value in environment.items()}, scheduled)
                stack.callback(service.stop)
                services.append(service)
            yield services

    def submit(self, services, seconds, connections=64, queues=1, priorities=1, payload='{"n": 0}'):
        """`POST /jobs` to all of the services at once, each with a load generator: submissions a second in all."""
        body = self.folder / "payload"
        body.write_text(payload)
        environment = {
            **os.environ, "GROWTH_RIVALS": str(RIVALS), "GROWTH_PAYLOAD": str(body), "GROWTH_QUEUES": str(queues),
            "GROWTH_PRIORITIES": str(priorities), "PEERS_HEADERS": "", "PEERS_BODY": "",
        }
        share = max(1, connections // len(services))
        threads = 2 if len(services) == 1 else 1
        wrk = ["wrk", f"-t{min(threads, share)}", f"-c{share}", f"-d{seconds}s", "-s", HERE / "post.lua"]
        loads = [
            subprocess.Popen([*wrk, service.url + "/jobs"], env=environment, stdout=subprocess.PIPE, text=True)
            for service in services
        ]
        answers = [json.loads(load.communicate(timeout=seconds + 60)[0].strip().splitlines()[-1]) for load in loads]
        if any(answer["errors"] for answer in answers):
            raise Failure(f"wrk: {answers}")
        return sum(answer["requests"] / answer["seconds"] for answer in answers)

    def adapter_submit(self, database, seconds, clients=64):
        """Single submissions through the library: jobs a second."""
        answer = self.ask(self.adapter, database, "enqueue", clients=clients, seconds=seconds)
        return answer["jobs"] / answer["seconds"]

    def loop_in_server(self, jobs, sessions):
        """Jobs a second that so many sessions claim and end within PostgreSQL, in batches of 500: `limit.sql`."""
        self.create("limit")
        self.ask(LIMIT, "limit", "migrate")
        self.ask(LIMIT, "limit", "enqueue-bulk", jobs=jobs, chunk=1000)
        self.cluster.settle("limit")
        answer = self.ask(LIMIT, "limit", "work", jobs=jobs, concurrency=500, sessions=sessions)
        return answer["jobs"] / answer["seconds"]

    def ask(self, adapter, database, verb, **options):
        """What an adapter answers (`rivals/README.md`)."""
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        environment = {**os.environ, "DATABASE_URL": self.cluster.url(database)}
        result = subprocess.run([adapter, verb, *words], env=environment, capture_output=True, text=True, timeout=120)
        if result.returncode:
            raise Failure(f"{verb}: {result.stderr}")
        return json.loads(result.stdout.strip().splitlines()[-1])


def wait_completed(services, jobs, timeout=600, look_every=0.1):
    """Until these instances have completed so many jobs; looking takes a millisecond of each."""
    deadline = time.monotonic() + timeout
    while sum(service.completed() for service in services) < jobs:
        if time.monotonic() > deadline:
            raise Failure(f"{jobs} jobs did not end within {timeout} s")
        time.sleep(look_every)


def drain_rate(session, jobs, since="-infinity"):
    """Jobs a second of those that ended since then, without the first and the last tenth."""
    first, last = jobs // 10, jobs * 9 // 10
    seconds = session.number(
        "select extract(epoch from max(ended_at) - min(ended_at)) from (select ended_at from reveille.outcome "
        f"where state = 'completed' and ended_at >= '{since}' order by ended_at offset {first} limit {last - first}) o"
    )
    return (last - first) / seconds
