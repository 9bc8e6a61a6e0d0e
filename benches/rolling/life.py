"""What only the new release knows: callers use it at each of its instances, while old ones run the same jobs."""

import http.client
import json
import threading
import time

from cluster import Failure
from talk import call

# How long a unique key stays taken after the submission, in seconds, and by how much two clocks may differ.
WINDOW, SLACK = 5, 0.5
KEYS = 7
QUEUE = "settled"
SETTINGS = {"priority": 2, "max_attempts": 9, "timeout_seconds": 60, "retry": {"strategy": "fixed", "base_seconds": 0.2}}
# Jobs that fail for good lie in this queue until they are redriven.
DEAD = "dead"
REDRIVEN_WITHIN = 60


class Life:
    """Keys for a while, repeated requests, time limits, settings of a queue, and dead letters."""

    def __init__(self, told, report):
        self.told, self.report = told, report
        self.lock = threading.Lock()
        self.windows = {}  # unique key -> (job that took it, when it was submitted)
        self.dead = []

    def settle(self, instance):
        """The settings that nobody changes from now on."""
        call(instance, "PUT", f"/queues/{QUEUE}", SETTINGS)

    def turn(self, instance, number, job):
        """One call. Answers why it was refused, if it was."""
        kinds = [self.repeat, self.take_key, self.limit, self.fail, self.send_to_queue]
        return kinds[number % len(kinds)](instance, number, job)

    def repeat(self, instance, number, job):
        """The second request is answered as the first, and submits nothing."""
        headers = {"Idempotency-Key": f"{instance.number}-{number}-{job['n']}"}
        body = {"task": "mark", "payload": job}
        answers = []
        for _ in range(2):
            status, told, said = post(instance, "/jobs", body, headers)
            if status != 201:
                return f"HTTP {status} {said}"
            answers.append((said["job_id"], told.get("Idempotency-Replayed")))
        self.told.acknowledge([answers[0][0]], "HTTP, repeated")
        if answers[1] != (answers[0][0], "true"):
            self.report("doubled", f"a repeated request was answered {answers}")

    def take_key(self, instance, number, job):
        """Two jobs of one key are a window apart, whoever runs them and frees the key."""
        key = f"window {number % KEYS}"
        body = {"task": "mark", "payload": {**job, "fails": False}, "unique_key": key, "unique_for_seconds": WINDOW}
        with self.lock:
            status, _, said = post(instance, "/jobs", body)
            if status not in (200, 201):
                return f"HTTP {status} {said}"
            id = said["job_id"]
            self.told.acknowledge([id], "HTTP, a key for a while")
            if said["outcome"] == "created":
                before, at = self.windows.get(key, (None, -WINDOW))
                now = submitted(id)
                if now - at < WINDOW - SLACK:
                    self.report("window", f"job {id} took the key {now - at:.1f} s after job {before}")
                self.windows[key] = (id, now)

    def limit(self, instance, number, job):
        limits = {"deadline_seconds": 120} if number % 2 else {"queue_ttl_seconds": 120}
        return self.submit(instance, {"payload": job, **limits}, "HTTP, with a time limit")

    def send_to_queue(self, instance, _, job):
        return self.submit(instance, {"payload": job, "queue": QUEUE}, "HTTP, to a queue with settings")

    def submit(self, instance, body, door):
        status, _, said = post(instance, "/jobs", {"task": "mark", **body})
        if status != 201:
            return f"HTTP {status} {said}"
        self.told.acknowledge([said["job_id"]], door)

    def fail(self, instance, _, job):
        """It is no acknowledged job before it is redriven."""
        body = {"task": "mark", "payload": {**job, "fails": True}, "queue": DEAD, "max_attempts": 1}
        status, _, said = post(instance, "/jobs", body)
        if status != 201:
            return f"HTTP {status} {said}"
        with self.lock:
            self.dead.append(said["job_id"])
            self.told.steered.add(said["job_id"])

    def finish(self, instance, session):
        """Redrives all that failed, and looks at what is left of the settings."""
        end = time.monotonic() + REDRIVEN_WITHIN
        open = f"select count(*) from reveille.job j where j.queue = '{DEAD}' and not exists (select from reveille.outcome o where o.id = j.id)"
        while session(open) != [["0"]] and time.monotonic() < end:
            time.sleep(0.2)
        session(f"""update reveille.job set payload = payload || '{{"fails": false}}' where queue = '{DEAD}'""")
        told = call(instance, "POST", "/dead-letters/redrive", {"filter": {"queue": DEAD}})
        path = f"/operations/{told['operation']['id']}"
        while not (operation := call(instance, "GET", path)).get("stopped_at") and time.monotonic() < end:
            time.sleep(0.2)
        if operation["status"] != "completed" or operation["moved"] != len(self.dead):
            self.report("redrive", f"{len(self.dead)} jobs failed: {json.dumps(operation)}")
        self.told.acknowledge(self.dead, "redriven")
        if (settings := call(instance, "GET", f"/queues/{QUEUE}")["settings"]) != SETTINGS:
            self.report("settings", f"they were {SETTINGS} and are {settings}")


def submitted(id):
    """When a job was submitted, by its id."""
    return int(id.replace("-", "")[:12], 16) / 1000


def post(instance, path, body, headers={}):
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=10)
    try:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())
    except ValueError as error:
        raise Failure(f"POST {path}: {error}")
    finally:
        connection.close()
