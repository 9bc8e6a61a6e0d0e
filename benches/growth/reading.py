"""Reading: lists on very many jobs, and very many who wait for the end of a job."""

import asyncio
import http.client
import json
import statistics
import time
from urllib.parse import quote, urlsplit

from world import Failure

LISTS = {
    "GET /jobs": "/jobs",
    "status=queued": "/jobs?status=queued",
    "status=scheduled": "/jobs?status=scheduled",
    "status=completed": "/jobs?status=completed",
    "status=failed": "/jobs?status=failed",
    "queue": "/jobs?queue=queue-3",
    "queue without jobs": "/jobs?queue=nothing",
    "task": "/jobs?task=noop",
    "tag": "/jobs?tag=rare",
    "unique_key": "/jobs?unique_key=nothing",
    "created_before": "/jobs?created_before={day_ago}",
    "payload_contains": "/jobs?payload_contains=" + quote('{"n": 1}'),
    "all filters": "/jobs?status=completed&queue=nothing&task=noop&payload_contains=" + quote('{"n": 1}'),
    "a job": "/jobs/{job}",
    "GET /queues": "/queues",
    "GET /metrics": "/metrics",
}


def reads(world):
    """Times of each list with ten million jobs, a third of them waiting, on one connection."""
    jobs = world.size(world.deep, 300_000)
    world.database("reads", waiting=jobs // 3, ended=jobs * 2 // 3, queues=10, priorities=10)
    with world.services("reads", REVEILLE_WORKERS=0) as [service], world.session("reads") as session:
        job = session("select id from reveille.job order by id desc offset 1000 limit 1")
        day_ago = quote(session("select to_char(now() - interval '1 day', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"))
        for name, path in LISTS.items():
            times = timed(service.url, path.format(job=job, day_ago=day_ago), world.size(300, 20))
            yield {"x": name, "p50_ms": percentile(times, 0.5), "p99_ms": percentile(times, 0.99)}
        # What stands there is fresh for five seconds, so every scrape that is not more frequent pays for a reading.
        times = [apart(service.url) for _ in range(world.size(8, 2))]
        yield {"x": "GET /metrics anew", "p50_ms": percentile(times, 0.5), "p99_ms": max(times)}


def apart(url):
    time.sleep(5.2)
    return timed(url, "/metrics", 1, warm=0)[0]


def timed(url, path, count, method="GET", body=None, warm=5):
    """How long each of so many requests took, in milliseconds, behind some that prepare statements."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    times = []
    for _ in range(count + warm):
        begun = time.perf_counter()
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise Failure(f"{path}: {answer.status} {text[:200]}")
        times.append((time.perf_counter() - begun) * 1000)
    connection.close()
    return times[warm:]


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def readers(world):
    """Ever more callers of `GET /jobs/{id}?wait=60`, and what submissions through the same instance take meanwhile."""
    world.database("readers")
    with world.services("readers", REVEILLE_MAX_CONNECTIONS=20_000) as [service]:
        for count in (0, 1_000, world.size(10_000, 2_000)):
            yield asyncio.run(read_together(world, service, count))


async def read_together(world, service, count):
    """The readers wait for a hundred jobs, which are cancelled at the end."""
    jobs = [asked(service, "POST", "/jobs", '{"payload": 1, "delay_seconds": 3600}')["job_id"] for _ in range(100)]
    callers = []
    for n in range(count):
        callers.append(asyncio.create_task(long_poll(urlsplit(service.url), jobs[n % 100])))
        # A thousand a second.
        await asyncio.sleep(0.01 if n % 10 == 9 else 0)
    await asyncio.sleep(2)
    body = '{"task": "noop", "payload": 1}'
    times = await asyncio.to_thread(timed, service.url, "/jobs", world.size(1000, 100), "POST", body)
    memory, waiting = service.memory_mb(), sum(not caller.done() for caller in callers)
    begun = time.monotonic()
    await asyncio.to_thread(lambda: [asked(service, "POST", f"/jobs/{job}/cancel") for job in jobs])
    statuses = await asyncio.gather(*callers)
    if waiting < count or any(status != "cancelled" for status in statuses):
        others = sorted({status for status in statuses if status != "cancelled"})
        raise Failure(f"{waiting} of {count} readers waited, and {statuses.count('cancelled')} saw the end, others {others[:3]}")
    return {"x": count, "submit_p50_ms": percentile(times, 0.5), "submit_p99_ms": percentile(times, 0.99), "memory_mb": memory,
            "all_told_ms": (time.monotonic() - begun) * 1000}


async def long_poll(address, job):
    """The status that one reader is told at last."""
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(f"GET /jobs/{job}?wait=60 HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return json.loads(body)["status"] if b" 200 " in head[:20] else answer[:200].decode()


def asked(service, method, path, body=None):
    connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=60)
    connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer
