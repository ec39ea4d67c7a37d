"""What machines read of a run: annotations, job summary, Markdown, JUnit, exit codes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from junitparser import Failure, JUnitXml

from docs.make_screens import FACTS, SCENES, Scene, changed, narrow, wide, write_facts
from pytest_facechallenge.engine.report import Report, SubmissionReport

SCENE = {scene.name: scene for scene in SCENES}
#: What Jenkins takes: for each element the attributes that it must have, those that it may have, and its children.
JENKINS = {
    "testsuites": ("", "name time tests failures errors", "testsuite"),
    "testsuite": (
        "name tests failures errors",
        "group time skipped timestamp hostname id package file log url",
        "testsuite properties testcase system-out system-err",
    ),
    "properties": ("", "", "property"),
    "property": ("name value", "", ""),
    "testcase": ("name", "time classname group", "skipped error failure system-out system-err"),
    **dict.fromkeys(("skipped", "error", "failure"), ("", "type message", "")),
    **dict.fromkeys(("system-out", "system-err"), ("", "", "")),
}
HOSTILE = "a]]>\x1b[2J::error::\u202e<b>&%0A,x"


@pytest.fixture(scope="session")
def base(report: bytes) -> Report:
    return Report.from_json(report)


def judge(pytester: pytest.Pytester, scene: Scene, base: Report, *arguments: str) -> pytest.RunResult:
    write_facts(scene, base, pytester.path / FACTS)
    return pytester.runpytest(*scene.arguments, *arguments)


def hostile(base: SubmissionReport) -> list[SubmissionReport]:
    def named(facts: dict[str, dict[str, object]]) -> None:
        facts["interface"]["outputs"] = [{"name": HOSTILE, "dtype": "float", "shape": ["N", 640]}]

    return [changed(base, wide, narrow, named, name=HOSTILE)]


HOSTILE_SCENE = Scene("hostile", SCENE["good"].arguments, hostile)


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("good", (), 0),
        ("good", ("--facechallenge-strict",), 0),
        ("two-broken-rules", (), 1),
        ("two-broken-rules", ("--facechallenge-strict",), 1),
        ("killed-worker", (), 0),
        ("killed-worker", ("--facechallenge-strict",), 1),
        # A rule that did not run keeps the verdict open, though nothing failed.
        ("good", ("--facechallenge-strict", "-k=batch"), 1),
        ("good", ("--facechallenge-json=no/folder/r.json",), 4),
        ("good", ("--facechallenge-explain=no-such-rule",), 4),
        ("wrong-invocation", (), 4),
    ],
)
def test_exit_codes(pytester: pytest.Pytester, base: Report, name: str, arguments: tuple[str, ...], code: int) -> None:
    assert judge(pytester, SCENE[name], base, *arguments).ret == code


def test_exit_code_of_an_interrupted_run(pytester: pytest.Pytester, base: Report) -> None:
    pytester.makeconftest("def pytest_runtest_setup(item):\n    if 'output' in item.name: raise KeyboardInterrupt")
    write_facts(SCENE["good"], base, pytester.path / FACTS)
    result = pytester.runpytest_subprocess(*SCENE["good"].arguments, "--facechallenge-strict")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert result.outlines[-1].startswith("INCOMPLETE  model.onnx")


def test_a_report_that_cannot_be_written_is_refused_at_the_start(pytester: pytest.Pytester, base: Report) -> None:
    (pytester.path / "taken").mkdir()
    result = judge(pytester, SCENE["good"], base, "--facechallenge-markdown=taken")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*taken cannot be written: a regular file is expected, found a folder*"])


def test_annotations_and_summary_under_github_actions(
    pytester: pytest.Pytester, base: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = pytester.path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    result = judge(pytester, SCENE["two-broken-rules"], base)
    lines = [line for line in result.outlines if line.startswith("::")]
    assert [line.partition("::model")[0] for line in lines] == [
        "::error file=/entries/model.onnx,title=embedding-dim",
        "::error file=/entries/model.onnx,title=no-float16",
    ]
    assert result.outlines[-1].startswith("NON-COMPLIANT")
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("before\n## Face challenge")
    assert "**embedding-dim is broken**" in text


def test_annotations_can_be_switched_off(
    pytester: pytest.Pytester, base: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    result = judge(pytester, SCENE["two-broken-rules"], base, "--facechallenge-no-annotations")
    result.stdout.no_fnmatch_line("::error*")
    assert not (pytester.path / "summary.md").exists()


def test_a_summary_that_cannot_be_written_is_told_and_fails_nothing(
    pytester: pytest.Pytester, base: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "no" / "summary.md"))
    result = judge(pytester, SCENE["good"], base)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["facechallenge: the job summary * cannot be written: *", "COMPLIANT *"])


def test_junit_has_the_verdict_and_why_a_strict_run_failed(pytester: pytest.Pytester, base: Report) -> None:
    for arguments, failures in (((), 0), (("--facechallenge-strict",), 8)):
        judge(pytester, SCENE["incomplete"], base)
        scene = Scene("incomplete", SCENE["good"].arguments, SCENE["incomplete"].submissions)
        judge(pytester, scene, base, "--junitxml=j.xml", *arguments)
        (suite,) = JUnitXml.fromfile(str(pytester.path / "j.xml"))
        found: Any = suite
        properties = {each.name: each.value for each in found.properties()}
        assert properties["facechallenge mfr21/A model.onnx"].startswith("INCOMPLETE: 8 rules open: latency, ")
        assert suite.failures == failures
        found = [each for case in suite for each in case.result if isinstance(each, Failure)]
        assert len(found) == failures
        assert all("is not decided (mfr21/A" in each.text for each in found)


def junit_element(element: Element) -> None:
    """Assert that Jenkins' xUnit plugin takes an element, with all that is in it.

    It validates what it is given, and refuses a file with anything else in it: github.com/jenkinsci/xunit-plugin,
    src/main/resources/org/jenkinsci/plugins/xunit/types/model/xsd/junit-10.xsd, told here in our own words.
    """
    required, optional, children = JENKINS[element.tag]
    assert set(required.split()) <= set(element.attrib) <= set(f"{required} {optional}".split()), element.attrib
    for each in element:
        assert each.tag in children.split(), (element.tag, each.tag)
        junit_element(each)
    if "time" in element.attrib and element.tag != "testcase":
        assert re.fullmatch(r"\d{1,3}(,?\d{3})*(\.\d*)?", element.attrib["time"])


@pytest.mark.parametrize("name", ["good", "two-broken-rules", "incomplete", "hostile", "crashed"])
def test_jenkins_and_gitlab_take_the_junit_file(pytester: pytest.Pytester, base: Report, name: str) -> None:
    if name == "crashed":
        pytester.makeconftest("def pytest_runtest_setup(item):\n    if 'output' in item.name: raise RuntimeError('x')")
    scene = HOSTILE_SCENE if name == "hostile" else SCENE[name if name in SCENE else "good"]
    judge(pytester, scene, base, "--facechallenge-strict", "--junitxml=j.xml")
    root = ElementTree.parse(pytester.path / "j.xml").getroot()
    junit_element(root)
    # GitLab shows the class as the suite, and keeps one test of each class and name (gitlab-org/gitlab,
    # lib/gitlab/ci/parsers/test/junit.rb).
    cases = [(each.get("classname"), each.get("name")) for each in root.iter("testcase")]
    assert len(set(cases)) == len(cases) > 20
    assert all(all(case) for case in cases)


def test_properties_of_others_stay_in_the_junit_file(pytester: pytest.Pytester, base: Report) -> None:
    pytester.makeconftest("def pytest_runtest_setup(item):\n    item.user_properties.append(('theirs', 'kept'))")
    judge(pytester, SCENE["good"], base, "--junitxml=j.xml", "-n1")
    root = ElementTree.parse(pytester.path / "j.xml").getroot()
    assert {each.get("name") for each in root.iterfind(".//testcase//property")} == {"theirs"}


def test_exit_code_of_a_report_that_cannot_be_written_at_the_end(pytester: pytest.Pytester, base: Report) -> None:
    pytester.makeconftest(
        "from pathlib import Path\ndef pytest_runtest_setup(item):\n    Path('out.md').mkdir(exist_ok=True)"
    )
    result = judge(pytester, SCENE["good"], base, "--facechallenge-markdown=out.md")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(["facechallenge: *out.md cannot be written: *", "COMPLIANT *"])


def test_hostile_names_are_harmless_everywhere(
    pytester: pytest.Pytester, base: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = judge(pytester, HOSTILE_SCENE, base, "--junitxml=j.xml", "--facechallenge-markdown=m.md", "-v")
    (suite,) = JUnitXml.fromfile(str(pytester.path / "j.xml"))
    assert suite.failures == 2
    text = (pytester.path / "m.md").read_text(encoding="utf-8")
    for shown in (result.stdout.str(), text, (pytester.path / "j.xml").read_text(encoding="utf-8")):
        assert not set(shown) & set("\x1b\u202e")
    assert "<b>" not in text
    commands = [line for line in result.outlines if line.startswith("::")]
    assert [re.sub(r"::error file=[^,:]+,title=([a-z0-9-]+)::[^\n]+", r"\1", line) for line in commands] == [
        "embedding-dim",
        "no-float16",
    ]


def test_markdown_of_many(pytester: pytest.Pytester, base: Report) -> None:
    judge(pytester, SCENE["thirty-submissions"], base, "--facechallenge-markdown=m.md", "-q")
    text = (pytester.path / "m.md").read_text(encoding="utf-8")
    assert text.count("<details>") == text.count("</details>") == 30
    assert "30 verdicts: 20 COMPLIANT, 7 NON-COMPLIANT, 3 INCOMPLETE" in text
    assert Path(pytester.path / "m.md").stat().st_size < 900_000
