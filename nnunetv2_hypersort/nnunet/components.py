"""What plans name of nnU-Net itself: readers, preprocessors, normalisations, label managers, resampling functions."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import nnunetv2
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.preprocessing.normalization.default_normalization_schemes import ImageNormalization
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunetv2_hypersort.errors import HyperSORTError

_RESAMPLING = "preprocessing.resampling"


def refuse_foreign_components(plans: Mapping[str, Any], configuration: str, *, source: object) -> None:
    """Raise if plans name as a part of nnU-Net what is none.

    nnU-Net calls whatever its modules have under that name, and they have all that they import.

    Args:
        plans: nnU-Net's plans; their names are words (see `names.check_plans_names`).
        configuration: The configuration to be used.
        source: Where the plans are from; named in errors.

    Raises:
        HyperSORTError: There is no such part of nnU-Net, or the plans have no such configuration.
    """
    try:
        planned = PlansManager(dict(plans)).get_configuration(configuration).configuration
    except (LookupError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise HyperSORTError(
            f"{source} does not plan the configuration {configuration} ({type(error).__name__}: {str(error)[:200]}); "
            f"restore it."
        ) from error
    for what, name, folder, is_one in _named(plans, planned):
        if not isinstance(name, str) or not is_one(_find(folder, name)):
            raise HyperSORTError(
                f"{what} in {source} is {ascii(name)[:100]}, and nnU-Net has none of that name in nnunetv2.{folder}; "
                f"restore the file, or install the version of nnU-Net that has it."
            )


def _named(
    plans: Mapping[str, Any], planned: Mapping[str, Any]
) -> Iterator[tuple[str, Any, str, Callable[[Any], bool]]]:
    yield "image_reader_writer", plans.get("image_reader_writer"), "imageio", _is_a(BaseReaderWriter)
    if "label_manager" in plans:
        yield "label_manager", plans["label_manager"], "utilities.label_handling", _is_a(LabelManager)
    yield "preprocessor_name", planned.get("preprocessor_name"), "preprocessing", _is_a(DefaultPreprocessor)
    schemes = planned.get("normalization_schemes")
    for scheme in schemes if isinstance(schemes, list | tuple) else [schemes]:
        yield "normalization_schemes", scheme, "preprocessing.normalization", _is_a(ImageNormalization)
    for key in ("resampling_fn_data", "resampling_fn_seg", "resampling_fn_probabilities"):
        yield key, planned.get(key), _RESAMPLING, _resamples


def _find(folder: str, name: str) -> Any:
    place = Path(nnunetv2.__path__[0]).joinpath(*folder.split("."))
    return recursive_find_python_class(str(place), name, f"nnunetv2.{folder}")


def _is_a(kind: type) -> Callable[[Any], bool]:
    return lambda found: isinstance(found, type) and issubclass(found, kind)


def _resamples(found: Any) -> bool:
    return inspect.isfunction(found) and found.__module__.startswith(f"nnunetv2.{_RESAMPLING}.")
