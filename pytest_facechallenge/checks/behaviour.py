"""Checks of what the model does when it is run on single images: cosine similarity, determinism."""

from __future__ import annotations

from pytest_facechallenge.checks.registry import check
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.behaviour import ImagesFacts, RepeatFacts
from pytest_facechallenge.core.facts.flow import FlowFacts, ProbesFacts
from pytest_facechallenge.core.outcome import Evidence, Outcome, failed, passed, undecided
from pytest_facechallenge.core.rulebook import Rule

#: Two different images whose embeddings are this alike are not told apart: float32 noise of a cosine is about 1e-6.
COLLAPSED = 1 - 1e-6


@check(ImagesFacts, ProbesFacts)
def cosine_similarity(facts: Facts, rule: Rule) -> Outcome:
    """Judge whether embeddings can be compared by cosine similarity.

    What:
        The embedding of every image is finite and not zero, and different images have different embeddings.

    Why:
        The matching score is the cosine of the angle between embeddings; it does not exist for a zero or non-finite
        vector, and it is always 1 when all embeddings are alike.

    How it is measured:
        Five images are embedded one by one: black, white, noise and two ordinary ones. Each embedding must be finite
        with an L2 norm above 0, and no two may have a cosine similarity above 1 - 1e-6. Black and white are compared
        as well, unless only these two agree: a network that removes brightness may well see them alike.
        Where the graph has conditions on the image, or operators that give no number for some of what they may be
        given (Sqrt, Log, Exp, Div), 24 extremes of natural images are embedded as well (bluish, reddish, one colour
        alone, dark, bright, pale, masked, half covered), and images are searched for on both sides of each condition.
        A condition that decides between values, and on whose other side no image was found, leaves the rule undecided.

    How to fix:
        Look for a division by a standard deviation or norm without an epsilon (black and white images have none), for
        an overflow in exp or pow, and for weights that were not loaded before the export.
    """
    found = facts.need(ImagesFacts)
    evidence, wrong = [], []
    for run in found.runs:
        what = run.error or (f"L2 norm {run.norm:.6g}" if run.finite else "not finite (NaN or infinity)")
        evidence.append(Evidence(where=run.image, what=what))
        if run.error:
            wrong.append(f"the {run.image} cannot be embedded: {run.error}")
        elif not run.finite:
            wrong.append(f"the embedding of the image {run.image!r} is not finite")
        elif run.norm <= 0:
            wrong.append(f"the embedding of the image {run.image!r} is zero, so it has no direction")
    notes: tuple[str, ...] = ()
    for one, two, cosine in found.alike:
        if cosine <= COLLAPSED:
            continue
        if {one, two} == {"black", "white"}:
            notes = ("Black and white have the same embedding: the network seems to remove brightness.",)
        else:
            wrong.append(f"the images {one} and {two} have the same embedding (cosine similarity {cosine:.9f})")
    probes = facts.get(ProbesFacts)
    for probe in () if probes is None else probes.images:
        if probe.error or not probe.finite or probe.norm <= 0:
            what = probe.error or ("the embedding is zero" if probe.finite else "not finite (NaN or infinity)")
            evidence.append(Evidence(where=probe.image, what=what))
            is_not = "cannot be made" if probe.error else "is zero" if probe.finite else "is not finite"
            wrong.append(f"the embedding of the image {probe.image!r} {is_not}")
    finite = sum(run.finite and run.norm > 0 for run in found.runs)
    measured = (
        f"{finite} of {len(found.runs)} usable; closest cos {found.alike[0][2]:.4f}" if found.alike else "none usable"
    )
    limit = "finite, > 0, different"
    if wrong:
        return failed(
            f"{wrong[0][0].upper()}{wrong[0][1:]}.",
            remedy="Add an epsilon where the graph divides by a norm or deviation; export the trained weights.",
            measured=measured,
            limit=limit,
            evidence=tuple(evidence),
        )
    if not found.alike:
        return undecided(
            "Fewer than two embeddings could be compared.",
            remedy="Solve what the rule 'batch' reports; then this rule can be judged.",
            measured=measured,
            evidence=tuple(evidence),
        )
    unmet = [] if probes is None else [each for each in probes.conditions if each.guards and not each.both]
    if unmet:
        evidence += [Evidence(where=f"node {each.node!r}", what=f"{each.op}: one side met only") for each in unmet]
        return undecided(
            f"The node {unmet[0].node!r} ({unmet[0].op}) decides by what is in the image between one output and "
            "another, and no image was found for the other one, so what it gives was not seen.",
            remedy="Remove the condition; or show images on both sides of it, with --testset.",
            measured=measured,
            limit=limit,
            evidence=tuple(evidence),
            notes=notes,
        )
    return passed(
        "Embeddings are finite, not zero, and differ between images.",
        measured=measured,
        limit=limit,
        evidence=tuple(evidence),
        notes=notes,
    )


