"""The load, and what it was told: callers over HTTP and SQL at a fixed pace, and what others see of the outcomes meanwhile."""

import http.client
import itertools
import json
import random
import threading
import time
from collections import Counter

from cluster import Failure

# Submissions a second of each caller, and callers of each instance.
PACE = 20
CALLERS = 2
SQL_PACE = 10
KEYS = 20


class Told:
    """What somebody outside the database was told. Threads write, the oracle reads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.acknowledged = {}  # job id -> when
        self.seconds = Counter()  # acknowledgements of each second
        self.doors = Counter()  # acknowledgements of each door
        self.slowest = Counter()  # how long the slowest acknowledgement of each second took
        self.refused = Counter()  # why a submission was not acknowledged -> how often
        self.steered = set()  # jobs that somebody had run again, and so end twice
        self.results = {}  # job id -> (state, result) as first seen
        self.numbers = itertools.count(1)

    def acknowledge(self, ids, door="", took=0):
        now = time.time()
        with self.lock:
            self.seconds[int(now)] += len(ids)
            self.doors[door] += len(ids)
            self.slowest[int(now)] = max(self.slowest[int(now)], took)
            for id in ids:
                self.acknowledged.setdefault(id, now)

    def refuse(self, why):
        with self.lock:
            self.refused[why] += 1

    def see(self, rows):
        """Takes outcomes in; answers those that are other than they were."""
        changed = []
        with self.lock:
            for id, *outcome in rows:
                if id in self.steered:
                    self.results[id] = outcome
                elif self.results.setdefault(id, outcome) != outcome:
                    changed.append((id, self.results[id], outcome))
        return changed


class Load:
    """Callers that submit until they are told to stop."""

    def __init__(self, world, told, rng, slow_ms):
        self.world, self.told, self.rng, self.slow_ms = world, told, rng, slow_ms
        self.stopping = threading.Event()
        self.threads = []

    def add(self, caller, *arguments):
        """One more caller, which begins at once."""
        arguments = [*arguments, random.Random(self.rng.random())]
        self.threads.append(threading.Thread(target=caller, args=arguments, daemon=True))
        self.threads[-1].start()

    def start(self):
        for instance in self.world.instances:
            self.attend(instance)
        self.add(self.call_sql)

    def attend(self, instance):
        for _ in range(CALLERS):
            self.add(self.call_http, instance)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)

    def paced(self, pace):
        """Comes round so many times a second; what was missed is not made up for."""
        due = time.monotonic()
        while not self.stopping.is_set():
            due = max(due + 1 / pace, time.monotonic())
            yield
            self.stopping.wait(max(0, due - time.monotonic()))

    def job(self, rng):
        return {"n": next(self.told.numbers), "ms": rng.randrange(self.slow_ms), "fails": rng.random() < 0.05}

    def request(self, rng):
        """A path and a body: a single job, a list, one that is waited for, or one with a key."""
        kind = rng.random()
        path, body = "/jobs", {"task": "mark", "payload": self.job(rng)}
        if kind < 0.05:
            path, body = "/jobs/batch", [{"task": "mark", "payload": self.job(rng)} for _ in range(5)]
        elif kind < 0.10:
            path = "/jobs?wait=2"
        elif kind < 0.20:
            body["unique_key"] = f"key {rng.randrange(KEYS)}"
        return path, body

    def call_http(self, instance, rng):
        connection = None
        for _ in self.paced(PACE):
            path, body = self.request(rng)
            begun = time.monotonic()
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=10)
                connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
                # A key that another job holds is answered with that job.
                if answer.status in (200, 201, 202):
                    said = json.loads(text)
                    took = 0 if "wait" in path else time.monotonic() - begun
                    self.told.acknowledge([job["job_id"] for job in said.get("jobs", [said])], f"HTTP of {instance}", took)
                else:
                    self.refused(instance, begun, f"HTTP {answer.status}", text.decode(errors="replace"))
            except (OSError, http.client.HTTPException) as error:
                self.refused(instance, begun, type(error).__name__, str(error))
                connection.close()
                connection = None

    def refused(self, _instance, _begun, why, _said):
        """Mischief has some calls refused."""
        self.told.refuse(why)

    def call_sql(self, rng):
        session = None
        for _ in self.paced(SQL_PACE):
            try:
                session = session or self.world.session(10)
                payload = json.dumps(self.job(rng))
                rows = session(f"select job_id from reveille.submit(task => 'mark', payload => '{payload}')")
                self.told.acknowledge([row[0] for row in rows], "SQL")
            except Failure:
                self.told.refuse("SQL")
                if session:
                    session.close()
                session = None
        if session:
            session.close()


class Watch:
    """Looks once a second at what must hold all the time, and keeps what others saw of the outcomes."""

    def __init__(self, world, told, memory_most, report):
        self.world, self.told, self.memory_most, self.report = world, told, memory_most, report
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.session = None
        self.connections_most = self.memory_seen = 0

    def start(self):
        self.thread.start()

    def stop(self):
        self.stopping.set()
        self.thread.join(60)
        if self.session:
            self.session.close()

    def run(self):
        while not self.stopping.wait(1):
            self.look_at_memory()
            try:
                self.session = self.session or self.world.session(10)
                self.look_at_connections()
                self.look_at_outcomes(self.session, "ended_at > clock_timestamp() - interval '20 s'")
            except Failure:
                # The mischief is at work; the next look is a second away.
                if self.session:
                    self.session.close()
                self.session = None

    def look_at_all(self):
        """At every outcome there is, with a session of its own."""
        session = self.world.session(60)
        try:
            self.look_at_outcomes(session, "true")
        finally:
            session.close()

    def look_at_memory(self):
        for instance in self.world.instances:
            used = instance.memory_mb()
            self.memory_seen = max(self.memory_seen, used)
            if used > self.memory_most:
                self.report("bounds", f"{instance} uses {used:.0f} MB, and {self.memory_most} are allowed")

    def look_at_connections(self):
        rows = self.session(
            "select application_name, count(*) from pg_stat_activity "
            "where backend_type = 'client backend' and application_name like 'mischief-%' group by 1"
        )
        for name, count in rows:
            self.connections_most = max(self.connections_most, int(count))
            if int(count) > self.world.connections_allowed:
                self.report("bounds", f"{name} has {count} connections, and {self.world.connections_allowed} are promised")

    def look_at_outcomes(self, session, which):
        rows = session(f"select id, state, coalesce(result #>> '{{}}', error ->> 'code', '') from reveille.outcome where {which}")
        for id, first, now in self.told.see(rows):
            self.report("doubled", f"job {id} had ended as {first}, and later as {now}")
