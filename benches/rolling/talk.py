"""What one instance does to what another one holds: each door of each release, crosswise."""

import http.client
import json
import os
import subprocess
import time

from cluster import Failure

# News crosses within milliseconds. A busy machine takes longer, and no poll is as quick as this.
SOON = 3


class Talk:
    """Two instances of two releases. What does not get across is reported."""

    def __init__(self, told, report, names):
        self.told, self.report, self.names = told, report, names
        self.crossed = dict.fromkeys(["waits", "cancellations"], 0)
        self.slowest = 0

    def between(self, first, second, clients):
        for one, other in [(first, second), (second, first)]:
            where = f"{self.names[one]} and {self.names[other]}"
            for check in [self.pause, self.cancel_waiting, self.cancel_running, self.wait]:
                try:
                    check(one, other)
                except (Failure, OSError, http.client.HTTPException) as failure:
                    self.report("talk", f"{check.__name__.replace('_', ' ')}, {where}: {failure}")
        for instance in [first, second]:
            for client in clients:
                self.command_line(client, instance)

    def pause(self, one, other):
        queue = f"paused-by-{one.number}-{one.generation}"
        call(one, "POST", f"/queues/{queue}/pause")
        id = self.mark(other, queue=queue)
        time.sleep(1)
        if not call(other, "GET", f"/queues/{queue}")["paused"]:
            raise Failure("the queue is not paused for the other")
        expect(call(other, "GET", f"/jobs/{id}"), "queued")
        call(other, "POST", f"/queues/{queue}/resume")
        expect(call(one, "GET", f"/jobs/{id}?wait={SOON}"), "completed")

    def cancel_waiting(self, one, other):
        """And runs it again, whoever takes it."""
        id = self.mark(one, queue="later", delay_seconds=600)
        expect(call(other, "POST", f"/jobs/{id}/cancel"), "cancelled")
        self.told.steered.add(id)
        call(one, "POST", f"/jobs/{id}/retry")
        expect(call(other, "GET", f"/jobs/{id}?wait={SOON}"), "completed")

    def cancel_running(self, one, other):
        """Either may run a job; the cancellation goes to the one that does not."""
        for _ in range(4):
            id = call(one, "POST", "/jobs", {"task": "sleep", "payload": {"seconds": 60}, "priority": 0})["job_id"]
            job = until(lambda: call(one, "GET", f"/jobs/{id}"), "processing")
            others = [it for it in (one, other) if it.name != job["worker"]["name"]]
            call(others[0], "POST", f"/jobs/{id}/cancel")
            expect(call(others[-1], "GET", f"/jobs/{id}?wait={SOON}"), "cancelled")
            self.crossed["cancellations"] += 1

    def wait(self, one, _):
        """The caller waits at one instance; either may run the job."""
        for _ in range(8):
            begun = time.monotonic()
            job = call(one, "POST", f"/jobs?wait={SOON}", {"task": "mark", "payload": {"n": 0, "ms": 50, "fails": False}})
            self.slowest = max(self.slowest, time.monotonic() - begun)
            expect(job, "completed")
            self.told.acknowledge([job["job_id"]], "HTTP, waited for")
            worker = call(one, "GET", f"/jobs/{job['job_id']}")["worker"]["name"]
            self.crossed["waits"] += worker != one.name

    def command_line(self, client, instance):
        environment = {"PATH": os.environ["PATH"], "REVEILLE_URL": f"http://127.0.0.1:{instance.port}"}
        submit = [client, "submit", "mark", "--payload", '{"n": 0, "ms": 10, "fails": false}', "--quiet"]
        done = subprocess.run(submit, env=environment, capture_output=True, text=True, timeout=20)
        id = done.stdout.strip()
        if done.returncode == 0:
            self.told.acknowledge([id], "command line")
            done = subprocess.run([client, "wait", id], env=environment, capture_output=True, text=True, timeout=30)
        if done.returncode != 0:
            self.report("talk", f"{client} at {self.names[instance]}: {done.stderr.strip()}")

    def mark(self, instance, **fields):
        job = {"task": "mark", "payload": {"n": 0, "ms": 10, "fails": False}, **fields}
        id = call(instance, "POST", "/jobs", job)["job_id"]
        self.told.acknowledge([id], "HTTP, steered")
        return id


def call(instance, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=20)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"content-type": "application/json"})
        answer = connection.getresponse()
        said = answer.read()
    finally:
        connection.close()
    if answer.status >= 300:
        raise Failure(f"{method} {path}: HTTP {answer.status} {said[:300].decode(errors='replace')}")
    return json.loads(said)


def expect(job, status):
    if job["status"] != status:
        raise Failure(f"job {job['job_id']} is {job['status']}, and {status} was expected: {json.dumps(job)}")


def until(look, status):
    """Looks until a job has this status."""
    end = time.monotonic() + SOON
    while (job := look())["status"] != status and time.monotonic() < end:
        time.sleep(0.02)
    expect(job, status)
    return job
