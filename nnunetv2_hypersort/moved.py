"""Old names of modules that moved: they import the module of today, with a warning.

Only names that the documentation gave are here.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from types import CodeType, ModuleType

_PACKAGE = __name__.rpartition(".")[0]
MOVED = {
    "dataset_conversion.perturb": "perturbation.perturb",
    "dataset_conversion.settings": "conversion.settings",
    "small_plan": "demo.small_plan",
    "styles.export": "handover.export",
    "styles.fit": "fitting.fit",
    "styles.harmonise": "handover.harmonise",
    "styles.rank": "ranking.rank",
    "trainers.hypersort_trainer": "trainers.hypersort.hypersort_trainer",
    "trainers.variants": "trainers.hypersort.variants",
}
"""Old name to new name, both without the package."""


class _MovedModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, _, name = fullname.partition(".")
        if package != _PACKAGE or name not in MOVED:
            return None
        today = importlib.util.find_spec(_new_name(fullname))
        # `python -m` takes the name of the program from the origin.
        return importlib.machinery.ModuleSpec(fullname, self, origin=today.origin if today is not None else None)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        new = _new_name(spec.name)
        warnings.warn(f"{spec.name} is {new} now; import it by that name.", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(new)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The module has run under its name of today; the import system gave it the old one's spec.
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state

    def get_code(self, fullname: str) -> CodeType | None:
        """The code of the module of today, for `python -m`."""
        new = _new_name(fullname)
        spec = importlib.util.find_spec(new)
        loader = spec.loader if spec is not None else None
        return loader.get_code(new) if isinstance(loader, importlib.abc.InspectLoader) else None


def _new_name(old: str) -> str:
    return f"{_PACKAGE}.{MOVED[old.partition('.')[2]]}"


def find_moved_modules() -> None:
    """Let Python find modules by their old names, after all other ways of finding them."""
    sys.meta_path.append(_MovedModules())
