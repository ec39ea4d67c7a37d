"""How far the latency predictions are from what was published, and whether their intervals cover.

``python benchmarks/latency.py`` predicts each of the five published Tesla V100 times from the other four in three ways:
from the references' own kernels (what a network of those gets), from the graph alone (grade 3, modelled), and from
times on this machine, where the five are timed beside each other (grade 2, scaled). It prints for each the published
time, the prediction, its error and whether the interval that a user is shown holds the published time; then the
intervals of a depthwise network and a transformer, whose times nobody published, and whether each reference's time
here vouches for its kernels. It takes a minute or two, and says how busy other programs kept the machine.
``--modelled`` leaves the timing out, ``--json FILE`` writes the figures, ``--device cuda`` times a GPU.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.latency.bench import Bench
from pytest_facechallenge.analyses.latency.calibration import Calibration, show
from pytest_facechallenge.analyses.latency.input_cycling import IMAGES
from pytest_facechallenge.analyses.latency.launches import facts_of
from pytest_facechallenge.analyses.latency.machine import describe
from pytest_facechallenge.analyses.latency.run_options import LatencyOptions
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.latency import CalibrationUse, LatencyFacts, LaunchFacts, ReferencePoint
from pytest_facechallenge.core.rulebook_file import builtin_folder, load
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.inference.images import natural, to_input
from pytest_facechallenge.latency_estimate import evidence_grades
from pytest_facechallenge.latency_estimate.estimate import Estimate
from pytest_facechallenge.latency_estimate.published import published, row_spread
from pytest_facechallenge.latency_estimate.references import NAMES, launches
from pytest_facechallenge.latency_estimate.statistics import judged, spread, summarise
from pytest_facechallenge.onnx_graph.ir import from_model
from pytest_facechallenge.refnets.registry import build, save

#: Networks unlike the references: depthwise, and a transformer.
STRANGERS = ("mobilefacenet", "vit-small")
BOOK = load(builtin_folder() / "mfr21.toml")


def graph_of(name: str) -> LaunchFacts:
    if name in launches():
        return LaunchFacts(groups=launches()[name])
    return facts_of(from_model(build(name), Path()))


def errors(title: str, estimates: dict[str, Estimate | str]) -> dict[str, Any]:
    """Print each reference as predicted from the others, and whether the interval around that holds what was published.

    The interval's relative width is that of the reference's own estimate, which is what a user is shown.
    """
    print(f"\n{title}: each predicted from the other four")
    held_in = 0
    worst = 0.0
    rows: dict[str, Any] = {}
    for name in NAMES:
        estimate = estimates[name]
        if isinstance(estimate, str):
            print(f"  {name:12} {estimate}")
            continue
        (held,) = (each for each in estimate.held_out if each.name == name)
        low, high = held.predicted * estimate.low / estimate.ms, held.predicted * estimate.high / estimate.ms
        covered = low <= held.published <= high
        held_in += covered
        worst = max(worst, abs(held.error))
        both = f"published {held.published:7.3f} ms   predicted {held.predicted:7.3f} ms ({low:.3g} to {high:.3g})"
        print(f"  {name:12} {both}   {held.error:+6.1%}   {'held' if covered else 'NOT HELD'}")
        rows[name] = {"predicted": held.predicted, "low": low, "high": high, "held": covered}
    print(f"  largest error {worst:.1%}; {held_in} of {len(rows)} published times are in the interval")
    return rows


def intervals(title: str, estimates: dict[str, Estimate | str]) -> dict[str, Any]:
    print(f"\n{title}: interval on a {BOOK.runtime.gpu if BOOK.runtime else ''}")
    for name, estimate in estimates.items():
        if isinstance(estimate, str):
            print(f"  {name:14} {estimate}")
        else:
            ratio = estimate.high / estimate.low
            strange = f"{estimate.unfamiliar:.0%} in kernels that no reference has"
            if estimate.of_kernels:
                strange = "of the references' kernels" + (", the time here agrees" if estimate.from_here else "")
            print(f"  {name:14} {estimate.text():34} high/low {ratio:5.2f}   {strange}")
    return {
        name: msgspec.to_builtins(estimate) if isinstance(estimate, Estimate) else estimate
        for name, estimate in estimates.items()
    }


def timed(device: str, threads: int, seconds_note: float) -> tuple[CalibrationUse, dict[str, LatencyFacts]]:
    """Time the references and the strangers together; each then stands as the submission once."""
    with tempfile.TemporaryDirectory() as folder:
        context = Context(Path(folder), Path(folder), Facts(), RunOptions(device=device, threads=threads), report)
        bench = Bench(context, LatencyOptions(mode="scaled"), to_input(natural(IMAGES, 1), 127.5, 127.5))
        runners = []
        for name in STRANGERS:
            report(f"building {name}")
            path = Path(folder) / f"{name}.onnx"
            save(name, path)
            runner, session = bench.open(name, path)
            runner.warm_up()
            runners.append(runner)
        opened = [bench.reference(name) for name in NAMES]
        references = [runner for runner in opened if runner is not None]
        bench.take(runners[0], [*runners[1:], *references])
    machine = describe(session.providers[0], threads)
    points = tuple(
        ReferencePoint(name=one.name, ms=judged(times), spread=spread(np.asarray(times)), rounds=len(times))
        for one in references
        if (times := one.comparable(one.samples))
    )
    made = Calibration.of(machine, points, bench.busy)
    print(show(made), end="")
    for remark in bench.remarks:
        print(f"  {remark}")
    for runner in [*runners, *references]:
        series = runner.series()
        found, compared = summarise(series.samples), summarise(series.work or series.samples)
        print(
            f"  {runner.name:14} {found.judged:9.2f} ms  median {found.median:9.2f}  95 % {found.p95:9.2f}  first "
            f"{series.first:8.1f}   compared {compared.judged:9.2f} ms  +- {compared.spread:5.1%}  drift "
            f"{compared.drift:+.0%}  {compared.outliers} outliers  {compared.rounds} rounds"
        )
    use = CalibrationUse(source="this run", points=made.points, made=made.made)
    facts = {
        one.name: LatencyFacts(
            mode="scaled", machine=machine, submission=one.series(), calibration=use, busy=bench.busy
        )
        for one in [*runners, *references]
    }
    seconds = time.perf_counter() - seconds_note
    print(f"  {seconds:.0f} s; meanwhile other programs used {bench.busy:.0%} of the processors")
    return use, facts


def report(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--modelled", action="store_true", help="leave the timing out")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    chosen = parser.parse_args()
    points = published(BOOK)
    print("published: " + ", ".join(f"{point.name} {point.ms:.3f} ms ({len(point.rows)})" for point in points))
    print(f"rows of one backbone differ by {row_spread(points):.1%} (standard deviation)")
    graphs = {name: graph_of(name) for name in (*NAMES, *STRANGERS)}
    models = {name: evidence_grades.modelled(graph, BOOK) for name, graph in graphs.items()}
    figures: dict[str, Any] = {"published": {point.name: point.ms for point in points}}
    kernels = {name: evidence_grades.by_kernels(graph, BOOK) for name, graph in graphs.items()}
    figures["kernels"] = {
        "left out": errors("from the references' own kernels", kernels),
        "all": intervals("from the references' own kernels", kernels),
    }
    figures["modelled"] = {
        "left out": errors("modelled (grade 3)", models),
        "all": intervals("modelled (grade 3)", models),
    }
    if not chosen.modelled:
        start = time.perf_counter()
        print("\nlocal times")
        use, facts = timed(chosen.device, chosen.threads, start)
        busy = facts[NAMES[0]].busy
        scales = {name: evidence_grades.scaled(facts[name], graphs[name], BOOK) for name in graphs}
        plain = {name: each.from_here or each if isinstance(each, Estimate) else each for name, each in scales.items()}
        figures["local"] = {"busy": busy, "points": msgspec.to_builtins(use.points)}
        figures["scaled"] = {
            "left out": errors("scaled from the time here alone", plain),
            "alone": intervals("scaled from the time here alone", plain),
            "all": intervals("scaled (grade 2), as a user is shown", scales),
        }
    if chosen.json:
        chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
