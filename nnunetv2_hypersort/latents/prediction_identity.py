"""What two predictions must have in common to be one: stated in the output folder, compared before it is continued."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents.chosen_latent import ChosenLatent
from nnunetv2_hypersort.nnunet.plans import PLANS_SECTION

ACCOUNT_KEY = "prediction"
"""Key of the account of a prediction in our section of the plans in its output folder."""

VERSION = 2
"""Of the account. The first stated latents alone, and no version."""

_OF_NO_PREDICTION = (PLANS_SECTION, "configurations", "continue_training")
_LABEL_KEYS = ("labels", "regions_class_order", "channel_names", "modality", "file_ending")


@dataclass(frozen=True)
class PredictionIdentity:
    """All that a prediction depends on beside the images.

    Attributes:
        choice: The latent as it was asked for.
        latents: One for each fold.
        weights: SHA-256 of the trained weights of each fold, hexadecimal, in the same order.
        plans: SHA-256 of what a prediction takes from the plans, and of the settings of the training.
        dataset: SHA-256 of what `dataset.json` says of labels and channels, or None where that is not known.
    """

    choice: str
    latents: tuple[ChosenLatent, ...]
    weights: tuple[str, ...]
    plans: str
    dataset: str | None

    @classmethod
    def of(
        cls,
        choice: object,
        latents: Sequence[ChosenLatent],
        weights: Sequence[str],
        plans: Mapping[str, Any],
        configuration: Mapping[str, Any],
        dataset_json: Mapping[str, Any] | None,
    ) -> "PredictionIdentity":
        """Take the identity of a prediction.

        Args:
            choice: The latent as it was asked for.
            latents: One for each fold.
            weights: SHA-256 of the trained weights of each fold.
            plans: Content of the model's `plans.json`.
            configuration: The configuration in it that predicts, with all that it inherits.
            dataset_json: Content of its `dataset.json`, if it is known.
        """
        planned = {key: value for key, value in plans.items() if key not in _OF_NO_PREDICTION}
        # The batch is the training's alone.
        planned["configuration"] = {key: value for key, value in configuration.items() if key != "batch_size"}
        planned["settings"] = plans.get(PLANS_SECTION, {}).get("settings")
        described = None if dataset_json is None else _digest({key: dataset_json.get(key) for key in _LABEL_KEYS})
        return cls(str(choice), tuple(latents), tuple(weights), _digest(planned), described)

    def state_in(self, plans: dict[str, Any]) -> None:
        """Write the account into plans, which nnU-Net copies into the output folder of a prediction."""
        plans.setdefault(PLANS_SECTION, {})[ACCOUNT_KEY] = {
            "version": VERSION,
            "latent": self.choice,
            "folds": {
                latent.fold: {
                    "coordinates": [float(value) for value in latent.coordinates],
                    "origin": latent.origin,
                    "weights": weights,
                }
                for latent, weights in zip(self.latents, self.weights, strict=True)
            },
            "plans": self.plans,
            "dataset": self.dataset,
        }

    def refuse_other(self, output_folder: Path, *, continuing: bool = True) -> None:
        """Refuse to put segmentations beside those that were made with something else.

        A prediction that a former version began, which stated latents alone, goes on where they agree, with a note.

        Args:
            output_folder: The folder of the prediction; one without a `plans.json` holds no prediction yet.
            continuing: Whether a prediction is to be continued; else segmentations of other cases lie there.

        Raises:
            HyperSORTError: Latents, folds, weights, plans, settings or labels differ, or the account cannot be read.
        """
        begun = _account_of(output_folder / "plans.json")
        if begun is None:
            return
        try:
            version, others = begun.get("version", 1), self._differences(begun)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise HyperSORTError(
                f"The account of the prediction in {output_folder / 'plans.json'} is damaged ({type(error).__name__}: "
                f"{error}); choose an empty output folder."
            ) from error
        if others:
            raise HyperSORTError(
                f"The prediction in {output_folder} was begun with {others[0]}. "
                f"{'Continue' if continuing else 'It has other cases: add to them'} with "
                f"`--latent={begun.get('latent', 'mode')}` and the same model, checkpoints and folds, or choose an "
                f"empty output folder."
            )
        if version == 1:
            print(
                f"HyperSORT: the prediction in {output_folder} was begun by a former version, which stated latents "
                f"alone. They agree; whether weights, plans and labels are the same is not known."
            )

    def refuse_mixture(self, output_folder: Path, cases: Collection[str], file_ending: str) -> None:
        """Refuse to put segmentations beside those of other cases that were made with something else.

        Args:
            output_folder: The folder of the prediction.
            cases: The cases that are about to be segmented.
            file_ending: That of the segmentations, with its dot.

        Raises:
            HyperSORTError: See `refuse_other`.
        """
        there = {path.name.removesuffix(file_ending) for path in output_folder.glob(f"*{file_ending}")}
        if not there <= set(cases):
            self.refuse_other(output_folder, continuing=False)

    def _differences(self, begun: Mapping[str, Any]) -> list[str]:
        version, folds = begun.get("version", 1), begun["folds"]
        if version > VERSION:
            return [f"a newer version of this package (account {version}; this one knows {VERSION})"]
        own = {latent.fold: latent for latent in self.latents}
        before = {fold: _as_chosen(fold, entry) for fold, entry in folds.items()}
        same = before.keys() == own.keys() and all(
            there.coordinates.shape == own[fold].coordinates.shape
            and np.allclose(there.coordinates, own[fold].coordinates, rtol=0, atol=1e-6)
            for fold, there in before.items()
        )
        if not same:
            return [f"another latent ({'; '.join(map(str, before.values()))}; now {'; '.join(map(str, self.latents))})"]
        if version == 1:
            return []
        trained = dict(zip(own, self.weights, strict=True))
        others = [f"other weights of fold {fold}" for fold in own if folds[fold]["weights"] != trained[fold]]
        if begun["plans"] != self.plans:
            others.append("other plans or settings of the training")
        if None not in (begun["dataset"], self.dataset) and begun["dataset"] != self.dataset:
            others.append("other labels or channels in dataset.json")
        return others


def _as_chosen(fold: str, entry: Mapping[str, Any]) -> ChosenLatent:
    return ChosenLatent(fold, np.array(entry["coordinates"], float), str(entry["origin"]))


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _account_of(plans_file: Path) -> dict[str, Any] | None:
    try:
        section = json.loads(plans_file.read_text(encoding="utf-8")).get(PLANS_SECTION, {})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise HyperSORTError(
            f"{plans_file} cannot be read ({error}), so the latent of the prediction there is unknown; choose an "
            f"empty output folder."
        ) from error
    account = section.get(ACCOUNT_KEY) if isinstance(section, dict) else None
    if not isinstance(account, dict):
        raise HyperSORTError(
            f"The prediction in {plans_file.parent} was not made with a HyperSORT model, so it cannot be continued "
            f"with one; choose an empty output folder."
        )
    return account
