"""What a run shows on the terminal: findings first, the verdict last."""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pytest_facechallenge.core.outcome import Status, VerdictWord
from pytest_facechallenge.core.site import is_published, rule_page
from pytest_facechallenge.core.tables import NamedTable
from pytest_facechallenge.engine.report import Report, RuleResult, SubmissionReport, TrackReport
from pytest_facechallenge.reports import wording
from pytest_facechallenge.reports.finding import FEW_LINES, MOST_LINES, body, brief, headline
from pytest_facechallenge.reports.overview import overview
from pytest_facechallenge.reports.view import STATUS_STYLES, VERDICT_STYLES, View
from pytest_facechallenge.reports.wrapping import cut, padded, shortened, wrap

#: More verdicts than this are shown as one table.
MOST_SINGLE = 3
#: The most reasons for open rules that are shown without -v, one line each.
MOST_REASONS = 2
#: The most lines of what a rule found that only measures.
MOST_OF_A_NOTE = 4
#: Short words for a narrow table.
WORDS = {status: str(status) for status in Status} | {Status.NOT_APPLICABLE: "n/a"}
#: From this width on the table of rules has their clauses.
WIDE = 76
#: How reasons begin that say more than what would decide the rule.
_UNSEEN = ("This could not be observed: ",)
#: Columns between two columns.
GAP = "  "


def render(report: Report, view: View) -> str:
    """Return everything that the terminal shows about a report: the details, and below them the verdicts."""
    return render_details(report, view) + render_verdicts(report, view)


def render_details(report: Report, view: View) -> str:
    """Return what stands above the verdicts: findings, what would decide open rules, counts; "" under -q.

    More than three verdicts have no details, but with -v, which shows every rule of every one.
    """
    shown = view.prepared(report)
    judged = wording.judged(shown)
    if view.verbosity < 0 or (len(judged) > MOST_SINGLE and view.verbosity == 0):
        return ""
    parts: list[RenderableType] = []
    for submission, track in judged:
        if view.verbosity > 0:
            parts += _everything(submission, track, view)
        else:
            parts += _digest(submission, track, view, alone=len(judged) == 1)
    if view.verbosity == 0:
        parts += _pages([track for _, track in judged], view)
    return view.paint(parts)


def render_verdicts(report: Report, view: View) -> str:
    """Return the verdicts, a line each, or one table where there are many; "" under -qq."""
    if view.verbosity < -1:
        return ""
    shown = view.prepared(report)
    judged = wording.judged(shown)
    tracks = [track for _, track in judged]
    if len(judged) > MOST_SINGLE and view.verbosity >= 0:
        parts: list[RenderableType] = [overview(shown, view), Text(), _tally(tracks)]
    else:
        name_width = max((len(_short(submission.name, view)) for submission, _ in judged), default=0)
        word_width = max((len(track.verdict_text) for track in tracks), default=0)
        parts = [_verdict(submission, track, view, word_width, name_width) for submission, track in judged]
    if view.strict and any(track.verdict.word is VerdictWord.INCOMPLETE for track in tracks):
        parts += map(Text, wrap("", _why_strict(tracks), view.columns))
    return view.paint(parts)


def _why_strict(tracks: list[TrackReport]) -> str:
    number = sum(len(track.verdict.open) for track in tracks if track.verdict.word is VerdictWord.INCOMPLETE)
    return f"exit code 1: --facechallenge-strict asks for COMPLIANT, {wording.rules_open(number)}"


def _tally(tracks: list[TrackReport]) -> Text:
    return Text(f"{len(tracks)} verdicts: {wording.tally(tracks)}", style="bold")


