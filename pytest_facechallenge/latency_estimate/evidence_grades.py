"""The three grades of evidence, from facts and a rulebook: each gives its figures, or a sentence on why it cannot.

Pure functions; `pytest_facechallenge.checks.latency` words the outcome.
"""

from __future__ import annotations

import re

import msgspec

from pytest_facechallenge.core.facts.latency import LatencyFacts, LaunchFacts, Machine, ServerLatencyFacts
from pytest_facechallenge.core.rulebook import Rulebook, Runtime
from pytest_facechallenge.latency_estimate import known_kernels, roofline, scaling
from pytest_facechallenge.latency_estimate.estimate import Estimate, launch_count
from pytest_facechallenge.latency_estimate.published import Published, published, row_spread
from pytest_facechallenge.latency_estimate.references import launches
from pytest_facechallenge.latency_estimate.statistics import Summary, summarise

#: The time here vouches for a network's kernels when it maps to a time this near to theirs: twice what references
#: were off at most (12 %, on a busy machine), and less than a network with half as much work again.
AGREES = 0.20
#: A time here whose interval is wider than this, highest over lowest, agrees with anything: it vouches for nothing.
MOST_UNCERTAIN = 2.5
#: One reference is left out at a time, and three constants are fitted on the others.
LEAST_FOR_MODEL = 4


def same_gpu(wanted: str, found: str) -> bool:
    """Return whether a GPU's full name ("Tesla V100-SXM2-16GB") is the rulebook's ("Tesla V100").

    A "Ti" or "Super" is another GPU.
    """
    pattern = rf"(?<![A-Za-z0-9]){re.escape(wanted)}(?![A-Za-z0-9])(?!\s*(Ti|SUPER)\b)"
    return re.search(pattern, found, re.IGNORECASE) is not None


def _starts(version: str, wanted: str) -> bool:
    """Return whether ``version`` is the wanted one or a patch of it: "1.6.0" is "1.6", "10.2" is not "10"."""
    return not wanted or version.split(".")[: len(wanted.split("."))] == wanted.split(".")


def mismatches(server: Runtime, machine: Machine) -> list[str]:
    """Return in words where a machine differs from the rulebook's evaluation server; empty when it is one."""
    found = []
    if not same_gpu(server.gpu, machine.gpu):
        found.append(f"the GPU is {machine.gpu or 'none'}, not a {server.gpu}")
    if machine.provider != "CUDAExecutionProvider":
        found.append(f"{machine.provider or 'no provider'} ran, not CUDAExecutionProvider")
    version = machine.runtime.rpartition(" ")[2]
    if version.split(".")[:2] != server.onnxruntime.split(".")[:2]:
        found.append(f"the runtime is {machine.runtime or 'unknown'}, not {server.onnxruntime}")
    for name, wanted, there in (("CUDA", server.cuda, machine.cuda), ("cuDNN", server.cudnn, machine.cudnn)):
        if not _starts(there, wanted):
            found.append(f"{name} is {there or 'unknown'}, not {wanted}")
    return found


def measured(server: ServerLatencyFacts | None, book: Rulebook) -> Summary | str:
    """Grade 1: the time on the rulebook's GPU with the rulebook's runtime; or why there is none."""
    if book.runtime is None or not book.runtime.gpu:
        return "the rulebook names no GPU"
    if not published(book):
        return f"no times of reference networks on a {book.runtime.gpu} were published, so only local figures are shown"
    if server is None or not server.asked:
        return "no interpreter with the server's runtime was named (--facechallenge-server-python)"
    if server.machine is None or server.submission is None or server.problem:
        return f"nothing was timed in the server's runtime: {server.problem or 'no samples'}"
    wrong = mismatches(book.runtime, server.machine)
    if wrong:
        return f"the server's interpreter does not run on the server's hardware and libraries: {'; '.join(wrong)}"
    return summarise(server.submission.samples)


