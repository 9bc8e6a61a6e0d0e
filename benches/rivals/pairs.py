"""Two adapters that ran in turn, compared run by run: how a regression is found."""

import math
import statistics

from report import MORE_IS_BETTER, Results, number, row

# What is compared, and how it is called.
METRICS = {
    "jobs_per_s": "jobs/s",
    "cpu_per_1000": "CPU s per 1,000",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "transactions_per_s": "tx/s",
    "cpu_percent": "CPU %",
}
# The range is wide enough to miss the true median at most this often.
CHANCE = 0.1


def pairs(options):
    """Prints new ÷ old of each scenario: median, range, and whether the range leaves out 1."""
    results = Results(options.results)
    print(f"{results.surroundings()}.\n")
    row("scenario", "what", options.old, options.new, "new ÷ old", "range", "")
    row("-", "-", "-:", "-:", "-:", "-:", "-")
    for scenario in results.scenarios():
        for metric, what in METRICS.items():
            compare(results, options, scenario, metric, what)
    for scenario in results.scenarios():
        for name in (options.old, options.new):
            for error in dict.fromkeys(results.errors(name, scenario)):
                print(f"\n{name} failed in {scenario}: {' '.join(error.split())[:300]}")


def compare(results, options, scenario, metric, what):
    old, new = (results.values(name, scenario, metric) for name in (options.old, options.new))
    ratios = sorted(new[rep] / old[rep] for rep in new.keys() & old.keys() if old[rep] > 0)
    if not ratios:
        return
    least, most = interval(ratios)
    middles = [number(statistics.median(values.values())) for values in (old, new)]
    row(scenario, what, *middles, f"{statistics.median(ratios):.3f}", f"{least:.3f}–{most:.3f}",
        verdict(metric, least, most, len(ratios)))


def interval(ratios):
    """The narrowest range between two of the ratios, as many from each end, that is wide enough; of few ratios, all."""
    count, left_out = len(ratios), 0
    while 2 * sum(math.comb(count, k) for k in range(left_out + 2)) / 2**count <= CHANCE:
        left_out += 1
    return ratios[left_out], ratios[count - 1 - left_out]


def verdict(metric, least, most, count):
    if least <= 1 <= most:
        return ""
    word = "better" if (least > 1) == (metric in MORE_IS_BETTER) else "worse"
    return word if 2 / 2**count <= CHANCE else f"{word}, but by {count} runs only"
