"""The documentation is true of the code: events, files, links, command lines and helps."""

import ast
import contextlib
import re
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest

from broker.home import Home
from broker.records import State
from launcher.block import MOVES
from nunatak.commands import load
from nunatak.main import nunatak

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
FLOORS = ("broker", "tasks", "launcher", "nunatak", "slurm_templates")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def _rows(page: Path, heading: str) -> list[list[str]]:
    """The cells of the tables under a heading (of any level), without their titles."""
    _, found, rest = page.read_text().partition(f"# {heading}\n")
    assert found, f"{page} has no heading {heading!r}"
    section = re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in section.splitlines() if line.startswith("|")]
    return [row for row in rows[2:] if row]


def _code(cell: str) -> list[str]:
    """What stands in backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


# -- the ledger's events ----------------------------------------------------------------------------------------------------------------


def _arguments(text: str, start: int) -> list[str]:
    """The arguments of a Lua call whose opening bracket stands before `start`."""
    found, depth, quoted = [""], 0, False
    for char in text[start:]:
        quoted ^= char == "'"
        if not quoted:
            if char == ")" and not depth:
                break
            depth += (char in "({[") - (char in ")}]")
            if char == "," and not depth:
                found.append("")
                continue
        found[-1] += char
    return [argument.strip() for argument in found]


def _ledger_events() -> dict[str, set[str]]:
    """Every event that a script writes, with its fields."""
    found: dict[str, set[str]] = defaultdict(set)
    for script in sorted((ROOT / "broker" / "lua").glob("*.lua")):
        text = script.read_text()
        for call in re.finditer(r"(?<!function )\bevent\(", text):
            name, _, *pairs = _arguments(text, call.end())
            assert len(pairs) % 2 == 0, (script, pairs)
            found[name.strip("'")] |= {field.strip("'") for field in pairs[::2]}
    return dict(found)


def test_the_ledgers_events_in_the_docs_are_those_that_the_scripts_write():
    documented = {_code(event)[0]: set(_code(fields)) for event, fields, _ in _rows(DOCS / "events.md", "The ledger's events")}
    assert documented == _ledger_events()


# -- log events -------------------------------------------------------------------------------------------------------------------------


def _modules() -> dict[str, ast.Module]:
    files = [file for floor in FLOORS for file in sorted((ROOT / floor).rglob("*.py"))]
    return {str(file.relative_to(ROOT)): ast.parse(file.read_text()) for file in files}


def _log_calls(tree: ast.Module) -> Iterator[tuple[str, set[str]]]:
    """Each `log.level("event.name key=%s …")` as the event and its keys; an event that is passed on as a value has the name '%s'."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS):
            continue
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "log"):
            continue
        text = node.args[0]
        assert isinstance(text, ast.Constant), f"line {node.lineno}: a log line's text is a constant, its values come after it"
        yield text.value.split()[0], set(re.findall(r"(\w+)=", text.value))


def _passed_on(tree: ast.Module) -> Iterator[str]:
    """Events that are given as a first argument, `self._attempt("reap.failed", …)`, to a method that logs them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.func, ast.Attribute):
            value, owner = node.args[0].value, node.func.value
            if isinstance(owner, ast.Name) and owner.id == "self" and isinstance(value, str) and re.fullmatch(r"[a-z_]+\.[a-z_]+", value):
                yield value


@cache
def _log_events() -> Mapping[tuple[str, str], set[str]]:
    """(event, file) -> keys, for every log line in our code."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for file, tree in _modules().items():
        for event, keys in _log_calls(tree):
            for name in [event] if event != "%s" else _passed_on(tree):
                found[name, file] |= keys
    return found


def test_the_log_events_in_the_docs_are_those_of_the_code():
    rows = _rows(DOCS / "events.md", "Log events")
    documented = {(_code(event)[0], file): set(_code(keys)) for event, keys, where, _ in rows for file in _code(where)}
    assert documented == _log_events()


def test_a_log_line_is_an_event_name_and_keys():
    names = {event for event, _ in _log_events()}
    assert {name for name in names if not re.fullmatch(r"[a-z_]+\.[a-z_]+", name)} == set()


# -- files ------------------------------------------------------------------------------------------------------------------------------

PLACES = ("In `$NUNATAK_HOME`", "On the node, or the host of the broker", "Beside the jobfiles", "In a clone of the repository")


def _listed() -> list[tuple[str, list[str]]]:
    return [(file, _code(place)) for heading in PLACES for file, _, _, _, place in _rows(DOCS / "files.md", heading)]


@pytest.mark.parametrize(("file", "place"), _listed(), ids=[file for file, _ in _listed()])
def test_a_file_in_the_docs_is_in_the_code(file, place):
    if place[0].startswith("Home."):
        assert hasattr(Home, place[0].removeprefix("Home.")), file
    else:
        source, word = place
        assert word in (ROOT / source).read_text(), file