#: Reductions run by several threads may add in another order; nothing else may change.
REPEAT_TOLERANCE = 1e-5


@check(RepeatFacts, FlowFacts)
def deterministic(facts: Facts, rule: Rule) -> Outcome:
    """Judge whether the same image always gets the same embedding.

    What:
        The same image gives the same embedding, twice in one session and in a new session.

    Why:
        A score that cannot be reproduced cannot be verified, which the organisers do after the submissions closed.

    How it is measured:
        One image is embedded three times: twice in one session, once in a new one. The largest difference must
        stay below 1e-5 of the largest value, which leaves room for another order of summation and nothing else.
        A node that draws random numbers, seeded or not, from which a path leads to an output breaks the rule, also
        where a condition seldom lets it through; one from which none leads is a note.

    How to fix:
        Call model.eval() before the export (dropout off), and remove random operators (RandomNormal, Multinomial,
        Dropout in training mode, Bernoulli) from the graph.
    """
    found, flow = facts.need(RepeatFacts), facts.get(FlowFacts)
    random = () if flow is None else flow.random
    drawn = [each for each in random if each.reaches]
    if drawn:
        return failed(
            f"The node {drawn[0].node!r} ({drawn[0].op}) draws random numbers, and a path leads from it to the output"
            f"{_seen(found)}.",
            remedy="Export from model.eval(), and remove random operators from the graph.",
            measured=f"{len(drawn)} random node(s) reach the output",
            limit="none; differs by <= 1e-05",
            evidence=tuple(Evidence(where=f"node {each.node!r}", what=f"{each.op}, drawn anew in every run")
                           for each in drawn[:4]),
        )  # fmt: skip
    if found.error:
        return undecided(
            f"The model could not be run twice: {found.error}",
            remedy="Solve what the rule 'batch' reports; then this rule can be judged.",
        )
    worst = max(found.same_session, found.new_session)
    evidence = (
        Evidence(where="same session", what=f"largest relative difference {found.same_session:.2e}"),
        Evidence(where="new session", what=f"largest relative difference {found.new_session:.2e}"),
    )
    measured, limit = f"differs by {worst:.1e}", f"<= {REPEAT_TOLERANCE:.0e}"
    if not worst <= REPEAT_TOLERANCE:
        place = "in one session" if found.same_session >= found.new_session else "in a new session"
        return failed(
            f"The same image gets another embedding {place}: it differs by {worst:.2g} of its largest value.",
            remedy="Export from model.eval(), and remove random operators from the graph.",
            measured=measured,
            limit=limit,
            evidence=evidence,
        )
    notes = tuple(
        f"The node {each.node!r} ({each.op}) draws random numbers that reach no output." for each in random[:4]
    )
    return passed(
        "The same image always gets the same embedding.", measured=measured, limit=limit, evidence=evidence, notes=notes
    )


def _seen(found: RepeatFacts) -> str:
    """Return what two runs showed of random numbers, as the rest of a sentence."""
    worst = max(found.same_session, found.new_session)
    if found.error or worst <= REPEAT_TOLERANCE:
        return " (an ordinary image did not show it, so a condition or a small factor lies between)"
    return f"; the same image's embedding differs by {worst:.2g} of its largest value"
