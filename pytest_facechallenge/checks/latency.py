"""The check of the inference time, on whatever grade of evidence this machine gives."""

from __future__ import annotations

from pytest_facechallenge.checks.registry import check
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.latency import LatencyFacts, LaunchFacts, Machine, Series, ServerLatencyFacts
from pytest_facechallenge.core.outcome import Evidence, Outcome, Status, failed, passed, undecided
from pytest_facechallenge.core.rulebook import Rule
from pytest_facechallenge.latency_estimate import evidence_grades
from pytest_facechallenge.latency_estimate.caveats import Caveat, about_images, about_scaling, some
from pytest_facechallenge.latency_estimate.estimate import Estimate, Held
from pytest_facechallenge.latency_estimate.published import published
from pytest_facechallenge.latency_estimate.statistics import Summary, rule_in_words, summarise

FASTER = (
    "Make the network cheaper: fewer or narrower layers, a smaller backbone, fewer nodes (every node costs a kernel "
    "launch). --facechallenge-profile shows where the time goes."
)
#: A first run longer than this is worth a note: it surprises people.
LONG_FIRST_RUN = 1000.0
#: Work of other programs during a measurement that is worth a note, as a share of all processors.
BUSY = 0.10
#: A GPU's clock during the runs that is worth a note, as a share of its highest.
SLOW_CLOCK = 0.75


@check(LatencyFacts, LaunchFacts, ServerLatencyFacts, limit="number")
def latency(facts: Facts, rule: Rule) -> Outcome:
    """Judge the time that one image takes on the evaluation server.

    What:
        The inference time of one image on the rulebook's GPU with the rulebook's onnxruntime is within the limit.

    Why:
        The limit keeps submissions comparable: without it the largest network wins. It was set on a GPU that hardly any
        participant owns, and a time measured elsewhere says nothing until it is scaled.

    How it is measured:
        Like the organisers' checker: 50 runs on single images after the warm-up, copies of input and output included;
        the 6th smallest time is judged (of more rounds, the median over every 50 of them). The images are made up
        anew for every run and take turns; a network whose work depends on the image, or whose timed embeddings are
        not those of a batch, does not pass. Three grades of evidence, always named. Measured: on the rulebook's GPU,
        runtime, CUDA and cuDNN (--facechallenge-server-python). Scaled: on another machine, interleaved with reference
        networks whose times on the rulebook's GPU were published (on a CPU, processor time is compared, which other
        programs disturb little); the map from here to there is fitted on them, and the interval holds its leave-one-out
        error, the spread of the measurement and of the published times, and every map that fits as well; on made-up
        machines it holds the true time more often than the 95 % it states. A network that consists of the references'
        own kernels, in about their proportions, gets a narrower interval (about a tenth on each side): the published
        times tell what those kernels take, and the time here has to agree. Modelled: a roofline per kernel launch, from
        the graph alone; it never decides by itself. A scaled interval wholly within the limit passes, wholly beyond
        fails; one that holds the limit, or that has no time in common with the modelled one, is undecided, and so is a
        time within the limit where kernels are not known or a GPU was shared.

    How to fix:
        Use a cheaper network: fewer or narrower layers, and fewer nodes. --facechallenge-profile shows where the time
        goes. The size of the file and the number of FLOPs say little about a depthwise network's time on a GPU.
    """
    here, graph, server = facts.get(LatencyFacts), facts.get(LaunchFacts), facts.get(ServerLatencyFacts)
    mode = here.mode if here else "auto"
    first = evidence_grades.measured(server, rule.book)
    if isinstance(first, Summary) and server is not None and server.submission is not None and mode != "scaled":
        return _judge_measured(first, server, graph, rule)
    if here is None:
        facts.need(LatencyFacts)  # undecided, with the reason
    assert here is not None  # noqa: S101  # need() raised otherwise
    notes = _notes(here)
    caveats = [*about_images(graph, here.row_difference), *about_scaling(graph, here)]
    evidence = _local_evidence(here)
    model = evidence_grades.modelled(graph, rule.book)
    if isinstance(model, Estimate):
        evidence.append(_model_evidence(model))
    if mode == "measured":
        return undecided(
            f"Not measured: {first}.",
            remedy=_way_to_measure(rule),
            measured=_local_cell(here),
            limit=rule.limit_text(),
            notes=notes,
            evidence=tuple(evidence),
        )
    if mode == "modelled":
        estimate: Estimate | str = "only --facechallenge-latency modelled was asked for"
    else:
        estimate = evidence_grades.scaled(here, graph, rule.book)
    if isinstance(estimate, str):
        return _not_scaled(rule, here, estimate, model, notes, tuple(evidence))
    return _judge_scaled(rule, here, estimate, model, notes, evidence, caveats)


def _judge_measured(summary: Summary, server: ServerLatencyFacts, graph: LaunchFacts | None, rule: Rule) -> Outcome:
    assert server.submission is not None and server.machine is not None  # noqa: S101, PT018  # grades.measured saw them
    where = f"{server.machine.gpu}, {server.machine.runtime}, CUDA {server.machine.cuda}, cuDNN {server.machine.cudnn}"
    cell, limit = f"measured: {summary.judged:.3g} ms", rule.limit_text()
    evidence = (Evidence(where=where, what=_series_text(server.submission)),)
    notes = (*_series_notes(server.submission), *_around_notes(server))
    message = f"Measured (grade 1 of 3) on the rulebook's hardware ({where}): {summary.judged:.4g} ms."
    if rule.limit is None:
        return passed(message, measured=cell, notes=notes, evidence=evidence)
    caveats = about_images(graph, server.row_difference)
    if rule.within(summary.judged) and caveats:
        return undecided(
            f"{message} {_within_but(caveats)}",
            remedy=" ".join(caveat.way_out for caveat in caveats),
            measured=cell,
            limit=limit,
            notes=notes,
            evidence=evidence,
        )
    if rule.within(summary.judged):
        return passed(f"{message} The limit is kept.", measured=cell, limit=limit, notes=notes, evidence=evidence)
    return failed(
        f"{message} The limit is {limit}.", remedy=FASTER, measured=cell, limit=limit, notes=notes, evidence=evidence
    )


def _judge_scaled(
    rule: Rule,
    here: LatencyFacts,
    estimate: Estimate,
    model: Estimate | str,
    notes: tuple[str, ...],
    evidence: list[Evidence],
    caveats: list[Caveat],
) -> Outcome:
    status, finding, remedy = _compare(rule, estimate, model, caveats)
    found = f"Scaled (grade 2 of 3) from here to a {_gpu(rule)}: {estimate.text()}, at least 95 % confidence."
    if estimate.from_here is not None:
        found += (
            " Its kernels are those of the reference networks, whose published times add up to that; the time here "
            f"alone says {estimate.from_here.text()}."
        )
    return Outcome(
        status=status,
        message=f"{found} {finding}",
        measured=f"scaled: {estimate.text()}",
        limit=rule.limit_text(),
        notes=notes,
        evidence=(*evidence, *_scale_evidence(here, estimate)),
        remedy=remedy,
    )


def _compare(rule: Rule, estimate: Estimate, model: Estimate | str, caveats: list[Caveat]) -> tuple[Status, str, str]:
    """Return status, finding and remedy of a scaled time."""
    if isinstance(model, Estimate) and evidence_grades.disagree(estimate, model):
        finding = (
            f"The time modelled from the graph (grade 3) is {model.text()}: the two have nothing in common, so neither "
            "is trusted."
        )
        return Status.UNDECIDED, finding, _way_to_measure(rule)
    if rule.limit is None:
        return Status.PASSED, "There is no limit.", ""
    if rule.within(estimate.high) and caveats:
        way_out = " ".join(caveat.way_out for caveat in caveats)
        return Status.UNDECIDED, _within_but(caveats), f"{way_out} {_way_to_measure(rule)}"
    if rule.within(estimate.high):
        return Status.PASSED, "The whole interval is within the limit.", ""
    limit = rule.limit_text()
    if not rule.within(estimate.low):
        return Status.FAILED, f"The whole interval is beyond the limit of {limit}.", FASTER
    remedy = f"A quiet machine or a GPU narrows the interval. {_way_to_measure(rule)}"
    return Status.UNDECIDED, f"The limit of {limit} lies inside.", remedy


def _within_but(caveats: list[Caveat]) -> str:
    return f"That is within the limit, but {' Also, '.join(caveat.why for caveat in caveats)}"


def _gpu(rule: Rule) -> str:
    return rule.book.runtime.gpu if rule.book.runtime else ""


def _not_scaled(
    rule: Rule,
    here: LatencyFacts,
    why: str,
    model: Estimate | str,
    notes: tuple[str, ...],
    evidence: tuple[Evidence, ...],
) -> Outcome:
    """Word what is known without a scaled time: the modelled one, or only local figures. Neither decides."""
    limit = rule.limit_text()
    if isinstance(model, Estimate):
        return undecided(
            f"Modelled only (grade 3 of 3) from the graph: {model.text()} on a {_gpu(rule)}. Nothing was measured that "
            f"could decide ({why}).",
            remedy=f"Run with --facechallenge-latency scaled. {_way_to_measure(rule)}",
            measured=f"modelled: {model.text()}",
            limit=limit,
            notes=notes,
            evidence=evidence,
        )
    if here.mode == "modelled" and rule.limit is not None:
        return undecided(
            f"Not modelled, and nothing else was asked for: {model}.",
            remedy=f"Run with --facechallenge-latency scaled. {_way_to_measure(rule)}",
            measured="nothing",
            limit=limit,
            notes=notes,
            evidence=evidence,
        )
    return undecided(
        f"Local figures only: {_local_cell(here)}. No time on the rulebook's hardware follows from them: {why}.",
        remedy=_way_to_measure(rule),
        measured=_local_cell(here),
        limit=limit,
        notes=notes,
        evidence=evidence,
    )


def _way_to_measure(rule: Rule) -> str:
    server = rule.book.runtime
    if server is None or not server.gpu:
        return "The rulebook names no hardware to measure on."
    if rule.limit is None:
        return ""
    if not published(rule.book):
        return f"The rulebook needs baselines with times (infer_ms) of R18 to R200 on a {server.gpu}."
    stack = f"onnxruntime-gpu {server.onnxruntime}, CUDA {server.cuda} and cuDNN {server.cudnn}"
    return (
        f"What decides is a run on a {server.gpu} with --facechallenge-server-python naming a Python that has {stack}."
    )


def _local_cell(here: LatencyFacts) -> str:
    if here.submission is None or here.machine is None:
        return "not timed"
    return f"{summarise(here.submission.samples).judged:.3g} ms on {_machine_text(here.machine)}"


def _machine_text(machine: Machine) -> str:
    if machine.provider == "CPUExecutionProvider":
        return f"this CPU ({machine.processor}, {machine.cores} cores)"
    provider = machine.provider.removesuffix("ExecutionProvider")
    return f"{machine.gpu or 'this GPU'} ({provider}, driver {machine.driver or 'unknown'})"


def _series_text(series: Series) -> str:
    found = summarise(series.samples)
    work = f" (processor time {summarise(series.work).judged:.4g} ms)" if series.work else ""
    return (
        f"judged {found.judged:.4g} ms ({rule_in_words(found.rounds)}) +- {found.spread:.1%}{work}; "
        f"median {found.median:.4g}, 95 % {found.p95:.4g}, largest {found.largest:.4g} ms; {found.outliers} outliers; "
        f"first run {series.first:.4g} ms, warm-up of {series.warmup_runs} runs {series.warmup:.4g} ms, loading "
        f"{series.load:.4g} ms"
    )


def _series_notes(series: Series) -> list[str]:
    found = summarise(series.samples)
    notes = []
    if found.drift:
        how = f"slower by {found.drift:.0%}" if found.drift > 0 else f"faster by {-found.drift:.0%}"
        why = "it is throttled or shared" if found.drift > 0 else "its clock rose, or other work ended"
        notes.append(f"The runs became {how} while they were timed: the processor changed its speed ({why}).")
    if found.modes:
        notes.append(f"The runs jump between two speeds, about {found.modes[0]:.3g} and {found.modes[1]:.3g} ms.")
    if found.outliers:
        notes.append(f"Outliers: {found.outliers} of {found.rounds} runs, up to {found.largest:.3g} ms.")
    if series.first > LONG_FIRST_RUN:
        notes.append(f"The first run took {series.first / 1000:.1f} s; it is warm-up, and not judged.")
    return notes


def _notes(here: LatencyFacts) -> tuple[str, ...]:
    notes = list(here.remarks)
    if here.submission is not None:
        notes += _series_notes(here.submission)
    if here.parallel > 1:
        notes.append(f"{here.parallel} tests ran at once (pytest-xdist); -n 0 gives quieter times.")
    return (*notes, *_around_notes(here))


def _around_notes(found: LatencyFacts | ServerLatencyFacts) -> list[str]:
    """Word what surrounded a series: other programs, and nodes that the GPU did not run."""
    notes = []
    if found.busy > BUSY:
        notes.append(f"Other programs used {found.busy:.0%} of the processors while the times were taken.")
    machine = found.machine
    if machine is not None and 0 < machine.clock < SLOW_CLOCK * machine.clock_max:
        notes.append(
            f"The GPU's clock was {machine.clock} MHz at the end of the runs, its highest is {machine.clock_max} MHz: "
            "it is throttled, or its power is limited."
        )
    if found.on_cpu:
        count = len(found.on_cpu)
        nodes = "1 node has" if count == 1 else f"{count} nodes have"
        notes.append(f"{nodes} no kernel for the GPU and ran on the CPU: {some(found.on_cpu)}.")
    return notes


def _local_evidence(here: LatencyFacts) -> list[Evidence]:
    if here.submission is None or here.machine is None:
        return []
    where = f"{_machine_text(here.machine)}, {here.machine.runtime}"
    return [Evidence(where=where, what=_series_text(here.submission))]


def _scale_evidence(here: LatencyFacts, estimate: Estimate) -> list[Evidence]:
    assert here.calibration is not None  # noqa: S101  # an estimate was made from it
    local = {point.name: point for point in here.calibration.points}
    unit = "ms of processor time" if here.submission is not None and here.submission.work else "ms"
    rows = [
        Evidence(
            where=held.name,
            what=f"{local[held.name].ms:.4g} {unit} here, {_held_text(held)}",
        )
        for held in (estimate.from_here or estimate).held_out
    ]
    source = here.calibration.source
    drift = (
        f"; {here.calibration.checked} timed again: {here.calibration.drift:+.1%}" if here.calibration.checked else ""
    )
    rows.append(Evidence(where="reference times", what=f"of {source}, made {here.calibration.made}{drift}"))
    if estimate.from_here is not None:
        kernels = "; ".join(f"{held.name} {_held_text(held)}" for held in estimate.held_out)
        rows.append(Evidence(where="reference kernels", what=kernels))
    return [
        *rows,
        Evidence(where="interval", what=", ".join(f"{n} {value:.1%}" for n, value in estimate.parts.items())),
    ]


def _held_text(held: Held) -> str:
    return f"{held.published:.4g} ms published, {held.predicted:.4g} ms predicted from the others ({held.error:+.1%})"


def _model_evidence(model: Estimate) -> Evidence:
    held = ", ".join(f"{entry.name} {entry.error:+.1%}" for entry in model.held_out)
    return Evidence(
        where="model of the graph",
        what=f"{model.text()}; error on the published times, each left out in turn: {held}; "
        f"{model.unfamiliar:.0%} of the time in kernels that no reference has",
    )
