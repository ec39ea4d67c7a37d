"""Builds wheel and sdist, and tries the commands of README.md in fresh environments; prints a table of what was run.

    python3 .ci/matrix.py                                     # the first command: every Python found, newest and oldest
    python3 .ci/matrix.py --tests --only 3.13-newest          # also the second one: the whole tests
    python3 .ci/matrix.py --tests tests/core --only 3.11-oldest
    python3 .ci/matrix.py --list                              # says what it would run

It needs nothing but Python and pip. The commands are those of README.md; three things are put in their place: the
Python, a folder outside of the sources for the environment, and for the first command the wheel, with a file of
constraints. They run in the unpacked sdist, so that what the sdist lacks is missed.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: The Pythons that are supported; the classifiers of pyproject.toml name the same.
PYTHONS = ("3.11", "3.12", "3.13")
#: The oldest dependencies have wheels for the oldest Python only.
ENVIRONMENTS = (*(f"{version}-newest" for version in PYTHONS), f"{PYTHONS[0]}-oldest", f"{PYTHONS[0]}-sdist")
#: Where other Pythons than those of PATH usually lie, below the home folder.
PLACES = (".pyenv/versions/{version}.*/bin/python3", ".local/share/uv/python/cpython-{version}*/bin/python3")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    environment: str
    python: str
    command: str
    result: str
    seconds: float
    size: str


def main() -> int:
    """Run what was asked for, and print the table; return 1 where something failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=ENVIRONMENTS, help="an environment; repeatable")
    parser.add_argument("--tests", nargs="*", metavar="PATH", help="also the second command, on these paths or on all")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder that is removed)")
    parser.add_argument("--list", action="store_true", help="only say what would be run")
    given = parser.parse_args()
    chosen = given.only or list(ENVIRONMENTS)
    if given.list:
        for name in chosen:
            for command in commands(name, Path("dist/the.whl"), Path("env"), given.tests):
                print(f"{name}: {command}")
        return 0
    with tempfile.TemporaryDirectory(prefix="matrix-") as temporary:
        folder = (given.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        rows = [row for name in chosen for row in tried(name, folder, built(folder), given.tests)]
    print(table(rows))
    return int(any(not row.result.startswith("ok") for row in rows))


def readme_commands() -> tuple[str, str]:
    """Return the two commands of README.md.

    Raises
    ------
    SystemExit
        There are not exactly two.
    """
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = [line for line in text.splitlines() if line.startswith("python3 -m venv ")]
    if len(found) != 2:
        raise SystemExit(f"README.md must hold two commands that begin with 'python3 -m venv', found {len(found)}")
    return found[0], found[1]


def commands(name: str, wheel: Path, folder: Path, tests: list[str] | None) -> list[str]:
    """Return the commands of an environment, as the shell runs them in the unpacked sdist."""
    first, second = readme_commands()
    version, _, kind = name.partition("-")
    python = shlex.quote(python_of(version) or f"python{version}")
    first = first.replace(".venv", shlex.quote(str(folder))).replace("python3", python, 1)
    second = second.replace(".venv-test", shlex.quote(f"{folder}-test")).replace("python3", python, 1)
    constraints = {"newest": ".ci/newest.txt", "oldest": ".ci/oldest.txt"}.get(kind)
    if constraints:
        first = first.replace("install -q .", f"install -q -c {constraints} {shlex.quote(str(wheel))}")
        if kind == "oldest":
            second = second.replace("-c .ci/constraints.txt", f"-c .ci/constraints.txt -c {constraints}")
    if tests is None:
        return [first]
    return [first, " ".join([second, "-p no:cacheprovider", *map(shlex.quote, tests)])]


def python_of(version: str) -> str | None:
    """Return the path of a Python of that version, None where there is none."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    for place in PLACES:
        found = sorted(Path.home().glob(place.format(version=version)))
        if found:
            return str(found[-1])
    return shutil.which(f"python{version}")


def built(folder: Path) -> Path:
    """Build the sdist, and the wheel from it, once; return the wheel. The sdist is unpacked beside it."""
    dist = folder / "dist"
    if not dist.exists():
        subprocess.run([sys.executable, "-m", "venv", folder / "build"], check=True)
        python = folder / "build" / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "-q", "build"], check=True)
        subprocess.run([python, "-m", "build", "--outdir", dist, ROOT], check=True, stdout=subprocess.DEVNULL)
    return next(dist.glob("*.whl"))


def tried(name: str, folder: Path, wheel: Path, tests: list[str] | None) -> list[Row]:
    """Run the commands of one environment; each gets a new copy of what the sdist holds."""
    version = name.partition("-")[0]
    python = python_of(version)
    if python is None:
        return [Row(name, "none", "", f"not run: there is no Python {version} here", 0, "")]
    home = folder / name
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    with tarfile.open(next((folder / "dist").glob("*.tar.gz"))) as archive:
        archive.extractall(home, filter="data")
    (source,) = home.iterdir()
    rows = []
    for number, command in enumerate(commands(name, wheel, home / "env", tests)):
        print(f"+ [{name}] {command}", flush=True)
        start = time.monotonic()
        with (home / f"{number}.log").open("w+b") as log:
            code = subprocess.run(
                ["bash", "-c", command], cwd=source, stdout=log, stderr=subprocess.STDOUT, check=False
            ).returncode
            log.seek(0)
            said = log.read().decode(errors="replace").strip().splitlines()
        if code:
            print("\n".join(said[-40:]), flush=True)
        last = " ".join(said[-1].strip("= ").split()) if said else ""
        environment = home / ("env-test" if number else "env")
        rows.append(
            Row(
                name, full_version(python), ("first", "second")[number], f"{'FAILED' if code else 'ok'}: {last}",
                time.monotonic() - start, f"{size_of(environment) / 1e6:,.0f} MB",
            )
        )  # fmt: skip
        if code == 0:
            shutil.rmtree(environment, ignore_errors=True)
    return rows


def full_version(python: str) -> str:
    """Return "3.13.0"."""
    command = [python, "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def table(rows: list[Row]) -> str:
    """Return the rows as Markdown."""
    lines = [
        "| environment | Python | README's command | result | time | environment's size |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = (row.environment, row.python, row.command, row.result, f"{row.seconds:.0f} s", row.size)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