def _short(name: str, view: View) -> str:
    return shortened(name, view.columns // 3, view.more)


def _verdict(submission: SubmissionReport, track: TrackReport, view: View, word_width: int, name_width: int) -> Text:
    """Return the verdict in one line: as much of what decides it as fits, and how much more there is."""
    word = track.verdict_text
    name = padded(_short(submission.name, view), name_width)
    begin = f"{padded(word, word_width)}{GAP}{name}{GAP}{track.full}{GAP}"
    line = Text(begin + _fitted(track, view.columns - len(begin), view))
    line.stylize(VERDICT_STYLES[track.verdict.word], 0, len(word))
    return line


def _fitted(track: TrackReport, room: int, view: View) -> str:
    head, items = wording.causes(track)
    plain = [result.name for result in wording.broken(track)] or items
    for number in range(len(items), -1, -1):
        said = head + ", ".join([*items[:number], *plain[number:]])
        if len(said) <= room:
            return said
    for number in range(len(plain) - 1, 0, -1):
        said = f"{head}{', '.join(plain[:number])} and {len(plain) - number} more"
        if len(said) <= room:
            return said
    alone = head.rstrip(": ") if head else f"{len(plain)} rule{'' if len(plain) == 1 else 's'} broken"
    return alone if len(plain) > 1 or head else cut(plain[0], max(room, 8), view.more)


def _digest(submission: SubmissionReport, track: TrackReport, view: View, *, alone: bool) -> list[RenderableType]:
    """Return findings, what would decide the rest, and the counts."""
    parts: list[RenderableType] = []
    broken = wording.broken(track)
    for result in broken:
        said = headline(result, _short(submission.name, view), track.full)
        parts += [
            _linked(Text(cut(said, view.columns, view.more), style="bold red"), result, track, view),
            *map(Text, brief(result, view.columns, MOST_LINES if len(broken) == 1 else FEW_LINES, view.more)),
            Text(),
        ]
    if track.verdict.word is VerdictWord.INCOMPLETE:
        parts += _reasons(submission, track, view, alone=alone)
    parts += _uncounted(submission, track, view, alone=alone)
    whose = "" if alone else f"{_short(submission.name, view)} on {track.full}: "
    hint = " (-v shows every rule)"
    counted = f"{whose}{wording.counted(track)}"
    parts += [Text(counted + hint if len(counted + hint) <= view.columns else counted)]
    return parts


def _linked(line: Text, result: RuleResult, track: TrackReport, view: View) -> Text:
    """Make the rule's name in a headline a link to its page, where the terminal shows links."""
    page = rule_page(track.rulebook, result.rule)
    start = line.plain.find(f": {result.name} ") + len(": ")
    if page and view.links and start >= len(": "):
        line.stylize(f"link {page}", start, start + len(result.name))
    return line


def _pages(tracks: list[TrackReport], view: View) -> list[RenderableType]:
    """Return where the rules are explained of which one is broken or open, a line for each rulebook at most.

    The command says it without a network, and in a clone, whose documentation has no address of its own.
    """
    books = [track.rulebook for track in tracks if track.verdict.word is not VerdictWord.COMPLIANT]
    said = [f"rules explained at {page}" for page in filter(None, map(rule_page, dict.fromkeys(books)))]
    if said and not (is_published() and all(len(line) <= view.columns for line in said)):
        said = ["facechallenge explain RULE says what a rule wants"]
    return [Text(line) for line in said]


def _uncounted(submission: SubmissionReport, track: TrackReport, view: View, *, alone: bool) -> list[RenderableType]:
    """Return what rules found that only measure on this track, a few lines each: no verdict would tell it."""
    whose = "" if alone else f"{_short(submission.name, view)}: "
    parts: list[RenderableType] = []
    for result in track.rules:
        if result.uncounted in (Status.FAILED, Status.UNDECIDED) and result.notes:
            said = f"{whose}{result.name}: {result.notes[0]}"
            parts += map(Text, wrap("note  ", said, view.columns, MOST_OF_A_NOTE, view.more))
    return parts


def _reasons(submission: SubmissionReport, track: TrackReport, view: View, *, alone: bool) -> list[RenderableType]:
    """Return why rules are open: a line each, three where there is one reason."""
    groups = wording.same_causes(track)
    lines: list[RenderableType] = []
    for group in groups[:MOST_REASONS]:
        names = group.rules[0] if len(group.rules) == 1 else f"{group.rules[0]} and {len(group.rules) - 1} more"
        whose = "" if alone else f"{_short(submission.name, view)}: "
        if len(groups) == 1:
            stop = "" if group.why.endswith((".", "!", "?")) else "."
            said = f"{whose}{names}: {group.why}{stop} {group.remedy}"
            lines += map(Text, wrap("open  ", said, view.columns, 3, view.more))
        else:
            lines += [Text(cut(f"open  {whose}{names}: {_in_a_line(group)}", view.columns, view.more))]
    left = len(groups) - MOST_REASONS
    if left > 0:
        lines += [Text(f"open  for {left} more reason{'' if left == 1 else 's'} (-v)")]
    return lines


def _in_a_line(group: wording.Open) -> str:
    """Return what would decide rules; of what could not be observed, the reason, as that says most."""
    if group.remedy and not group.why.startswith((*_UNSEEN, "crashed")):
        return wording.first_sentence(group.remedy)
    for words in _UNSEEN:
        group = group._replace(why=group.why.removeprefix(words))
    return group.why


def _everything(submission: SubmissionReport, track: TrackReport, view: View) -> list[RenderableType]:
    """Return the table of all rules, every finding in full, every reason and every note."""
    parts: list[RenderableType] = [*_heading(submission, track, view), _table(track, view), Text()]
    for result in wording.broken(track):
        said = headline(result, submission.name, track.full)
        parts += [_linked(Text(line, style="bold red"), result, track, view) for line in wrap("", said, view.columns)]
        page = rule_page(track.rulebook, result.rule)
        room = len(page) + len("  page      ") <= view.columns
        parts += [*map(Text, body(result, view.columns, "  ", page if room and not view.links else "")), Text()]
    for group in wording.open_groups(track):
        stop = "" if group.why.endswith((".", "!", "?")) else "."
        parts += _item(f"{', '.join(group.rules)} not decided: {group.why}{stop} {group.remedy}", view)
    gone = set(track.verdict.broken)
    for result in track.rules:
        if result.name not in gone:
            parts += [line for note in result.notes for line in _item(f"{result.name}, note: {note}", view)]
        if result.ran and result.status is Status.NOT_APPLICABLE:
            parts += _item(f"{result.name}, not applicable: {result.message}", view)
    counted = wording.counted(track)
    return [*parts, Text(counted), Text()]


def _heading(submission: SubmissionReport, track: TrackReport, view: View) -> list[Text]:
    said = f"{submission.name} on {track.full} ({track.title})"
    return [Text(line, style="bold") for line in wrap("", said, view.columns)]


def _item(text: str, view: View) -> list[RenderableType]:
    return [Text(line) for line in wrap("  - ", text, view.columns)]


def _table(track: TrackReport, view: View) -> Table:
    """Return the table of all rules; every cell is wrapped here, between words."""
    table = Table(box=view.head_box, pad_edge=False, padding=0, show_edge=False)
    names = max((cell_len(result.name) for result in track.rules), default=4)
    widths = [min(names, view.columns // 2), 9]
    headings = ["rule", "status", "measured, limit"]
    if view.columns >= WIDE:
        widths.insert(1, 12)
        headings.insert(1, "clause")
    widths.append(view.columns - sum(widths) - len(widths))
    for heading, width in zip(headings, widths, strict=True):
        table.add_column(heading, width=width, no_wrap=True, overflow="ignore")
    for result in track.rules:
        status = Text(WORDS[result.status] if result.ran else "no result", style=STATUS_STYLES[result.status])
        cells = [result.name, result.clause] if view.columns >= WIDE else [result.name]
        wrapped = ["\n".join(wrap("", cell, width)) for cell, width in zip(cells, widths, strict=False)]
        table.add_row(*map(Text, wrapped), status, Text("\n".join(wrap("", _against(result), widths[-1]))))
    return table


def _against(result: RuleResult) -> str:
    if not result.ran:
        return result.message
    return ", ".join(part for part in (result.measured, result.limit and f"limit {result.limit}") if part)


def render_table(table: NamedTable, view: View) -> str:
    """Return a table that was asked for beside the verdicts; long cells are folded, nothing is cut off."""
    shown = Table(box=view.head_box, show_edge=False)
    for position, heading in enumerate(table.headings):
        number = position >= table.numbers_from
        shown.add_column(view.spell(heading), overflow="fold", justify="right" if number else "left", no_wrap=number)
    for row in table.rows:
        shown.add_row(*(Text(view.spell(cell)) for cell in row))
    parts: list[RenderableType] = [Text(), Text(view.spell(table.title), style="bold"), shown]
    for line in table.below:
        parts += _item(view.spell(line), view)
    return view.paint(parts)
