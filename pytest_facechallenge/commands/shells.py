"""Scripts that let bash, zsh and fish complete ``facechallenge``, made from a table of words: no Python at a key press.

Our own, since the usual libraries leave a shell out (shtab has no fish) or start the command at every key
(argcomplete, 0.2 s here). Every text in them is quoted for its shell, names of somebody's rulebook too.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Sequence

from pytest_facechallenge.commands.parser import PROGRAM
from pytest_facechallenge.commands.words import Completed, Kind, Switch, Values

#: What means nothing to any shell.
_PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")
#: No mapfile and no associative array: macOS still has bash 3.2.
_BASH = """\
_{program}_words() {{ local IFS=$' \\t\\n'; COMPREPLY=($(compgen -W "$1" -- "$cur")); }}
_{program}_paths() {{ local IFS=$'\\n'; COMPREPLY=($(compgen "$1" -- "$cur")); compopt -o filenames 2> /dev/null; }}
_{program}() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} command=${{COMP_WORDS[1]}} i
    # bash takes "--track=A" as three words.
    if [[ $cur == = ]]; then cur=
    elif [[ $prev == = ]]; then prev=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        _{program}_words {commands}
        return
    fi
    for ((i = 2; i < COMP_CWORD; i++)); do
        if [[ ${{COMP_WORDS[i]}} == -- ]]; then
            _{program}_paths -f
            return
        fi
    done
    case $command,$prev in
{values}
    esac
    case $command,$cur in
{options}
    esac
    case $command in
{arguments}
    esac
}}
complete -F _{program} {program}
"""


def bash(commands: Sequence[Completed]) -> str:
    """Return the script for bash."""
    values, options, arguments = [], [], []
    for command in commands:
        for switch in command.switches:
            if switch.values is not None and not switch.optional:
                cases = "|".join(shlex.quote(f"{command.name},{name}") for name in switch.spellings)
                values.append(f"        {cases}) {_in_bash(switch.values)}; return ;;")
        words = [name for switch in command.switches for name in switch.spellings]
        options.append(f"        {command.name},-*) {_words_in_bash(words)}; return ;;")
        if command.arguments is not None:
            arguments.append(f"        {command.name}) {_in_bash(command.arguments)} ;;")
    return _BASH.format(
        program=PROGRAM,
        commands=shlex.quote(" ".join(command.name for command in commands)),
        values="\n".join(values),
        options="\n".join(options),
        arguments="\n".join(arguments),
    )


def _in_bash(values: Values) -> str:
    if values.kind is Kind.WORDS:
        return _words_in_bash(values.words)
    if values.kind is Kind.ANY:
        return ":"
    return f"_{PROGRAM}_paths {'-d' if values.kind is Kind.FOLDER else '-f'}"


def _words_in_bash(words: Iterable[str]) -> str:
    # compgen expands what it is given once more, so each word is quoted for that, too.
    return f"_{PROGRAM}_words {shlex.quote(' '.join(map(shlex.quote, words)))}"


_ZSH = """\
#compdef {program}
_{program}() {{
    local -a commands=({commands})
    if ((CURRENT == 2)); then
        _describe command commands
        return
    fi
    local command=$words[2]
    shift words
    ((CURRENT--))
    if ((${{words[(i)--]}} < CURRENT)); then
        _files
        return
    fi
    case $command in
{cases}
    esac
}}
if [[ $funcstack[1] == _{program} ]]; then
    _{program} "$@"
else
    compdef _{program} {program}
fi
"""


def zsh(commands: Sequence[Completed]) -> str:
    """Return the script for zsh: a file of $fpath, or read after compinit."""
    cases = []
    for command in commands:
        rows = [shlex.quote(row) for switch in command.switches for row in _rows_of_zsh(switch)]
        if command.arguments is not None:
            rows.append(shlex.quote(f"*:{command.name}:{_in_zsh(command.arguments)}"))
        lines = " \\\n            ".join(rows)
        cases.append(f"    {command.name})\n        _arguments \\\n            {lines}\n        ;;")
    named = (shlex.quote(f"{each.name}:{each.about.replace(':', chr(92) + ':')}") for each in commands)
    return _ZSH.format(program=PROGRAM, commands=" ".join(named), cases="\n".join(cases))


def _rows_of_zsh(switch: Switch) -> Iterable[str]:
    about = _literal(switch.about, "[]:\\")
    for name in switch.spellings:
        # "--json=FILE" and "--json FILE" are both taken.
        equals = "=" if switch.values is not None and name.startswith("--") else ""
        value = ""
        if switch.values is not None:
            value = f"{'::' if switch.optional else ':'}value:{_in_zsh(switch.values)}"
        yield f"*{name}{equals}[{about}]{value}"


def _in_zsh(values: Values) -> str:
    if values.kind is Kind.WORDS:
        # zsh evaluates the list, so whatever could mean something there is quoted for that, too.
        words = " ".join(
            "".join(sign if _PLAIN.fullmatch(sign) else f"\\{sign}" for sign in word) for word in values.words
        )
        return f"({words})"
    return {Kind.ANY: " ", Kind.FILE: "_files", Kind.FOLDER: "_files -/"}[values.kind]


def _literal(text: str, signs: str) -> str:
    return "".join(f"\\{sign}" if sign in signs else sign for sign in text)


def fish(commands: Sequence[Completed]) -> str:
    """Return the script for fish."""
    lines = [f"complete -c {PROGRAM} -f"]
    for command in commands:
        words = [f"complete -c {PROGRAM} -n __fish_use_subcommand -a {command.name} -d {_quoted(command.about)}"]
        seen = f"complete -c {PROGRAM} -n {_quoted(f'__fish_seen_subcommand_from {command.name}')}"
        if command.arguments is not None:
            words.append(f"{seen} {_in_fish(command.arguments)}")
        for switch in command.switches:
            names = " ".join(
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in switch.spellings
            )
            value = f" -r {_in_fish(switch.values)}" if switch.values is not None and not switch.optional else ""
            words.append(f"{seen} {names}{value} -d {_quoted(switch.about)}")
        lines += words
    return "\n".join(lines) + "\n"


def _in_fish(values: Values) -> str:
    if values.kind is Kind.WORDS:
        # fish expands the list at the key press, so each word in it is quoted as well.
        words = " ".join(word if _PLAIN.fullmatch(word) else _quoted(word) for word in values.words)
        return f"-f -a {_quoted(words)}"
    return {Kind.ANY: "-f", Kind.FILE: "-F", Kind.FOLDER: "-f -a '(__fish_complete_directories)'"}[values.kind]


def _quoted(text: str) -> str:
    """Return a text as fish reads it between single quotes, where only two signs mean something else."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS: dict[str, Callable[[Sequence[Completed]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
