"""What is true, by the marks that jobs left and by what callers were told; the database is only asked at the end."""

import math
import statistics
import time
from collections import Counter, defaultdict

# After each fault the rates are to be back at this share of the calm median within so many seconds.
SHARE = 0.8
BACK_WITHIN = 15
# A rate is the mean of so many seconds.
WINDOW = 3


class Marks:
    """The lines that jobs wrote, read as they come."""

    def __init__(self, path):
        self.file = open(path)
        self.rest = ""
        self.seconds = Counter()  # jobs done in each second
        self.done = defaultdict(list)  # job id -> (when, execution) of each execution that ended well

    def read(self):
        *lines, self.rest = (self.rest + self.file.read()).split("\n")
        for line in lines:
            at, _, id, _, execution, end = line.split(" ")
            if end == "done":
                self.seconds[int(float(at))] += 1
                self.done[id].append((float(at), execution))

    def again(self, since, until):
        """Jobs that were done once more in this time."""
        self.read()
        return [id for id, done in self.done.items() if any(since <= at <= until for at, _ in done[1:])]

    def executions(self):
        return sum(len(done) for done in self.done.values())


def rate(seconds, begin):
    return sum(seconds[begin + second] for second in range(WINDOW)) / WINDOW


def calm_median(seconds, since, until):
    return statistics.median(rate(seconds, begin) for begin in range(math.ceil(since), int(until) - WINDOW))


def back_after(counters, medians, end):
    """After how many seconds all rates were back; None if they were not in time."""
    end = math.ceil(end)
    for late in range(BACK_WITHIN + 1 - WINDOW):
        if all(rate(seconds, end + late) >= SHARE * median for seconds, median in zip(counters, medians)):
            return late
    return None


def lost(told, marks):
    """Acknowledged jobs that did not end as they should: what is wrong with each."""
    marks.read()
    wrong = {}
    for id in told.acknowledged:
        state, result = told.results.get(id, (None, None))
        if (state, result) == ("cancelled", "superseded"):
            continue  # Its key went to a replacement, which was acknowledged too.
        executions = {execution for _, execution in marks.done.get(id, [])}
        if state != "completed":
            wrong[id] = f"its state is {state}, and it was done {len(executions)} times"
        elif result not in executions:
            wrong[id] = f"no execution gave its result {result}"
    return wrong


def wait_ended(session, seconds):
    """Until nothing waits or runs; answers how much still does."""
    deadline = time.monotonic() + seconds
    while True:
        left = int(session("select (select count(*) from reveille.ready) + (select count(*) from reveille.lease)")[0][0])
        if left == 0 or time.monotonic() > deadline:
            return left
        time.sleep(0.5)
