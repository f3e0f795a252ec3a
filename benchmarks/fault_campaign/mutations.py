"""Damaged files of a trained model, opened through every code path of ours that reads them."""

import json
import random
import shutil
import signal
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents import LatentChoice
from nnunetv2_hypersort.model import ModelFolder
from nnunetv2_hypersort.nnunet.checksum import weights_checksum
from nnunetv2_hypersort.prediction.predicting_model import PredictingModel
from nnunetv2_hypersort.settings import Settings, load_settings
from nnunetv2_hypersort.trainers.base.newest_checkpoint import read_training_checkpoint
from nnunetv2_hypersort.trainers.base.stored_settings import refuse_differences, resolve_settings

CHECKPOINT, CONFIG = "fold_0/checkpoint_final.pth", "config.yaml"
# File: how many of 20 mutations it gets.
FILES = {CHECKPOINT: 13, "plans.json": 3, "dataset.json": 2, CONFIG: 2}
LONGEST = 60
"""Seconds after which reading a damaged file counts as hanging."""


@dataclass
class MutationCounts:
    """What became of damaged files.

    Attributes:
        outcomes: By file, mutation and outcome: `refused` in one sentence, or `the same model`.
        failures: What went wrong, in words; empty if every file was refused or made no difference.
    """

    outcomes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class _TooLongError(Exception):
    pass


def mutate_files(count: int, model_folder: Path, scratch: Path, *, seed: int = 0) -> MutationCounts:
    """Damage one file of a model at a time, open the model, and compare what is opened with the undamaged model.

    The code paths: `ModelFolder.open` and its network (what every verb of ours starts with), the checks before
    `hypersort predict`, what `--c` reads, the settings of a training that goes on, and HYPERSORT_CONFIG.

    Args:
        count: How many mutations.
        model_folder: A trained-model folder with `fold_0/checkpoint_final.pth`.
        scratch: A folder to be made, for the damaged model.
        seed: Of the mutations.

    Returns:
        The counts.
    """
    draw = random.Random(seed)
    (scratch / "fold_0").mkdir(parents=True)
    whole = {name: (model_folder / name).read_bytes() for name in (CHECKPOINT, "plans.json", "dataset.json")}
    settings = ModelFolder.open(model_folder, folds=[0]).settings
    whole[CONFIG] = json.dumps(settings.to_dict(), indent=2).encode()
    for name, content in whole.items():
        (scratch / name).write_bytes(content)
    expected = _model(scratch)
    counts = MutationCounts()
    names = [name for name, share in FILES.items() for _ in range(share)]
    for number in range(count):
        name = names[number % len(names)]
        kind, content = _damaged(whole[name], draw)
        (scratch / name).write_bytes(content)
        outcomes = {path: outcome_of(use) for path, use in _uses(name, scratch, settings, expected).items()}
        # What the first path, that of every verb, made of it.
        counts.outcomes[name, kind, next(iter(outcomes.values()))] += 1
        counts.failures += [
            f"mutation {number + 1}, {kind} {name}, {path}: {outcome}"
            for path, outcome in outcomes.items()
            if outcome not in ("refused", "the same model")
        ]
        (scratch / name).write_bytes(whole[name])
    shutil.rmtree(scratch)
    return counts


def _uses(
    name: str, folder: Path, settings: Settings, expected: tuple[Any, ...]
) -> dict[str, Callable[[], str | None]]:
    """The code paths that read a file; each returns what is wrong with what it read, or None."""

    def open_model() -> str | None:
        return None if _same(_model(folder), expected) else "another model"

    def check_prediction() -> str | None:
        model = PredictingModel.open(folder, [0], LatentChoice.parse("mode"), checkpoint_name="checkpoint_final.pth")
        (latent,) = model.latents
        return None if list(latent.coordinates) == expected[1] else "another latent"

    def continue_training() -> str | None:
        weights = read_training_checkpoint(folder / CHECKPOINT)["network_weights"]
        return None if torch.equal(weights_checksum(weights), expected[2]) else "other weights"

    def settings_of_the_model() -> str | None:
        found, _ = resolve_settings(Settings, None, folder, 0)
        refuse_differences(found, settings, there="the checkpoint")
        return None

    def settings_asked_for() -> str | None:
        # Another valid setting is refused where the training goes on, with both values.
        refuse_differences(load_settings(folder / CONFIG), settings, there="the checkpoint")
        return None

    if name == CONFIG:
        return {"HYPERSORT_CONFIG": settings_asked_for}
    uses = {"open": open_model, "predict": check_prediction}
    if name == CHECKPOINT:
        uses["--c"] = continue_training
    if name == "plans.json":
        uses["settings"] = settings_of_the_model
    return uses


def _model(folder: Path) -> tuple[Any, ...]:
    model = ModelFolder.open(folder, folds=[0])
    fold = model.fold(0)
    network = fold.network()
    stated = {key: model.dataset_json.get(key) for key in ("labels", "channel_names")}
    weights = weights_checksum(network.state_dict())
    return weights, list(fold.record.mode()[1]), _checksum_in_file(folder), fold.mirror_axes, stated, model.settings


def _checksum_in_file(folder: Path) -> torch.Tensor:
    return weights_checksum(read_training_checkpoint(folder / CHECKPOINT)["network_weights"])


def _same(here: tuple[Any, ...], there: tuple[Any, ...]) -> bool:
    return all(
        torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
        for one, other in zip(here, there, strict=True)
    )


def outcome_of(use: Callable[[], str | None]) -> str:
    """What became of using a file: `refused` in one sentence, `the same model`, or what went wrong, in words."""
    try:
        with warnings.catch_warnings(), _limited(LONGEST):
            warnings.simplefilter("ignore")
            wrong = use()
    except HyperSORTError as error:
        text = str(error)
        return "refused" if text and "\n" not in text else f"refused, but not in one sentence: {text!r}"
    except _TooLongError:
        return f"hung for {LONGEST} s"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return wrong or "the same model"


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _damaged(content: bytes, draw: random.Random) -> tuple[str, bytes]:
    kind = draw.choice(["truncated", "empty", "foreign", *["one bit flipped"] * 4, "some bits flipped", "cut out"])
    place = draw.randrange(len(content))
    if kind == "truncated":
        return kind, content[:place]
    if kind == "empty":
        return kind, b""
    if kind == "foreign":
        return kind, draw.choice(FOREIGN)
    if kind == "cut out":
        return kind, content[:place] + content[place + draw.randint(1, 64) :]
    changed = bytearray(content)
    for _ in range(1 if kind == "one bit flipped" else draw.randint(2, 16)):
        changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return kind, bytes(changed)


FOREIGN = [
    b"\x89PNG\r\n\x1a\n" + bytes(200),
    b"\x1f\x8b\x08" + bytes(100),
    b"PK\x05\x06" + bytes(18),
    b"\x80\x04]\x94.",
    b"[]",
    b"null",
    b"7",
    b'{"a": 1}',
    b"[" * 100_000,
    b"\xff\xfe\x00",
    b"a: &a [*a, *a]\nlatent: *a\n",
    "plans: é\n".encode("latin-1"),
]
