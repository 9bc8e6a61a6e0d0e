"""The load over all doors, which stays while instances come and go; nobody who calls a present instance may be refused."""

import http.client
import json
import math
import os
import subprocess
import threading
import time

import load
from cluster import Failure
from life import Life
from world import Session

APPLICATION = "application"
# A new session is made now and then, as a pool would.
CALLS_OF_A_SESSION = 60

# What an operator granted, and what an application made, before the upgrade: docs/sql.md has the grants.
GRANTED = f"""
create role {APPLICATION} login;
grant usage on schema reveille to {APPLICATION};
grant execute on function reveille.submit, reveille.submit_many to {APPLICATION};
grant select on reveille.jobs to {APPLICATION};
create schema shop authorization {APPLICATION};
set role {APPLICATION};
create view shop.jobs as select job_id, status, queue from reveille.jobs;
create function shop.order_made(job jsonb) returns uuid begin atomic
  select s.job_id from reveille.submit(task => 'mark', payload => job, tags => array['shop']) s;
end
"""
GRANTS = f"""
select string_agg(concat_ws(' ', what, may), ', ' order by what, may) from (
  select p.proname, a.privilege_type from pg_proc p, aclexplode(p.proacl) a
  where p.pronamespace = 'reveille'::regnamespace and a.grantee = '{APPLICATION}'::regrole
    and p.proname in ('submit', 'submit_many')
  union all
  select c.relname, a.privilege_type from pg_class c, aclexplode(c.relacl) a
  where c.relnamespace = 'reveille'::regnamespace and a.grantee = '{APPLICATION}'::regrole
) granted (what, may)
"""
PREPARED = """
prepare one (jsonb) as select job_id from reveille.submit(task => 'mark', payload => $1);
prepare seen (uuid) as select status from shop.jobs where job_id = $1
"""


class Doors(load.Load):
    """HTTP to each instance, SQL as a role of an application, the library of each release, and what only the new one knows."""

    def __init__(self, world, told, rng, report, names):
        super().__init__(world, told, rng, 100)
        self.report, self.names = report, names
        self.life = Life(told, report)
        self.present = {}  # since when an instance is ready, until it is told to leave
        self.libraries = []

    def open(self):
        """The SQL door: sessions that stay, and sessions that are made anew."""
        self.add(self.call_prepared)
        self.add(self.call_anew)

    def request(self, rng):
        path, body = super().request(rng)
        kind = rng.random()
        for job in body if isinstance(body, list) else [body]:
            if kind < 0.1:
                job |= {"delay_seconds": round(rng.uniform(0.2, 3), 3), "queue": "later"}
            elif kind < 0.2:
                job |= {"priority": rng.randrange(10), "tags": ["a", "b"], "max_attempts": 7, "timeout_seconds": 60}
            elif kind < 0.3 and "unique_key" in job:
                job |= {"on_conflict": "replace"}
        return path, body

    def leaves(self, instance):
        """Its callers may be refused from now on."""
        self.present.pop(instance, None)

    def comes(self, instance):
        if instance.generation == 1:
            self.attend(instance)
        self.present[instance] = time.monotonic()

    def attend(self, instance):
        super().attend(instance)
        if self.names[instance] == "new":
            self.life.settle(instance)
            self.add(self.call_life, instance)

    def call_life(self, instance, rng):
        """What the release before does not know."""
        for number, _ in enumerate(self.paced(load.SQL_PACE)):
            begun = time.monotonic()
            try:
                if why := self.life.turn(instance, number, self.job(rng)):
                    self.refused(instance, begun, "life", why)
            except (OSError, http.client.HTTPException, Failure) as error:
                self.refused(instance, begun, type(error).__name__, str(error))

    def refused(self, instance, begun, why, said):
        self.told.refuse(why)
        if begun > self.present.get(instance, math.inf):
            self.report("refused", f"HTTP of {instance}: {why} {said[:300]}")

    def session(self):
        return Session(self.world.url_of(APPLICATION), 20)

    def mark(self, rng):
        return json.dumps(self.job(rng))

    def call_prepared(self, rng):
        """One session for all the time, with plans from before the upgrade, and what the application made."""
        try:
            session = self.session()
            session(PREPARED)
            for turn in self.turns():
                if turn % 2:
                    [id] = self.ask(session, f"execute one('{self.mark(rng)}')", "SQL, prepared before")
                else:
                    [id] = self.ask(session, f"select shop.order_made('{self.mark(rng)}')", "SQL, a function made before")
                if not session(f"execute seen('{id}')"):
                    self.report("lost", f"job {id} is not in the application's view")
            session.close()
        except Failure as failure:
            self.report("refused", f"SQL in an old session: {failure}")

    def call_anew(self, rng):
        """Sessions as a pool makes them, lists, and keys."""
        try:
            for turn in self.turns():
                if turn % CALLS_OF_A_SESSION == 0:
                    session = self.session()
                key = f"sql {turn % 10}"
                if turn % 2:
                    arguments = f"task => 'mark', payload => '{self.mark(rng)}', unique_key => '{key}', on_conflict => 'keep'"
                    self.ask(session, f"select job_id from reveille.submit({arguments})", "SQL")
                else:
                    jobs = [{"task": "mark", "payload": self.job(rng)} for _ in range(3)]
                    jobs[0] |= {"delay_seconds": 1, "queue": "later"}
                    jobs[1] |= {"unique_key": key, "on_conflict": "replace"}
                    self.ask(session, f"select job_id from reveille.submit_many('{json.dumps(jobs)}')", "SQL")
                if turn % CALLS_OF_A_SESSION == CALLS_OF_A_SESSION - 1:
                    session.close()
        except Failure as failure:
            self.report("refused", f"SQL in a new session: {failure}")

    def turns(self):
        """The numbers of calls, at the pace of SQL."""
        return (turn for turn, _ in enumerate(self.paced(load.SQL_PACE)))

    def ask(self, session, query, door):
        """The ids of the jobs that a statement submitted."""
        begun = time.monotonic()
        ids = [row[0] for row in session(query)]
        self.told.acknowledge(ids, door, time.monotonic() - begun)
        return ids

    def open_library(self, program, name):
        """A program with the library of one release, which stays until the end."""
        environment = {**os.environ, "DATABASE_URL": self.world.url}
        library = subprocess.Popen([program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.libraries.append((library, name))
        thread = threading.Thread(target=self.hear, args=(library, name), daemon=True)
        self.threads.append(thread)
        thread.start()

    def hear(self, library, name):
        for line in library.stdout:
            if line.startswith("!"):
                self.report("refused", f"the library of {name}: {line[1:].strip()}")
            else:
                self.told.acknowledge([line.strip()], f"library of {name}")

    def stop(self):
        for library, name in self.libraries:
            library.stdin.close()
        super().stop()
        for library, name in self.libraries:
            if library.wait(20) != 0:
                self.report("leaving", f"the library of {name} ended with status {library.returncode}")

    def abandon(self):
        self.stopping.set()
        for library, _ in self.libraries:
            library.kill()
            library.wait()
