"""The import graph: arrows point downwards only, and no module is long."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "nnunetv2_hypersort"
# From top to bottom, as CONTRIBUTING.md lists them. A room may import rooms below it, and itself.
ROOMS = (
    "cli",
    "ext_trainer",
    "demo",
    "report",
    "ranking",
    "fitting",
    "handover",
    "styles",
    "prediction",
    "model",
    "trainers.lookup",
    "trainers.hypersort",
    "trainers.partial_labels",
    "trainers.base",
    "latents",
    "dataset_conversion",
    "perturbation",
    "conversion",
    "evaluation",
    "hypernetwork",
    "nnunet",
    "images",
    "configs",
    "settings",
    "files",
    "errors",
    "moved",
    "",
)


def modules() -> dict[str, Path]:
    """Every module of the package as installed, by its name without the package."""
    tops = {"": ROOT / PACKAGE, **{name: ROOT / name for name in ("dataset_conversion", "configs")}}
    found = {}
    for prefix, folder in tops.items():
        for path in folder.rglob("*.py"):
            parts = [part for part in (prefix, *path.relative_to(folder).with_suffix("").parts) if part]
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imports(path: Path, known: set[str]) -> set[str]:
    """What a module imports of the package, imports inside functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] == PACKAGE:
            module = (node.module or "").partition(".")[2]
            names = {f"{module}.{alias.name}".lstrip(".") for alias in node.names}
            found |= {name if name in known else module for name in names}
        elif isinstance(node, ast.Import):
            found |= {a.name.partition(".")[2] for a in node.names if a.name.split(".")[0] == PACKAGE}
    return found


def room(module: str) -> str:
    return next(name for name in ROOMS if module == name or module.startswith(f"{name}.") or name == "")


# Packages that only gather their parts under one name.
GATHERING = {"trainers": "trainers.hypersort"}


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    found = modules()
    return {module: imports(path, set(found)) for module, path in found.items()}


def test_every_module_is_in_a_room(graph):
    assert [module for module in graph if module and not room(GATHERING.get(module, module))] == []


def test_no_arrow_points_upwards(graph):
    def depth(module: str) -> int:
        return ROOMS.index(room(GATHERING.get(module, module)))

    wrong = [
        f"{module} -> {target}"
        for module, targets in sorted(graph.items())
        for target in sorted(targets)
        if module and target and depth(target) < depth(module)
    ]
    assert wrong == []


def test_no_cycle_of_modules(graph):
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"cycle: {' -> '.join((*path[path.index(module) :], module))}"
        if module in done:
            return
        for target in sorted(graph.get(module, ())):
            # A package's __init__ gathers its parts; what its parts import of each other is their own edge.
            if target != module.rpartition(".")[0]:
                visit(target, (*path, module))
        done.add(module)

    for module in sorted(graph):
        visit(module, ())


def test_no_module_is_long():
    long = {module: count for module, path in modules().items() if (count := len(path.read_text().splitlines())) >= 350}
    assert long == {}
