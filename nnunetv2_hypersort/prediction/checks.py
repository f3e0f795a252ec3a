"""What can be wrong with a prediction, found before nnU-Net starts."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents import ChosenLatent, FoldRecord, LatentChoice, StyleBook, choose_latents
from nnunetv2_hypersort.nnunet.checkpoints import read_checkpoint
from nnunetv2_hypersort.nnunet.components import refuse_foreign_components
from nnunetv2_hypersort.nnunet.planned_size import refuse_larger_network
from nnunetv2_hypersort.nnunet.plans import PLANS_SECTION, read_dataset_json, read_plans, refuse_other_plans
from nnunetv2_hypersort.trainers.lookup import find_trainer


def latents_of_prediction(
    model_folder: Path,
    folds: Sequence[int | str],
    choice: LatentChoice,
    *,
    checkpoint_name: str,
    trusted_packages: Sequence[str] = (),
) -> list[ChosenLatent]:
    """Find the latent that each fold will predict with.

    Args:
        model_folder: nnU-Net's trained-model folder, the one that holds `fold_0`.
        folds: Fold numbers, or `all`.
        choice: The chosen latent.
        checkpoint_name: File name of the checkpoint in each fold folder.
        trusted_packages: See `ModelFolder.open`.

    Returns:
        One latent per fold.

    Raises:
        HyperSORTError: A checkpoint is missing, cannot be read or is of another trainer, the plans cannot be read, a
            name in one of the files is a path or not one of a network or of a part of nnU-Net, or the latent cannot
            be had in one of the folds.
    """
    plans_file = model_folder / "plans.json"
    plans = read_plans(plans_file)
    dataset_json = read_dataset_json(model_folder / "dataset.json")
    records = [_record(model_folder, fold, checkpoint_name, plans, dataset_json, trusted_packages) for fold in folds]
    return choose_latents(choice, records, StyleBook.from_plans(plans, source=str(plans_file)))


def refuse_other_latents(output_folder: Path, chosen: Sequence[ChosenLatent]) -> None:
    """Refuse to continue a prediction that was begun with other latents.

    Args:
        output_folder: The folder of the prediction; one without a `plans.json` holds no prediction yet.
        chosen: The latents of the prediction that is about to start.

    Raises:
        HyperSORTError: The folds or their latents differ.
    """
    account = _account_of(output_folder / "plans.json")
    if account is None:
        return
    begun = account.get("folds", {})
    same = begun.keys() == {latent.fold for latent in chosen} and all(
        len(there := begun[latent.fold]["coordinates"]) == len(latent.coordinates)
        and np.allclose(there, latent.coordinates, rtol=0, atol=1e-6)
        for latent in chosen
    )
    if not same:
        before = "; ".join(
            str(ChosenLatent(fold, np.array(entry["coordinates"]), entry["origin"])) for fold, entry in begun.items()
        )
        raise HyperSORTError(
            f"The prediction in {output_folder} was begun with another latent ({before}; now "
            f"{'; '.join(map(str, chosen))}). Continue with `--latent={account.get('latent', 'mode')}` and the same "
            f"folds, or choose an empty output folder."
        )


def _record(
    model_folder: Path,
    fold: int | str,
    checkpoint_name: str,
    plans: dict[str, Any],
    dataset_json: dict[str, Any],
    trusted_packages: Sequence[str],
) -> FoldRecord:
    path = model_folder / f"fold_{fold}" / checkpoint_name
    if not path.is_file():
        there = sorted(
            entry.parent.name.removeprefix("fold_") for entry in model_folder.glob(f"fold_*/{checkpoint_name}")
        )
        raise HyperSORTError(
            f"There is no {path}. Folds of this model with a {checkpoint_name}: {', '.join(there) or 'none'}; choose "
            f"them with `-f`, or another checkpoint with `-chk`."
        )
    checkpoint = read_checkpoint(path)
    record = FoldRecord.from_network_weights(checkpoint["network_weights"], source=str(path))
    started = checkpoint["init_args"]
    refuse_other_plans(plans, dataset_json, started, source=str(path), trusted_packages=trusted_packages)
    configuration = str(started.get("configuration"))
    refuse_foreign_components(plans, configuration, source=model_folder / "plans.json")
    refuse_larger_network(plans, dataset_json, configuration, checkpoint["network_weights"], source=path)
    find_trainer(checkpoint["trainer_name"])
    return record


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
    account = section.get("prediction") if isinstance(section, dict) else None
    if not isinstance(account, dict):
        raise HyperSORTError(
            f"The prediction in {plans_file.parent} was not made with a HyperSORT model, so it cannot be continued "
            f"with one; choose an empty output folder."
        )
    return account
