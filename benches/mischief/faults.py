"""The mischief: each function does it, lets it last, undoes it, and says what it did. What must hold meanwhile is looked at
elsewhere (load.py, oracle.py).

`gentle` mischief takes no lease from anybody, so that no job runs twice by it.
"""

import json
import signal
import socket
import threading
import time
from contextlib import ExitStack

from cluster import Failure

TABLES = ["job", "ready", "lease", "outcome", "attempt", "unique_key", "queue", "worker", "leader"]


def backends_killed(world, rng):
    """Half of the service's sessions, at random."""
    session = world.session()
    rows = session(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where backend_type = 'client backend' "
        f"and application_name like 'mischief-%' and hashint4(pid + {rng.randrange(1 << 20)}) % 2 = 0"
    )
    session.close()
    return f"{rows[0][0]} sessions"


def table_locked(world, rng):
    return locked(world, rng.choice(TABLES), rng.uniform(2, 5))


def leases_locked(world, rng):
    return locked(world, "lease", 4)


def locked(world, table, seconds):
    session = world.session()
    session("begin")
    session(f"lock table reveille.{table} in access exclusive mode")
    time.sleep(seconds)
    session("rollback")
    session.close()
    return f"{table}, {seconds:.1f} s"


def keys_held(world, rng):
    """A transaction that submitted with the callers' keys stays open, and is then undone."""
    seconds = rng.uniform(5, 12)
    session = world.session(60)
    session("begin")
    session("set local lock_timeout = '5s'")
    session(
        "select count(*) from generate_series(0, 19) key, lateral reveille.submit(task => 'mark', "
        """payload => '{"n": 0, "ms": 0, "fails": false}', unique_key => 'key ' || key, on_conflict => 'keep')"""
    )
    time.sleep(seconds)
    session("rollback")
    session.close()
    return f"20 keys, {seconds:.1f} s"


def readers_slow(world, rng):
    """Callers that ask for much, and read some bytes a second of it."""
    seconds, count = rng.uniform(8, 15), 24
    with ExitStack() as stack:
        readers = []
        for number in range(count):
            instance = world.instances[number % len(world.instances)]
            reader = socket.create_connection(("127.0.0.1", instance.port), timeout=5)
            stack.callback(reader.close)
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.sendall(b"GET /jobs?include=payload&limit=200 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            readers.append(reader)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for reader in readers:
                try:
                    reader.recv(16)
                except OSError:
                    pass  # It was shown the door.
            time.sleep(1)
    return f"{count} readers, {seconds:.1f} s"


def callers_hang_up(world, rng):
    """Callers that leave in the middle of a request, or of a long wait."""
    seconds, calls = rng.uniform(3, 8), 0
    end = time.monotonic() + seconds
    whole = json.dumps({"task": "mark", "payload": {"n": 0, "ms": 2000, "fails": False}})
    head = f"Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(whole)}\r\n\r\n"
    requests = [
        f"POST /jobs HTTP/1.1\r\n{head}{whole[:10]}", f"POST /jobs?wait=60 HTTP/1.1\r\n{head}{whole}",
        "GET /jobs?status=completed&limit=200 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ]
    while time.monotonic() < end:
        for instance in world.instances:
            try:
                with socket.create_connection(("127.0.0.1", instance.port), timeout=2) as caller:
                    caller.sendall(rng.choice(requests).encode())
                calls += 1
            except OSError:
                pass  # A queue of callers is full; there is the next one.
        time.sleep(0.02)
    return f"{calls} callers, {seconds:.1f} s"


def log_stalled(world, rng):
    instance, seconds = rng.choice(world.instances), rng.uniform(8, 15)
    instance.stalled.set()
    time.sleep(seconds)
    instance.stalled.clear()
    return f"of {instance}, {seconds:.1f} s"


def log_closed(world, rng):
    """For as long as the instance lives."""
    instance = rng.choice(world.instances)
    instance.closed.set()
    time.sleep(2)
    return f"of {instance}"


def database_frozen(world, rng):
    seconds = rng.uniform(2, 6)
    world.cluster.freeze()
    time.sleep(seconds)
    world.cluster.thaw()
    return f"{seconds:.1f} s"


def database_crashed(world, rng):
    world.cluster.crash()
    world.cluster.wait_ready()
    return "immediate stop and start"


def instance_killed(world, rng):
    instance, seconds = rng.choice(world.instances), rng.uniform(1, 10)
    instance.signal(signal.SIGKILL)
    instance.ended(10)
    time.sleep(seconds)
    instance.start()
    return f"{instance}, away for {seconds:.1f} s"


def instance_left(world, rng):
    instance, seconds = rng.choice(world.instances), rng.uniform(0, 5)
    instance.signal(signal.SIGTERM)
    status = instance.ended(40)
    if status != 0:
        raise Failure(f"{instance} left with status {status}: {instance.last_words()}")
    time.sleep(seconds)
    instance.start()
    return f"{instance}, away for {seconds:.1f} s"


def instance_stopped(world, rng):
    """For longer than it takes to be given up, or for less."""
    return stopped(rng.choice(world.instances), rng.choice([3, 14, 18]))


def instance_given_up(world, rng):
    return stopped(rng.choice(world.instances), 18)


def stopped(instance, seconds):
    instance.signal(signal.SIGSTOP)
    time.sleep(seconds)
    instance.signal(signal.SIGCONT)
    return f"{instance}, {seconds} s"


GENTLE = [backends_killed, table_locked, leases_locked, keys_held, readers_slow, callers_hang_up, log_stalled, log_closed]
HARD = [database_frozen, database_crashed, instance_killed, instance_left, instance_stopped]
# Locking the leases is one way of locking a table; by itself it is for the builds that lack a protection.
ALL = [fault for fault in GENTLE + HARD if fault is not leases_locked]


def name(fault):
    return fault.__name__.replace("_", " ")


def at_once(world, rng, pair):
    """Two at a time. Either may spoil what the other does; that is no failure of the service."""
    said = [None, None]
    seeds = [type(rng)(rng.random()) for _ in pair]

    def do(place):
        try:
            said[place] = pair[place](world, seeds[place])
        except Exception as error:  # Whatever it is, the other one has its say, and the hour goes on.
            said[place] = f"spoiled ({error})"

    threads = [threading.Thread(target=do, args=(place,)) for place in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for instance in world.instances:
        if not instance.alive():
            instance.start()
    world.cluster.wait_ready()
    return "; ".join(said)
