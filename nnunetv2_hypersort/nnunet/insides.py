"""What this package relies on inside nnU-Net beyond what it documents: each reliance once, by name.

Each is looked up when it is needed first, before any work, and one that is gone ends in a sentence.
"""

import argparse
import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError

FOLDS_ATTRIBUTE = "list_of_parameters"
"""Attribute of nnU-Net's predictor with the weights of all folds, one state dict each."""

_CONTINUING = "to see which prediction is continued"


@dataclass(frozen=True)
class OpeningPredictor:
    """A predictor of nnU-Net that is opening a model folder further up the call stack.

    Attributes:
        predictor: The predictor.
        model_folder: The folder.
    """

    predictor: Any
    model_folder: Path

    @property
    def folds(self) -> list[Any] | None:
        """The list that the predictor takes the weights of all folds from, or None if it has none."""
        folds = getattr(self.predictor, FOLDS_ATTRIBUTE, None)
        return folds if isinstance(folds, list) else None


@dataclass(frozen=True)
class PredictingCommand:
    """What a command of nnU-Net's was asked to predict.

    Attributes:
        images: Folder with the images.
        output: Folder for the segmentations.
        continues: Whether cases that are already segmented are left alone.
        part: Which of the cases, in the order of their names, are this call's.
    """

    images: Path
    output: Path
    continues: bool
    part: slice


def refuse_unknown_predictor() -> None:
    """Raise if nnU-Net's predictor has not what `opening_predictor` and `predicting_command` look for.

    Raises:
        HyperSORTError: Something is gone; the message names it.
    """
    _opening_code()
    _entry_points()


def opening_predictor() -> OpeningPredictor | None:
    """The predictor that is opening a model folder, further up the call stack, or None.

    nnU-Net hands a network nothing but the weights of one fold at a time. The predictor has read all folds before it
    hands over the first: its method's first two arguments are itself and the folder.
    """
    frame = _frame_of(_opening_code())
    if frame is None:
        return None
    predictor, model_folder = (frame.f_locals[name] for name in frame.f_code.co_varnames[:2])
    return OpeningPredictor(predictor, Path(model_folder))


def predicting_command() -> PredictingCommand | None:
    """The prediction that a command of nnU-Net's was called for, further up the call stack, or None.

    It stands in what the command has parsed, whatever that variable is called.
    """
    frame = _frame_of(*_entry_points())
    if frame is None:
        return None
    for parsed in frame.f_locals.values():
        if isinstance(parsed, argparse.Namespace) and {"i", "o", "continue_prediction"} <= vars(parsed).keys():
            # The command for model folders knows no parts.
            part = slice(getattr(parsed, "part_id", 0), None, getattr(parsed, "num_parts", 1))
            return PredictingCommand(Path(parsed.i), Path(parsed.o), parsed.continue_prediction, part)
    raise _gone("-i, -o and --continue_prediction in its prediction commands", _CONTINUING)


def pretrained_weights_being_taken() -> Mapping[str, Any] | None:
    """The network weights of a file that nnU-Net is comparing with a network's own (`-pretrained_weights`), or None."""
    from nnunetv2.run import load_pretrained_weights as module

    code = _code(module, "load_pretrained_weights", "to say what to do with weights that do not fit")
    frame = _frame_of(code, depth=4)
    for loaded in () if frame is None else frame.f_locals.values():
        if isinstance(loaded, Mapping) and isinstance(loaded.get("network_weights"), Mapping):
            weights: Mapping[str, Any] = loaded["network_weights"]
            return weights
    return None


@contextmanager
def built_network_becomes(trainer: Any, change: Callable[..., Any]) -> Iterator[None]:
    """Let a trainer train what `change` makes of the network that it builds, for the length of a `with` block.

    nnU-Net's trainer calls `self.build_network_architecture` when it is initialised, and its predictor calls the same
    function of the class; a network to be trained may be another one than the network to predict with.

    Args:
        trainer: A trainer that is initialised in the block.
        change: Called with the network and with the arguments that it was built from.

    Raises:
        HyperSORTError: nnU-Net's trainer builds its network in another way, or this one by a function of old.
    """
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    name, purpose = "build_network_architecture", "to train the network with what surrounds it"
    if name not in _code(nnUNetTrainer, "initialize", purpose).co_names:
        raise _gone(f"call of {name} in nnUNetTrainer.initialize", purpose)
    build = getattr(trainer, name)
    if "plans_manager" not in inspect.signature(build).parameters:
        raise HyperSORTError(
            f"{type(trainer).__name__}.{name} takes what nnU-Net no longer hands over; give it the arguments "
            f"plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision."
        )

    # nnU-Net looks at the names of the arguments.
    @functools.wraps(build)
    def build_and_change(*args: Any, **kwargs: Any) -> Any:
        return change(build(*args, **kwargs), *args, **kwargs)

    setattr(trainer, name, build_and_change)
    try:
        yield
    finally:
        delattr(trainer, name)


def _opening_code() -> CodeType:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    return _code(nnUNetPredictor, "initialize_from_trained_model_folder", "to see all folds of a prediction at once")


def _entry_points() -> tuple[CodeType, ...]:
    from nnunetv2.inference import predict_from_raw_data

    names = ("predict_entry_point", "predict_entry_point_modelfolder")
    return tuple(_code(predict_from_raw_data, name, _CONTINUING) for name in names)


def _code(owner: Any, name: str, purpose: str) -> CodeType:
    code = getattr(inspect.unwrap(getattr(owner, name, None)), "__code__", None)  # type: ignore[arg-type]  # None passes
    if not isinstance(code, CodeType):
        raise _gone(f"{owner.__name__}.{name}", purpose)
    return code


def _gone(what: str, purpose: str) -> HyperSORTError:
    return HyperSORTError(
        f"nnU-Net {version('nnunetv2')} has no {what}, which this package needs {purpose}; install an nnU-Net that "
        f"this version is tested with (docs/modes.md, Versions)."
    )


def _frame_of(*codes: CodeType, depth: int | None = None) -> FrameType | None:
    """The nearest frame up the call stack, at most `depth` away, that runs one of these."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (depth is None or depth > 0):
        if frame.f_code in codes:
            return frame
        frame, depth = frame.f_back, None if depth is None else depth - 1
    return None
