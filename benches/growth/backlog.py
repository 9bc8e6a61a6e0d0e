"""How the rates stand up to what is in the database: how many jobs wait, or have ended, in how many lanes; and how large they are."""

import base64
import os
from contextlib import ExitStack

from world import drain_rate, wait_completed

ROUND = 10_000


def depth(world):
    """Claims and submissions with ever more jobs waiting or ended, in turns: each database gets a round, then all again."""
    middle, deep = world.size(1_000_000, 100_000), world.size(world.deep, 300_000)
    sizes = {"10 k wait": (ROUND, 0), label(middle, "wait"): (middle, 0), label(deep, "wait"): (deep, 0),
             label(deep, "ended"): (ROUND, deep)}
    for name, (waiting, ended) in sizes.items():
        world.database(name, waiting=waiting, ended=ended)
    yield from depth_submit(world, sizes)
    yield from depth_claim(world, sizes)
    for name in sizes:
        world.drop(name)


def label(jobs, state):
    return f"{jobs // 1_000_000} M {state}" if jobs >= 1_000_000 else f"{jobs // 1000} k {state}"


def depth_submit(world, sizes):
    for _ in range(world.size(4, 1)):
        for name in sizes:
            world.cluster.sql("checkpoint")
            yield {"x": name, "submit_per_s": world.adapter_submit(name, world.size(3, 1))}
            world.cluster.sql(
                "with gone as (delete from reveille.ready where task = 'bench' returning id) "
                "delete from reveille.job j using gone where j.id = gone.id", name)


def depth_claim(world, sizes):
    """A queue is resumed until ten thousand of its jobs have ended, over and over."""
    with ExitStack() as stack:
        runs = {}
        for name in sizes:
            [service] = stack.enter_context(world.services(name, REVEILLE_POLL_INTERVAL_SECONDS=60))
            service.post("/queues/default/pause")
            runs[name] = service, stack.enter_context(world.session(name))
        for _ in range(world.size(20, 2)):
            for name, (service, session) in runs.items():
                yield {"x": name, "claim_per_s": claim_round(world, name, service, session)}


def claim_round(world, name, service, session):
    missing = ROUND - int(session.number(f"select count(*) from (select from reveille.ready limit {ROUND}) r"))
    if missing > 0:
        refill(session, missing)
    since, before = session("select clock_timestamp()"), service.completed()
    service.post("/queues/default/resume")
    wait_completed([service], before + ROUND)
    service.post("/queues/default/pause")
    return drain_rate(session, ROUND, since)


def refill(session, jobs):
    session(
        "with j as (insert into reveille.job (id, run_at, priority, queue, task, payload) "
        "select reveille.uuid7(reveille.uuid7_ticks(now()), 0, n), now(), 5, 'default', 'noop', '{\"n\": 0}' "
        f"from generate_series(1, {jobs}) n returning *) "
        "insert into reveille.ready (queue, task, priority, run_at, id, payload) "
        "select queue, task, priority, run_at, id, payload from j")


def drain(world, jobs, instances=1, scheduled=(), **filled):
    """Jobs a second of so many instances that begin on a backlog together, when all of them are there."""
    world.database("drain", waiting=jobs, **filled)
    world.cluster.sql("update reveille.queue set paused_at = now()", "drain")
    with world.services("drain", instances, scheduled) as services, world.session("drain") as session:
        session("with resumed as (update reveille.queue set paused_at = null returning name) "
                "select pg_notify('reveille', 'queue ' || name) from resumed")
        wait_completed(services, jobs, look_every=0.5)
        return drain_rate(session, jobs)


def lanes(world, name, values):
    """A backlog that lies in so many lanes, and submissions to as many."""
    jobs = world.size(100_000, 20_000)
    for _ in range(world.size(2, 1)):
        for value in values:
            rate = drain(world, jobs, **{name: value})
            world.database("submit")
            with world.services("submit", REVEILLE_WORKERS=0) as services:
                submitted = world.submit(services, world.size(4, 1), **{name: value})
            yield {"x": value, "claim_per_s": rate, "submit_per_s": submitted}


def priorities(world):
    return lanes(world, "priorities", (1, 10))


def queues(world):
    """The last has as many queues as jobs."""
    return lanes(world, "queues", (1, 10, 100, 1000, world.size(100_000, 20_000)))


def weeks(world):
    """A backlog, and submissions, in a database that keeps one week, one year and three years."""
    jobs = world.size(100_000, 20_000)
    for _ in range(world.size(5, 1)):
        for count in (1, 52, 156):
            rate = drain(world, jobs, weeks=count)
            world.database("submit", weeks=count)
            with world.services("submit", REVEILLE_WORKERS=0) as services:
                submitted = world.submit(services, world.size(4, 1))
            yield {"x": count, "claim_per_s": rate, "submit_per_s": submitted}


def instances(world):
    """More instances on one database, and the whole of what they do: as it comes; started so that a thread that wakes does not
    preempt another; one instance that has the callers of all; and as many sessions that claim within PostgreSQL."""
    jobs = world.size(100_000, 20_000)
    for _ in range(world.size(3, 1)):
        for count in (1, 2, 4, 8):
            metrics = {"x": count}
            for kind, scheduled in (("", ()), ("batch_", ("chrt", "--batch", "0"))):
                metrics[f"claim_{kind}per_s"] = drain(world, jobs, count, scheduled)
                metrics[f"submit_{kind}per_s"] = submit_many_callers(world, count, count, scheduled)
            metrics["loop_per_s"] = world.loop_in_server(jobs, count)
            metrics["submit_one_per_s"] = submit_many_callers(world, 1, count)
            yield metrics


def submit_many_callers(world, instances, loads, scheduled=()):
    """Submissions a second of instances with so many load generators in all, 64 callers each."""
    world.database("submit")
    with world.services("submit", instances, scheduled, REVEILLE_WORKERS=0) as services:
        return world.submit(services * (loads // instances), world.size(4, 1), connections=64 * loads)


def payloads(world):
    """Payloads that cannot be compressed: submitted through one instance while its queue is paused, and then run."""
    for _ in range(world.size(2, 1)):
        for size in (100, 1_000, 10_000, 100_000):
            world.database("payloads")
            with world.services("payloads") as [service], world.session("payloads") as session:
                service.post("/queues/default/pause")
                text = base64.b64encode(os.urandom(size))[:size - 2].decode()
                submitted = world.submit([service], world.size(4, 1), payload=f'"{text}"')
                jobs = int(session.number("select count(*) from reveille.ready"))
                service.post("/queues/default/resume")
                wait_completed([service], jobs)
                claimed = drain_rate(session, jobs)
            yield {"x": size, "submit_per_s": submitted, "submit_mb_per_s": submitted * size / 1e6,
                   "claim_per_s": claimed, "claim_mb_per_s": claimed * size / 1e6}
