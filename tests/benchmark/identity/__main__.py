"""`make bench-identity`: quality, calibration, strangers and error rates by group. Table and build/bench/identity.json.

All of it takes about fifteen minutes on two cores, and a gigabyte and a half; ARGS names parts of it: febrl,
pseudopeople, population (strangers, calibration of the shipped model, groups). A part alone writes
build/bench/identity-part.json. People and detainers of the population: --strangers, --detainers, --copies.
"""

from __future__ import annotations

import sys
import time
from typing import Final

from cyclopts import App

from tests.benchmark.identity import groups
from tests.benchmark.identity.measures import bins, ece, wilson, worst_bin
from tests.benchmark.identity.names import tables
from tests.benchmark.identity.onfile import Detainers
from tests.benchmark.identity.quality import febrl, pseudopeople, show_bins
from tests.benchmark.report import Report, console

WANTED: Final = {
    "febrl4_names_dob_id_f1": ">= 0.997",
    "febrl4_names_dob_f1": ">= 0.960",
    "febrl4_names_dob_blocking_recall": ">= 0.975",
    "pseudopeople_default_f1": ">= 0.993",
    "pseudopeople_heavy_f1": ">= 0.985",
    "pseudopeople_recall_at_9995": ">= 0.97",
    "pseudopeople_precision_at_9995": ">= 0.9999",
    "strangers_probable_rate": "<= 0.0001",
    "strangers_possible_rate": "<= 0.02",
    "ece": "<= 0.01",
    "max_bin_error": "<= 0.03",
    "shipped_ece": "<= 0.01",
    "shipped_max_bin_error": "<= 0.03",
}
PARTS: Final = ("febrl", "pseudopeople", "population")
_CALIBRATED_ON: Final = 12_000
"""So many copies, and as many strangers, are weighed for calibration."""

app = App(help="Quality of the identity engine")


def population(report: Report, detainers: int, strangers: int, copies: int) -> None:
    names = tables()
    of = groups.sample(names, detainers, copies, copies // 8)
    started = time.perf_counter()
    on_file = Detainers(names, detainers, frozenset((*of.plain, *of.more)))
    report.add("sallyport", "detainers_searched", detainers, "records")
    report.add("sallyport", "detainers_build", time.perf_counter() - started, "s")
    _strangers(report, on_file, strangers)
    _calibration(report, on_file, of.plain[:_CALIBRATED_ON])
    found = groups.measure(on_file, of)
    everybody = next(group for group in found if group.by == groups.ALL)
    report.add("sallyport", "copies_missed_rate", everybody.missed / everybody.people, "")
    report.add("sallyport", "copies_below_probable_rate", everybody.unlinked / everybody.people, "")
    report.add("sallyport", "copies_others_possible_rate", everybody.wrong / everybody.people, "")
    report.add("sallyport", "copies_others_probable_rate", everybody.wrong_probable / everybody.people, "")
    groups.publish(found)


def _strangers(report: Report, on_file: Detainers, count: int) -> None:
    best = [on_file.search(person).wrong for person in on_file.strangers(count)]
    for tier, metric in ((2, "strangers_probable_rate"), (1, "strangers_possible_rate")):
        raised = sum(rank >= tier for rank in best)
        report.add("sallyport", metric, raised / count, "", digits=6)
        low, high = wilson(raised, count)
        console.print(f"{metric}: {raised} of {count:,} (95 %: {low:.6f} to {high:.6f})", highlight=False)


def _calibration(report: Report, on_file: Detainers, numbers: list[int]) -> None:
    """By the shipped prior, whoever is searched for is one of a million on file; then with strangers among them."""
    pairs = [pair for copy in on_file.copies(numbers) for pair in on_file.weigh(copy.typed, copy.number)]
    found = bins(pairs)
    report.add("sallyport", "shipped_ece", ece(found), "")
    report.add("sallyport", "shipped_max_bin_error", worst_bin(found), "")
    show_bins("The shipped model: everybody searched for is on file, mistyped", found)
    pairs += [pair for person in on_file.strangers(len(numbers)) for pair in on_file.weigh(person)]
    found = bins(pairs)
    report.add("sallyport", "shipped_ece_half_strangers", ece(found), "")
    report.add("sallyport", "shipped_max_bin_error_half_strangers", worst_bin(found), "")
    show_bins("The shipped model: half of those searched for are strangers", found)


@app.default
def run(*parts: str, detainers: int = 1_000_000, strangers: int = 20_000, copies: int = 24_000) -> None:
    """Measure everything, or the parts named: febrl, pseudopeople, population."""
    wanted = parts or PARTS
    if unknown := set(wanted) - set(PARTS):
        sys.exit(f"{', '.join(sorted(unknown))}: one of {', '.join(PARTS)}")
    report = Report("identity-part" if parts else "identity", "Identity: quality", WANTED)
    if "febrl" in wanted:
        febrl(report)
    if "pseudopeople" in wanted:
        pseudopeople(report)
    if "population" in wanted:
        population(report, detainers, strangers, copies)
    report.publish()


if __name__ == "__main__":
    app()
