"""What makes nnU-Net's planned network take the weights of a HyperSORT training."""

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents import (
    LATENT_VARIABLE,
    ChosenLatent,
    FoldRecord,
    LatentChoice,
    StyleBook,
    choose_latents,
)
from nnunetv2_hypersort.latents.fold_record import RECORD_KEY
from nnunetv2_hypersort.latents.prediction_identity import PredictionIdentity
from nnunetv2_hypersort.latents.style_book import STYLES_KEY
from nnunetv2_hypersort.latents.styles_file import read_styles
from nnunetv2_hypersort.nnunet import insides
from nnunetv2_hypersort.nnunet.checksum import refuse_changed_weights
from nnunetv2_hypersort.nnunet.image_names import case_names
from nnunetv2_hypersort.nnunet.plans import PLANS_SECTION, read_dataset_json
from nnunetv2_hypersort.trainers.hypersort.plain_weights import are_of_training, plain_weights
from nnunetv2_hypersort.trainers.hypersort.planned_network import PlannedHyperNetwork, settings_of_training

_ATTRIBUTE = "weight_translator"


@dataclass(frozen=True)
class _Fold:
    record: FoldRecord
    digest: str
    latent: ChosenLatent


class WeightTranslator:
    """A hook of `load_state_dict`: weights of a HyperSORT training become those of one latent, others stay.

    nnU-Net's predictor builds a network from the plans alone and hands it the weights of each fold. So the network it
    builds is the planned one, and this hook all that is added. Its state dict is plain nnU-Net's and loads back; a
    copy of it, in this process or another, predicts as it does.

    The latent is what HYPERSORT_LATENT says when the hook is made. It stays so: each fold's latent depends on it, on
    the fold and on the styles in the plans, not on what was loaded before.

    Args:
        plans: nnU-Net's plans. The account of the prediction is entered there, since nnU-Net copies the plans into the
            output folder.
        configuration: The configuration in them that predicts, with all that it inherits.

    Raises:
        HyperSORTError: The plans are not those of a HyperSORT training, or nnU-Net has not what this relies on.
    """

    def __init__(self, plans: dict[str, Any], configuration: Mapping[str, Any]) -> None:
        insides.refuse_unknown_predictor()
        self._plans, self._configuration = plans, configuration
        self._settings = settings_of_training(plans)
        # Read where it is needed: `hypersort styles` mends damaged ones, and builds a network for that.
        self._styles = plans[PLANS_SECTION].get(STYLES_KEY, [])
        self._asked = os.environ.get(LATENT_VARIABLE, "")
        self._folds: dict[str, _Fold] = {}
        self._is_alone = False
        self._dataset_json: Mapping[str, Any] | None = None

    def __call__(self, network: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
        """Replace the weights of a training in `state_dict`, under `prefix`.

        Raises:
            HyperSORTError: The latent cannot be had in one of the folds, HYPERSORT_LATENT has changed, the weights are
                not those that the training saved, or the prediction to be continued was begun with others.
        """
        given = {name[len(prefix) :]: value for name, value in state_dict.items() if name.startswith(prefix)}
        if not are_of_training(given):
            return
        plain = self._translated(network, given)
        for name in given:
            del state_dict[prefix + name]
        state_dict.update({prefix + name: value for name, value in plain.items()})

    def _translated(self, network: nn.Module, given: Mapping[str, Any]) -> Mapping[str, torch.Tensor]:
        self._refuse_changed_choice()
        opening = insides.opening_predictor()
        listed = None if opening is None else opening.folds
        places = [] if listed is None else [place for place, fold in enumerate(listed) if _are_same(fold, given)]
        if opening is None or listed is None or not places:
            self._is_alone = self._is_alone or opening is not None
            self._take([given])
            return self._plain(network, given)
        # All folds at once: what one of them cannot serve is refused before any work, and none is translated again
        # for each case.
        self._dataset_json = read_dataset_json(opening.model_folder / "dataset.json")
        # Names may have been changed in styles.json since the plans were derived from it.
        self._styles = read_styles(opening.model_folder).book.to_plans_section()
        self._take(listed)
        for place, weights in enumerate(listed):
            listed[place] = self._plain(network, weights)
        plain: Mapping[str, torch.Tensor] = listed[places[0]]
        return plain

    def _take(self, weights: Sequence[Mapping[str, Any]]) -> None:
        """Find the latents of folds, all or none, and state them in the plans."""
        come = [_record_of(state) for state in weights]
        self._refuse_second(come)
        records = {fold: known.record for fold, known in self._folds.items()}
        records.update({record.fold: record for record in come})
        book = StyleBook.from_plans({PLANS_SECTION: {STYLES_KEY: self._styles}})
        chosen = choose_latents(LatentChoice.parse(self._asked), list(records.values()), book)
        digests = {fold: known.digest for fold, known in self._folds.items()} | _digests(come, weights)
        folds = {latent.fold: _Fold(records[latent.fold], digests[latent.fold], latent) for latent in chosen}
        identity = self._identity_of(folds)
        self._refuse_mixture(identity)
        self._announce(folds)
        self._folds = folds
        identity.state_in(self._plans)

    def _refuse_second(self, come: Sequence[FoldRecord]) -> None:
        if self._is_alone and self._folds and any(record.fold not in self._folds for record in come):
            raise HyperSORTError(
                f"nnU-Net's predictor has no list `{insides.FOLDS_ATTRIBUTE}`, as it has in the versions that this "
                f"package is tested with, so only one fold can predict (fold {', '.join(self._folds)} was first); "
                f"choose one with `-f`, or use `hypersort predict`."
            )

    def _identity_of(self, folds: Mapping[str, _Fold]) -> PredictionIdentity:
        return PredictionIdentity.of(
            LatentChoice.parse(self._asked),
            [fold.latent for fold in folds.values()],
            [fold.digest for fold in folds.values()],
            self._plans,
            self._configuration,
            self._dataset_json,
        )

    def _refuse_mixture(self, identity: PredictionIdentity) -> None:
        command = insides.predicting_command()
        if command is None:
            return
        if command.continues:
            identity.refuse_other(command.output)
        if self._dataset_json is None:
            return
        ending = str(self._dataset_json.get("file_ending"))
        cases = case_names(command.images, ending)[command.part]
        identity.refuse_mixture(command.output, cases, ending)

    def _announce(self, folds: Mapping[str, _Fold]) -> None:
        known = {fold.digest for fold in self._folds.values()}
        new = [fold for fold in folds.values() if fold.digest not in known]
        for fold in new:
            print(f"HyperSORT: {fold.latent}")
        if new and LatentChoice.parse(self._asked) == LatentChoice():
            warn_of_modes([fold.latent for fold in folds.values()])

    def _plain(self, network: nn.Module, weights: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        record = _record_of(weights)
        latent = self._folds[record.fold].latent
        return plain_weights(network, self._settings, weights, latent.coordinates, source=_source(record))

    def _refuse_changed_choice(self) -> None:
        made_for, now = (LatentChoice.parse(text) for text in (self._asked, os.environ.get(LATENT_VARIABLE, "")))
        if now != made_for:
            raise HyperSORTError(
                f"This network was built to predict with the latent {made_for}, and {LATENT_VARIABLE} says {now} now; "
                f"set it back, or build the predictor anew."
            )


def translating(network: nn.Module, plans: dict[str, Any], configuration: Mapping[str, Any]) -> nn.Module:
    """Let a planned network take weights of a HyperSORT training, too.

    Args:
        network: Gets the hook; all else stays.
        plans: See `WeightTranslator`.
        configuration: See `WeightTranslator`.

    Raises:
        HyperSORTError: See `WeightTranslator`.
    """
    translator = WeightTranslator(plans, configuration)
    network.register_load_state_dict_pre_hook(translator)
    setattr(network, _ATTRIBUTE, translator)
    return network


def for_training(
    network: nn.Module,
    plans_manager: Any,
    _configuration_manager: Any,
    _input_channels: int,
    _output_channels: int,
    enable_deep_supervision: bool = True,
) -> PlannedHyperNetwork:
    """Put generator and latents around the network that a trainer builds for prediction.

    Args:
        network: What `build_network_architecture` of the trainer returned.
        plans_manager: nnU-Net's view of the plans; this and the rest are what the network was built from.
        enable_deep_supervision: Whether the loss reaches the heads of the decoder's lower levels.

    Raises:
        HyperSORTError: A subclass of the trainer builds a network that could not predict with the trained weights, or
            the network normalises over the batch.
    """
    if not isinstance(getattr(network, _ATTRIBUTE, None), WeightTranslator):
        raise HyperSORTError(
            f"This trainer's build_network_architecture returns a {type(network).__name__} that HyperSORTTrainer's "
            f"own did not build, and that could not predict with what is trained; call that one, change the network "
            f"it returns in place, and return it."
        )
    trained = PlannedHyperNetwork.from_plans(network, plans_manager.plans)
    if not enable_deep_supervision:
        trained.freeze_lower_heads()
    return trained


def warn_of_modes(chosen: Sequence[ChosenLatent]) -> None:
    """Warn that the modes of several folds need not be one style; call it for modes only."""
    if len(chosen) > 1 and any(latent.style is None for latent in chosen):
        warnings.warn(
            "The mode of each fold is used; modes of different folds may be different annotation styles. "
            "`hypersort styles` finds styles that all folds share (`style:NAME`); `case:ID` names one style in "
            "each fold that trained the case.",
            stacklevel=2,
        )


def _are_same(fold: Any, given: Mapping[str, Any]) -> bool:
    # load_state_dict hands on a copy of the dictionary, with the same tensors.
    return isinstance(fold, Mapping) and RECORD_KEY in fold and fold[RECORD_KEY] is given.get(RECORD_KEY)


def _record_of(weights: Mapping[str, Any]) -> FoldRecord:
    stated = weights.get(RECORD_KEY)
    if isinstance(stated, torch.Tensor) and stated.dtype != torch.uint8:
        raise HyperSORTError(
            "These weights are a mean or another mixture of HyperSORT trainings, and no network: each training has "
            "latents of its own. Average what `state_dict()` of predicting networks gives instead."
        )
    return FoldRecord.from_network_weights(weights)


def _digests(records: Sequence[FoldRecord], weights: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    digests: dict[str, str] = {}
    for record, state in zip(records, weights, strict=True):
        digest = refuse_changed_weights(state, source=_source(record))
        if digests.setdefault(record.fold, digest) != digest:
            raise HyperSORTError(
                f"Two checkpoints of fold {record.fold} cannot predict together: they would share one latent in the "
                f"account of the prediction; give one checkpoint for each fold."
            )
    return digests


def _source(record: FoldRecord) -> str:
    return f"the checkpoint of fold {record.fold or '?'}"
