"""Jobs that come at a given rate and are run at once: what one waits for, and what stays of them."""

import json
import os
import re
import subprocess

from world import Failure, memory_mb


def load(world, database, *arguments, environment=()):
    """A running `growth-load`."""
    return subprocess.Popen(
        [world.load, *map(str, arguments)], stdout=subprocess.PIPE, text=True, cwd=world.folder,
        env={**os.environ, "DATABASE_URL": world.cluster.url(database), **dict(environment)},
    )


def once(world, *arguments):
    world.database("steady")
    process = load(world, "steady", *arguments)
    output = process.communicate(timeout=600)[0]
    if process.returncode:
        raise Failure(f"growth-load ended with {process.returncode}")
    return json.loads(output.strip().splitlines()[-1])


def most(world):
    """Jobs a second when as many come as can be run."""
    answer = once(world, "--seconds", world.size(10, 2), "--warmup", world.size(4, 1))
    return answer["started"] / answer["seconds"]


def mixed(world):
    """From the moment at which a job is to be submitted to the start of its handler, at shares of the most there can be."""
    rate = most(world)
    yield {"x": 100, "per_s": rate}
    for percent in (25, 50, 75, 90):
        answer = once(world, "--rate", rate * percent / 100, "--seconds", world.size(20, 2), "--warmup", world.size(4, 1))
        yield {"x": percent, "per_s": answer["started"] / answer["seconds"], "refused": answer["refused"],
               **{f"start_{key}": value for key, value in answer["start"].items()},
               **{f"submit_{key}": value for key, value in answer["submit"].items()}}


def hour(world):
    """Half of the most for an hour, with autovacuum as it comes. Completed jobs are kept for a sixth of that time, so that the size can level out."""
    rate = most(world) / 2
    seconds = world.minutes * 60
    slice_seconds = max(5, seconds / 60)
    world.database("hour")
    kept = {"REVEILLE_KEEP_COMPLETED_SECONDS": str(round(seconds / 6))}
    process = load(world, "hour", "--rate", rate, "--seconds", seconds, "--slice", slice_seconds, environment=kept.items())
    with world.session("hour") as session:
        for line in process.stdout:
            answer = json.loads(line)
            yield {
                "x": answer["at_seconds"] / 60, "per_s": answer["started"] / answer["seconds"],
                "start_p50_ms": answer["start"]["p50_ms"], "start_p99_ms": answer["start"]["p99_ms"],
                "dead_tuples": session.number("select sum(n_dead_tup) from pg_stat_user_tables"),
                "size_mb": session.number("select pg_database_size(current_database())") / 1e6,
                "memory_mb": memory_mb(process.pid),
            }
    if process.wait(60):
        raise Failure(f"growth-load ended with {process.returncode}")
