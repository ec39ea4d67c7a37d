"""What a repair shows on the terminal: what was mended, the proof, what could not be mended and why, the verdict."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from pytest_facechallenge.core.facts.repair import Agreement, Proof
from pytest_facechallenge.core.text import clean, clean_path
from pytest_facechallenge.engine.repair_report import RepairReport
from pytest_facechallenge.reports import wording
from pytest_facechallenge.reports.terminal import render_verdicts
from pytest_facechallenge.reports.view import View
from pytest_facechallenge.reports.wrapping import wrap

#: The most characters of one text that came from the model's file.
_MOST = 2_000


def render(done: RepairReport, name: str, view: View) -> str:
    """Return the text.

    Parameters
    ----------
    name
        How the run calls the submission.
    """
    lines = [line for head, text in _parts(done, name) for line in wrap(head, clean(text, _MOST), view.columns)]
    text = view.paint(map(Text, lines))
    if done.model is not None and done.report is not None:
        text += render_verdicts(done.report, view)
    return text


def _parts(done: RepairReport, name: str) -> Iterator[tuple[str, str]]:
    """Yield the head of a paragraph and its text."""
    if done.model is None:
        yield "", f"{name}: no mended file was written: {done.why_not}."
    elif done.facts is not None:
        yield "", f"{name}: mended copy in {clean_path(done.model)}, packed in {clean_path(done.archive or '')}"
    if done.facts is not None:
        written = done.model is not None
        for each in done.facts.repairs:
            yield ("  mended    " if written else "  tried     "), f"{each.name}: {each.what}. {each.why}"
        for proof in (done.facts.local, done.facts.server):
            if proof is not None:
                yield "  proof     ", _proof(proof)
        if done.facts.local is not None and any(each.name == "inference" for each in done.facts.repairs):
            yield (
                "  proof     ",
                "in training mode values depended on the batch or on chance: only what is after proves",
            )
    said: dict[tuple[str, str], list[str]] = {}
    for broken in done.not_mended:
        said.setdefault((broken.rule, broken.why), []).append(broken.track)
    for (rule, why), tracks in said.items():
        on = f" ({', '.join(tracks)})" if len({each.track for each in done.not_mended}) > 1 else ""
        yield "  not       ", f"{rule}{on}: {why}."
    for rule, remedy in _left_open(done):
        yield "  open      ", f"{rule}: {remedy}"


def _left_open(done: RepairReport) -> Iterator[tuple[str, str]]:
    """Yield what would decide the rules of a mended file that are open, a line for each reason."""
    if done.model is None or done.report is None:
        return
    for _, track in wording.judged(done.report):
        for group in wording.same_causes(track):
            yield ", ".join(group.rules), group.remedy or group.why


def _proof(proof: Proof) -> str:
    return (
        f"{proof.runtime}, {proof.images} images: before and after, one by one: {_agreement(proof.before_after)}; "
        f"after, one by one and in a batch of {proof.images}: {_agreement(proof.alone_together)}"
    )


def _agreement(found: Agreement) -> str:
    if found.trouble:
        return f"not compared, {found.trouble}"
    if not found.difference:
        return "the same to the last bit"
    return f"1 - cos <= {found.cosine_distance:.1e}, values differ by <= {found.difference:.1e} of the largest"
