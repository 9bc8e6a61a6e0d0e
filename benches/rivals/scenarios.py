"""What is measured: the scenarios, each in a fresh database, and their sizes."""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from cluster import Failure, tree_cpu_seconds
from rivals import HERE

# Sizes of the scenarios; the second of each pair is for warming up and for --quick.
SIZES = {
    "enqueue_seconds": (3, 1),
    "bulk_jobs": (50_000, 3_000),
    "drain_jobs": (30_000, 500),
    "tuned_jobs": (100_000, 2_000),
    "held_jobs": (50_000, 1_000),
    "latency_jobs": (300, 40),
    "idle_seconds": (30, 4),
    "http_seconds": (5, 1),
}
COUNTED = ("bulk_jobs", "drain_jobs", "tuned_jobs", "held_jobs")
SECONDS = 4  # who would need longer for a count of jobs gets fewer,
LEAST = 500  # but these
UNWARMED = ("idle",)
CHUNK = 1_000
IDLE_SETTLE = 20  # seconds: a server process that idles reports what it did ten seconds ago, and the start of a worker takes some


def sizes(quick, jobs_per_s=None):
    """What a run is given to do; of jobs as many as take SECONDS at the rate that warming up has shown."""
    chosen = {name: pair[quick] for name, pair in SIZES.items()}
    for name in COUNTED if jobs_per_s else ():
        chosen[name] = min(chosen[name], max(LEAST, round(int(jobs_per_s) * SECONDS, -3)))
    return chosen


