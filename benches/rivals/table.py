"""One queue's figures as a Markdown table, each beside the best rival's and beside its ceilings."""

from typing import NamedTuple

from report import Results, number, row, spread


class Line(NamedTuple):
    """A line of the table: what of which scenario, the scenario that rivals are compared by, and the ceilings."""

    scenario: str
    metric: str
    what: str
    ceilings: tuple = ()
    rivals: str = ""
    parts: tuple = ()


INSERTS = {clients: (f"enqueue-{clients}", "jobs_per_s") for clients in (1, 16, 64)}
PAIR = ("pair-1", "jobs_per_s")
GROUPS = {16: ("group-16x1", "jobs_per_s"), 64: ("group-32x2", "jobs_per_s")}
UNNEST = (("bulk", "jobs_per_s"), ("bulk-plain", "jobs_per_s"))
LOOPS = tuple((f"loop-{way}", "jobs_per_s") for way in ("100x1", "500x2"))
CPU_PARTS = (("worker_cpu_per_1000", "worker"), ("server_cpu_per_1000", "server"))

LINES = [
    Line("enqueue-1", "jobs_per_s", "jobs/s, 1 caller", (INSERTS[1], PAIR)),
    Line("enqueue-16", "jobs_per_s", "jobs/s, 16 callers", (INSERTS[16], GROUPS[16])),
    Line("enqueue-64", "jobs_per_s", "jobs/s, 64 callers", (INSERTS[64], GROUPS[64])),
    Line("http-64", "requests_per_s", "requests/s, 64 connections", (INSERTS[64], GROUPS[64], ("http-empty", "requests_per_s"))),
    Line("http-64", "p99_ms", "p99, ms", (("http-empty", "p99_ms"),)),
    Line("bulk", "jobs_per_s", "jobs/s, library", UNNEST),
    Line("bulk-http", "jobs_per_s", "jobs/s, one HTTP connection", UNNEST, "bulk"),
    Line("bulk-sql", "jobs_per_s", "jobs/s, SQL", UNNEST, "bulk"),
    Line("drain-10", "jobs_per_s", "jobs/s", LOOPS),
    Line("drain-50", "jobs_per_s", "jobs/s", LOOPS),
    Line("drain-tuned", "jobs_per_s", "jobs/s", LOOPS),
    Line("drain-tuned", "cpu_per_1000", "CPU s per 1,000 jobs", (("loop-500x2", "cpu_per_1000"),), parts=CPU_PARTS),
    Line("drain-held", "jobs_per_s", "jobs/s", (("drain-held", "jobs_per_s"), ("drain-tuned", "jobs_per_s"))),
    Line("latency", "p50_ms", "p50, ms"),
    Line("latency", "p99_ms", "p99, ms"),
    Line("idle", "transactions_per_s", "transactions/s"),
    Line("idle", "cpu_percent", "CPU, % of a core", parts=(("worker_cpu_percent", "worker"), ("server_cpu_percent", "server"))),
]

# How a ceiling is called where it bounds another scenario.
NAMES = {
    **{f"enqueue-{clients}": f"INSERT × {clients}" for clients in INSERTS},
    "pair-1": "two INSERTs and NOTIFY × 1",
    "group-16x1": "INSERT of 16 × 1",
    "group-32x2": "INSERT of 32 × 2",
    "bulk": "UNNEST, job and ready",
    "bulk-plain": "UNNEST, one table",
    "loop-100x1": "loop of 100 × 1",
    "loop-100x2": "loop of 100 × 2",
    "loop-500x1": "loop of 500 × 1",
    "loop-500x2": "loop of 500 × 2",
    "http-empty": "empty endpoint",
    "drain-held": "loop, held",
    "drain-tuned": "own drain-tuned",
}


def table(options):
    """Prints the figures of one queue, then the ceilings, then what failed."""
    results, ours = Results(options.results), options.of
    print(f"{results.surroundings()}.\n")
    lines = [line for line in LINES if results.values(ours, line.scenario, line.metric)]
    compared = any(rivals(results, ours, line) for line in lines)
    row("scenario", "what", ours, *(["best rival", "÷ rival"] if compared else []), "÷ ceiling")
    row("-", "-", "-:", *(["-:", "-:"] if compared else []), "-")
    for line in lines:
        show(results, ours, line, compared)
    ceilings(results)
    failures(results)


def show(results, ours, line, compared):
    median = results.median(ours, line.scenario, line.metric)
    against = []
    if compared:
        against = ["–", "–"]
        if found := rivals(results, ours, line):
            scenario = line.rivals or line.scenario
            against = [f"{found[0]} {figure(results, found[0], scenario, line)}",
                       quotient(median, results.median(found[0], scenario, line.metric))]
    row(line.scenario, line.what, figure(results, ours, line.scenario, line), *against, bounds(results, ours, line, median))


def figure(results, name, scenario, line):
    """The median with its spread, and what it is the sum of."""
    parts = [f"{label} {number(results.median(name, scenario, metric))}" for metric, label in line.parts]
    text = spread(results.values(name, scenario, line.metric).values())
    return f"{text}: {' + '.join(parts)}" if parts else text


def rivals(results, ours, line):
    """Those that did the same, the best one first."""
    scenario = line.rivals or line.scenario
    others = [name for name in results.names(scenario, False) if name != ours]
    return results.best(others, scenario, line.metric)


def bounds(results, ours, line, median):
    """The ratios to the ceilings; where no ceiling did the scenario, it is one of our own."""
    cells = []
    for scenario, metric in line.ceilings:
        names = results.names(scenario, True) if scenario != "drain-tuned" else [ours]
        for value in [results.median(name, scenario, metric) for name in names]:
            if value:
                cells.append(f"{quotient(median, value)} {NAMES[scenario]}")
    return ", ".join(cells) or "–"


def quotient(value, reference):
    return f"{number(value / reference)} ×" if reference else "–"


def ceilings(results):
    """What the ceilings themselves measured."""
    found = [(name, scenario) for scenario in results.scenarios() for name in results.names(scenario, True)]
    if not found:
        return
    print()
    row("ceiling", "scenario", "/s")
    row("-", "-", "-:")
    for name, scenario in found:
        metric = "requests_per_s" if scenario.startswith("http") else "jobs_per_s"
        if values := results.values(name, scenario, metric):
            row(NAMES[scenario], scenario, spread(values.values()))


def failures(results):
    for scenario in results.scenarios():
        for name in results.names(scenario, False) + results.names(scenario, True):
            if errors := results.errors(name, scenario):
                text = " ".join(errors[-1].split())[:200]
                print(f"\n{name} failed {len(errors)} × in {scenario}: {text}")
