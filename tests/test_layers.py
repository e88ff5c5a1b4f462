"""The house stands: imports point down only, heavy packages are imported late, files stay short, packages are shipped."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = PROJECT["tool"]["setuptools"]["packages"]
FLOORS = ("broker", "tasks", "launcher", "nunatak", "slurm_templates")

#: What of ours each may import.
MAY_IMPORT = {
    "broker": {"broker"},
    "tasks": {"tasks", "broker"},
    "launcher": {"launcher", "broker", "slurm_templates"},
    "nunatak": {"nunatak", "tasks", "launcher", "broker", "slurm_templates"},
    "slurm_templates": {"slurm_templates"},
}
#: What of others' each must not import, anywhere.
NEVER = {
    "broker": {"parsl", "flower", "celery", "click", "rich"},
    "tasks": {"parsl", "flower", "click", "rich"},
    "launcher": {"flower", "celery", "kombu", "redis", "click", "rich"},
    "nunatak": set(),
    "slurm_templates": set(),
}
#: What importing these modules must not drag in; a module that does not exist yet is passed over.
LIGHT = {
    "launcher.blocks": {"parsl", "celery", "kombu", "redis"},
    "launcher.site_file": {"parsl", "celery", "kombu", "redis"},
    "broker.home": {"redis", "kombu", "celery"},
    "broker.scripts": {"celery", "kombu"},
    "tasks.jobfile": {"celery", "kombu", "redis"},
    "tasks.worker": {"parsl", "flower", "click", "rich"},
    "nunatak.main": {"parsl", "flower", "celery", "kombu", "tornado"},
    "nunatak.foreign": {"parsl", "flower", "celery", "kombu", "redis", "click", "rich"},
}
MAX_LINES = 350


def _modules() -> dict[str, Path]:
    """Every module of ours by its dotted name."""
    found = {}
    for floor in FLOORS:
        for file in sorted((ROOT / floor).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = _modules()


def _imports(name: str, *, top_level_only: bool = False) -> Iterator[str]:
    """Dotted names that the module imports: `from a import b` gives a.b where that is a module, else a."""
    for node in _nodes(ast.parse(MODULES[name].read_text()), top_level_only):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(name, node)
            for alias in node.names:
                yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base


def _absolute(name: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = name.split(".") if MODULES[name].name == "__init__.py" else name.split(".")[:-1]
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def _nodes(tree: ast.AST, top_level_only: bool) -> Iterator[ast.AST]:
    """All nodes, or only those that run when the module is imported."""
    for node in ast.iter_child_nodes(tree):
        if top_level_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if top_level_only and isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        yield node
        yield from _nodes(node, top_level_only)


def _dragged_in(name: str) -> dict[str, str]:
    """Others' packages that importing the module imports, each with the module of ours that does it."""
    found: dict[str, str] = {}
    waiting, seen = [name], set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for imported in _imports(module, top_level_only=True):
            if imported in MODULES:
                waiting.append(imported)
            else:
                found.setdefault(imported.partition(".")[0], module)
    return found


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_from_its_own_floor_and_below(name):
    allowed = MAY_IMPORT[name.partition(".")[0]]
    tops = {imported.partition(".")[0] for imported in _imports(name)}
    assert not (tops & set(FLOORS)) - allowed


@pytest.mark.parametrize("name", MODULES)
def test_a_module_does_not_import_what_its_floor_must_do_without(name):
    tops = {imported.partition(".")[0] for imported in _imports(name)}
    assert not tops & NEVER[name.partition(".")[0]]


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("tasks.guard") and not name.startswith("tasks.guard_")])
def test_the_guard_needs_the_standard_library_and_itself_only(name):
    strangers = {imported for imported in _imports(name) if imported.partition(".")[0] not in sys.stdlib_module_names}
    assert not {imported for imported in strangers if imported != "tasks.guard" and not imported.startswith("tasks.guard.")}


@pytest.mark.parametrize("name", [name for name in LIGHT if name in MODULES])
def test_heavy_packages_are_imported_only_when_they_are_needed(name):
    heavy = {package: by for package, by in _dragged_in(name).items() if package in LIGHT[name]}
    assert not heavy


SOURCES = sorted([*MODULES.values(), *(ROOT / "broker" / "lua").glob("*.lua")])


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_has_at_most_350_lines(file):
    assert len(file.read_text().splitlines()) <= MAX_LINES


def test_every_package_is_shipped_and_every_shipped_package_exists():
    here = {".".join(file.parent.relative_to(ROOT).parts) for file in MODULES.values()}
    assert here == set(PACKAGES)


def test_every_data_file_of_a_package_is_shipped():
    promised = PROJECT["tool"]["setuptools"]["package-data"].items()
    shipped = {file for package, patterns in promised for pattern in patterns for file in _glob(package, pattern)}
    data = {file for floor in FLOORS for suffix in ("lua", "sh", "toml") for file in (ROOT / floor).rglob(f"*.{suffix}")}
    assert data == shipped


def _glob(package: str, pattern: str) -> Iterator[Path]:
    return ROOT.joinpath(*package.split(".")).glob(pattern)


def test_every_package_says_what_it_is_for_and_holds_no_logic():
    for name in PACKAGES:
        tree = ast.parse(MODULES[name].read_text())
        assert ast.get_docstring(tree), name
        assert not [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.For | ast.While)], name