def test_every_file_of_the_home_is_in_the_docs():
    documented = {place[0].removeprefix("Home.") for _, place in _listed() if place[0].startswith("Home.")}
    assert documented == {name for name in vars(Home) if name.endswith(("_file", "_dir", "_lock", "_log"))}


# -- states -----------------------------------------------------------------------------------------------------------------------------


def test_the_moves_of_a_block_in_the_docs_are_those_of_the_code():
    rows = _rows(DOCS / "how-it-works.md", "The states of a block")
    documented = {state: set(others.split(", ")) for state, others in rows}
    assert documented == {state.value: {other.value for other in others} for state, others in MOVES.items() if others}


def test_the_states_of_a_jobfile_and_the_verbs_that_move_it_are_those_of_the_code():
    rows = _rows(DOCS / "how-it-works.md", "The states of a jobfile")
    named = {state for before, after, *_ in rows for state in f"{before}, {after}".split(", ")}
    assert named == {state.value for state in State} | {"(new)", "(nothing)"}
    movers = r"\b(?:set_state|wait|finish)\(|'DEL', 'job:'"
    moving = {script.stem for script in (ROOT / "broker" / "lua").glob("*.lua") if re.search(movers, script.read_text())} - {"prelude"}
    assert {verb for _, _, verbs, _ in rows for verb in _code(verbs)} == moving


# -- links ------------------------------------------------------------------------------------------------------------------------------


def _outside_fences(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _outside_fences(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", _outside_fences(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not anchor or anchor in _anchors(file), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_is_there(page):
    named = re.findall(rf"`((?:{'|'.join(FLOORS)}|tests)/[\w./]*)`", _outside_fences(page))
    assert [name for name in named if not (ROOT / name).exists()] == []


# -- command lines ----------------------------------------------------------------------------------------------------------------------

PROGRAMS = {"nunatak": lambda: nunatak, "enqueue-jobfiles": lambda: load("enqueue")}


def _command_lines(text: str) -> Iterator[list[str]]:
    """Every call of a program of ours in a text of shell lines: pipes and lists of commands taken apart."""
    for line in text.splitlines():
        lexer = shlex.shlex(line.strip().removeprefix("$ "), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        try:
            tokens = [*lexer, ";"]
        except ValueError:  # Output with an apostrophe, not a command.
            continue
        for token in tokens:
            if set(token) <= set("();<>|&"):
                if words and Path(words[0]).name in PROGRAMS:
                    yield words
                words = []
            elif words or not re.fullmatch(r"[A-Z_]+=.*", token):
                words.append(token)


def _check(words: list[str]) -> None:
    """Parse a call as the program would, without running it."""
    command: click.Command = PROGRAMS[Path(words[0]).name]()
    path, rest = words[0], words[1:]
    while isinstance(command, click.Group):
        context = click.Context(command)
        options, rest, _ = command.make_parser(context).parse_args(list(rest))
        if options and not rest:  # --version
            return
        found = command.get_command(context, rest[0]) if rest else None
        assert found is not None, f"{path} {' '.join(rest)}: no such command"
        command, path, rest = found, f"{path} {rest[0]}", rest[1:]
    with contextlib.suppress(click.exceptions.Exit):  # --help
        command.make_context(path, list(rest))


def _fences(page: Path) -> str:
    """The shell lines of a page; in the blocks of a console only what is typed, not what is answered."""
    blocks = re.findall(r"^```(sh|console)\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return "\n".join(
        line for kind, block in blocks for line in block.splitlines() if kind != "console" or line.startswith("$ ")
    )


CALLS = [(page, words) for page in PAGES for words in _command_lines(_fences(page))]


@pytest.mark.parametrize("words", [words for _, words in CALLS], ids=[f"{page.name}: {' '.join(words)}" for page, words in CALLS])
def test_every_command_line_in_the_docs_is_understood(words):
    _check(words)


def test_the_readme_has_command_lines():
    assert len([page for page, _ in CALLS if page.name == "README.md"]) >= 10


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None, name
            yield from _commands(found, f"{path} {name}")


COMMANDS: dict[str, Any] = dict(_commands(nunatak, "nunatak"))


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_help_that_ends_in_an_example_that_is_understood(path):
    command = COMMANDS[path]
    assert command.help
    last = (command.epilog or "").strip().splitlines()[-1]
    assert last.startswith("Example: ")
    calls = list(_command_lines(last.removeprefix("Example: ")))
    assert calls
    for words in calls:
        _check(words)


def test_every_command_is_in_the_readmes_table():
    named = {call for row in _rows(ROOT / "README.md", "Commands") for call in _code(row[0])}
    words = {" ".join(word for word in call.split() if re.fullmatch(r"[a-z]+", word)) for call in named}
    leaves = {path for path, command in COMMANDS.items() if not isinstance(command, click.Group)}
    assert leaves - words == set()