def disturbance(summary: Summary) -> float:
    """Return the relative uncertainty of a local time: its spread, and any drift or jump between two speeds."""
    jump = summary.modes[1] / summary.modes[0] - 1 if summary.modes else 0.0
    return max(summary.spread, abs(summary.drift), jump)


def scaled(facts: LatencyFacts | None, graph: LaunchFacts | None, book: Rulebook) -> Estimate | str:
    """Grade 2: the time here, mapped by the reference networks; or why it cannot be.

    Where the network consists of the references' own kernels, their published times give a narrower interval. It is
    taken when the time here agrees with it.
    """
    known = {point.name: point for point in published(book)}
    if not known:
        return "the rulebook has no published times of reference networks"
    if facts is None or facts.submission is None:
        return "the model was not timed on this machine"
    if facts.calibration is None:
        return "no reference network was timed on this machine"
    if graph is None:
        return "the graph could not be analysed, so it is not known how far it is from the reference networks"
    points = [
        scaling.Point(point.name, point.ms, point.spread, launch_count(launches()[point.name]), known[point.name].ms)
        for point in facts.calibration.points
        if point.name in known and point.name in launches()
    ]
    if len(points) < scaling.LEAST_REFERENCES:
        return f"only {len(points)} reference networks were timed; {scaling.LEAST_REFERENCES} are needed"
    summary = summarise(facts.submission.work or facts.submission.samples)
    spread = max(disturbance(summary), abs(facts.calibration.drift))
    from_here = scaling.scale(
        summary.judged,
        spread,
        launch_count(graph.groups),
        points,
        row_spread(list(known.values())),
        _unfamiliar(graph, list(known.values()), book),
    )
    of_kernels = by_kernels(graph, book)
    if isinstance(of_kernels, str) or not _vouches(from_here, of_kernels.ms):
        return from_here
    return msgspec.structs.replace(of_kernels, from_here=from_here)


def _vouches(from_here: Estimate, ms: float) -> bool:
    """Return whether the time here says that a network takes about so long, and says it of few other times."""
    return abs(from_here.ms / ms - 1) <= AGREES and from_here.high <= MOST_UNCERTAIN * from_here.low


def by_kernels(graph: LaunchFacts, book: Rulebook) -> Estimate | str:
    """Return the sum of the references' own kernels, where a network consists of those; or why there is none."""
    points = [point for point in published(book) if point.name in launches()]
    gpu = roofline.GPUS.get(book.runtime.gpu) if book.runtime else None
    if gpu is None or len(points) < LEAST_FOR_MODEL:
        return "the rulebook has too few published times, or a GPU that is not known to this tool"
    if graph.problems or graph.varying:
        return "not all kernel launches are known"
    return known_kernels.estimate(graph.groups, points, gpu)


def _unfamiliar(graph: LaunchFacts, points: list[Published], book: Rulebook) -> float:
    gpu = roofline.GPUS.get(book.runtime.gpu) if book.runtime else None
    if graph.problems:
        return 1.0
    if gpu is None or len(points) < LEAST_FOR_MODEL or not graph.groups:
        return 1.0
    return roofline.unfamiliar_share(graph.groups, roofline.fit(points, gpu), gpu)


def modelled(graph: LaunchFacts | None, book: Rulebook) -> Estimate | str:
    """Grade 3: the time by the roofline model; or why there is none."""
    points = [point for point in published(book) if point.name in launches()]
    if book.runtime is None or len(points) < LEAST_FOR_MODEL:
        return "the rulebook has too few published times to fit a model on"
    gpu = roofline.GPUS.get(book.runtime.gpu)
    if gpu is None:
        return f"the data sheet of a {book.runtime.gpu} is not known to this tool"
    if graph is None:
        return "the graph could not be analysed"
    if graph.problems:
        return f"not all kernel launches are known: {graph.problems[0]}"
    return roofline.model(graph.groups, points, gpu)


def disagree(one: Estimate, other: Estimate) -> bool:
    """Return whether two intervals have no time in common."""
    return one.low > other.high or other.low > one.high