class Run:
    """One rival in one fresh database; the scenarios are its methods and give metrics."""

    def __init__(self, cluster, adapter, database, chosen, timeout):
        self.cluster = cluster
        self.adapter = adapter
        self.database = database
        self.url = cluster.url(database)
        self.timeout = timeout
        self.sizes = chosen

    def call(self, *arguments):
        return self.adapter.call(self.url, *arguments, timeout=self.timeout)

    def measured(self, *arguments):
        """Calls a verb, with what it cost the server from the call to its end."""
        self.cluster.settle(self.database)
        cpu, statements = self.cluster.cpu_seconds(), self.cluster.statements(self.database)
        result = self.call(*arguments)
        result["server_cpu_seconds"] = self.cluster.cpu_seconds() - cpu
        if statements is not None:
            result["statements"] = self.cluster.statements(self.database) - statements
        if "jobs" in result:
            result["jobs_per_s"] = result["jobs"] / result["seconds"]
        return result

    def check(self, done, left, spare=0):
        """The rival's own tables must agree; up to `spare` more jobs may wait than were counted."""
        counts = self.call("done")
        if counts["done"] != done or not left <= counts["left"] <= left + spare:
            raise Failure(f"its tables say {counts}, expected {done} done and {left} left")

    def enqueue(self, clients, *way):
        result = self.measured("enqueue", "--clients", clients, "--seconds", self.sizes["enqueue_seconds"], *way)
        self.check(0, result["jobs"])
        return result

    def fill(self, jobs):
        return self.call("enqueue-bulk", "--jobs", jobs, "--chunk", CHUNK)

    def bulk(self, *way, chunk=CHUNK):
        jobs = self.sizes["bulk_jobs"]
        result = self.measured("enqueue-bulk", "--jobs", jobs, "--chunk", chunk, *way)
        self.check(0, jobs)
        return result

    def work(self, slots, jobs, *how, before=0):
        result = self.measured("work", "--concurrency", slots, "--jobs", jobs, *how)
        self.check(before + jobs, 0)
        result["worker_cpu_per_1000"] = result["cpu_seconds"] / jobs * 1000
        result["server_cpu_per_1000"] = result["server_cpu_seconds"] / jobs * 1000
        result["cpu_per_1000"] = result["worker_cpu_per_1000"] + result["server_cpu_per_1000"]
        return result

    def loop(self, batch, sessions):
        self.fill(self.sizes["tuned_jobs"])
        return self.work(batch, self.sizes["tuned_jobs"], "--sessions", sessions)

    def drain(self, slots):
        self.fill(self.sizes["drain_jobs"])
        return self.work(slots, self.sizes["drain_jobs"])

    def drain_tuned(self):
        self.fill(self.sizes["tuned_jobs"])
        return self.work(100, self.sizes["tuned_jobs"], "--tuned")

    def drain_held(self):
        jobs = self.sizes["held_jobs"]
        with self.cluster.snapshot(self.database):
            self.fill(jobs)
            self.work(100, jobs, "--tuned")
            self.fill(jobs)
            return self.work(100, jobs, "--tuned", before=jobs)

    def latency(self):
        result = self.measured("latency", "--jobs", self.sizes["latency_jobs"], "--interval-ms", 20)
        self.check(self.sizes["latency_jobs"], 0)
        return result

    def idle(self):
        seconds = self.sizes["idle_seconds"]
        process = self.adapter.start(self.url, "idle", "--seconds", IDLE_SETTLE + seconds)
        time.sleep(IDLE_SETTLE)
        transactions = self.cluster.transactions(self.database)
        begin = self.idle_sample(process.pid)
        time.sleep(seconds)
        end = self.idle_sample(process.pid)  # before the question, whose session costs the server as much as a second of idling
        transactions = self.cluster.transactions(self.database) - transactions
        result = self.adapter.finish(process, "idle", self.timeout)
        elapsed, worker, server = (late - early for early, late in zip(begin, end))
        return {
            **result,
            "transactions_per_s": transactions / elapsed,
            "worker_cpu_percent": worker / elapsed * 100,
            "server_cpu_percent": server / elapsed * 100,
            "cpu_percent": (worker + server) / elapsed * 100,
        }

    def idle_sample(self, pid):
        return time.monotonic(), tree_cpu_seconds(pid), self.cluster.cpu_seconds()

    def http(self, connections, batch=None, keeps=True):
        seconds = self.sizes["http_seconds"]
        how = ["--batch", batch] if batch else []
        with (
            tempfile.TemporaryDirectory() as folder,
            self.adapter.serving(self.url, Path(folder) / "output", *how) as (pid, url, request),
        ):
            self.cluster.settle(self.database)
            worker, server = tree_cpu_seconds(pid), self.cluster.cpu_seconds()
            headers = {"Content-Type": "application/json", **request.get("headers", {})}
            load = subprocess.run(
                ["wrk", f"-t{min(connections, 2)}", f"-c{connections}", f"-d{seconds}s", "-s", HERE / "post.lua", url],
                env={
                    **os.environ,
                    "PEERS_HEADERS": "\n".join(f"{name}: {value}" for name, value in headers.items()),
                    "PEERS_BODY": request.get("body", "{}"),
                },
                capture_output=True, text=True, timeout=self.timeout,
            )
            worker, server = tree_cpu_seconds(pid) - worker, self.cluster.cpu_seconds() - server
        if load.returncode != 0:
            raise Failure(f"wrk: {load.stderr.strip() or load.stdout.strip()}")
        result = json.loads(load.stdout.strip().splitlines()[-1])
        if result["errors"]:
            raise Failure(f"wrk: {result['errors']} of {result['requests']} requests failed")
        jobs = result["jobs"] = result["requests"] * (batch or 1)
        if keeps:
            self.check(0, jobs, spare=connections * (batch or 1))
        return {
            **result,
            "requests_per_s": result["requests"] / result["seconds"],
            "jobs_per_s": jobs / result["seconds"],
            "worker_cpu_per_1000": worker / jobs * 1000,
            "server_cpu_per_1000": server / jobs * 1000,
        }


SCENARIOS = {
    "enqueue-1": lambda run: run.enqueue(1),
    "enqueue-16": lambda run: run.enqueue(16),
    "enqueue-64": lambda run: run.enqueue(64),
    "bulk": Run.bulk,
    "bulk-http": lambda run: run.http(1, batch=CHUNK),
    "bulk-sql": lambda run: run.bulk("--sql"),
    "drain-10": lambda run: run.drain(10),
    "drain-50": lambda run: run.drain(50),
    "drain-tuned": Run.drain_tuned,
    "drain-held": Run.drain_held,
    "latency": Run.latency,
    "idle": Run.idle,
    "http-64": lambda run: run.http(64),
}

# What PostgreSQL and HTTP give at best; only adapters that are ceilings know these.
CEILINGS = {
    "pair-1": lambda run: run.enqueue(1, "--pair"),
    "bulk-plain": lambda run: run.bulk("--plain"),
    "group-16x1": lambda run: run.bulk(chunk=16),
    "group-32x2": lambda run: run.bulk("--sessions", 2, chunk=32),
    "loop-100x1": lambda run: run.loop(100, 1),
    "loop-100x2": lambda run: run.loop(100, 2),
    "loop-500x1": lambda run: run.loop(500, 1),
    "loop-500x2": lambda run: run.loop(500, 2),
    "http-empty": lambda run: run.http(64, keeps=False),
}

SCENARIOS |= CEILINGS
