"""The HyperSORT network as nnU-Net's predictor sees it."""

import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.hypernetwork import (
    BasisGenerator,
    FullGenerator,
    HyperNetwork,
    LatentTable,
    LowRankGenerator,
    ModulationGenerator,
    WeightGenerator,
)
from nnunetv2_hypersort.hypernetwork.latent_table import encode_json
from nnunetv2_hypersort.latents import (
    LATENT_VARIABLE,
    ChosenLatent,
    FoldRecord,
    LatentChoice,
    StyleBook,
    choose_latents,
)
from nnunetv2_hypersort.nnunet.checksum import CHECKSUM_KEY, refuse_changed_weights, weights_checksum
from nnunetv2_hypersort.nnunet.plans import PLANS_SECTION
from nnunetv2_hypersort.settings import GeneratorKind, Settings


@dataclass
class _Fold:
    """One fold of a prediction: what nnU-Net loads again for every case, and what it becomes."""

    weights: Mapping[str, Any]
    record: FoldRecord
    primary: dict[str, torch.Tensor] | None = None


class PlannedHyperNetwork(HyperNetwork):
    """A HyperSORT network built from nnU-Net plans.

    nnU-Net's predictor hands a network nothing but the plans and, once at the start and again for each case, the
    weights of each fold. So here loading weights means: find the chosen latent of that fold, write the weights it
    generates into the primary network, and keep them for the next case. A trainer switches that off with
    `for_prediction = False` and then loads and saves the weights as they are. The state dict of a network that predicts
    is not for saving: its primary network holds the weights of the latent.

    Args:
        primary: The planned network.
        settings: The settings of the training.
        plans: nnU-Net's plans; the latents of a prediction are entered there, since nnU-Net copies the plans into the
            output folder of a prediction.
    """

    record: torch.Tensor

    def __init__(self, primary: nn.Module, settings: Settings, plans: dict[str, Any]) -> None:
        def make_generator(
            parameters: Mapping[str, torch.Tensor], affine: Mapping[str, torch.Tensor]
        ) -> WeightGenerator:
            return _make_generator(settings, parameters, affine)

        super().__init__(primary, make_generator, LatentTable(settings.latent.dim))
        self.register_buffer("record", encode_json({}))
        self.for_prediction = True
        self._states_checksum = False
        self._plans = plans
        self._folds: dict[int, _Fold] = {}
        # Table, gathered gradients and record are kept equal on all processes by the trainer; DistributedDataParallel
        # would send them around at each step. torch.compile puts `_orig_mod.` before the names.
        trainers = ("latents.", "case_gradients.", "record")
        private = [name for name, _ in self.named_buffers() if name.startswith(trainers)]
        self._ddp_params_and_buffers_to_ignore = [*private, *(f"_orig_mod.{name}" for name in private)]

    @classmethod
    def from_plans(cls, primary: nn.Module, plans: dict[str, Any]) -> "PlannedHyperNetwork":
        """Build the network that the plans describe.

        Raises:
            HyperSORTError: The plans are not those of a HyperSORT training, or the primary network normalises over the
                batch.
        """
        section = plans.get(PLANS_SECTION)
        if not isinstance(section, Mapping) or "settings" not in section:
            raise HyperSORTError(
                "The plans hold no HyperSORT settings, so they are not those beside a HyperSORT checkpoint; take the "
                "plans.json of the trained-model folder (the one that holds fold_0)."
            )
        _refuse_batch_normalisation(primary)
        return cls(primary, Settings.from_dict(section["settings"], source="plans.json: hypersort.settings"), plans)

    def freeze_lower_heads(self) -> None:
        """Do not train the heads of the decoder's lower levels, nor what generates them.

        For a training without deep supervision, whose loss never reaches them: DistributedDataParallel waits for a
        gradient of every parameter that is trained.
        """
        heads = getattr(self.primary.decoder, "seg_layers", [])
        lower = [
            f"decoder.seg_layers.{level}.{name}"
            for level, head in enumerate(heads[: len(heads) - 1])
            for name, _ in head.named_parameters()
        ]
        for name in self.parameters_serving_only(lower):
            self.get_parameter(name).requires_grad_(False)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load weights; for prediction also choose and materialise a latent.

        The latent is what the environment variable HYPERSORT_LATENT says, else the mode.

        Raises:
            HyperSORTError: The weights are of another trainer, or the latent cannot be had in one of the folds.
        """
        if not self.for_prediction:
            self.restore()
            return super().load_state_dict(state_dict, strict=strict, assign=assign)
        fold = self._folds.get(id(state_dict))
        if fold is None:
            self._join_folds(_weights_loaded_together(state_dict))
            fold = self._folds[id(state_dict)]
        if fold.primary is None:
            raise RuntimeError("the latent of this fold was not materialised")
        self._show(fold.primary)
        return nn.modules.module._IncompatibleKeys([], [])

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The weights as they are; with their checksum inside `with_checksum`."""
        state = super().state_dict(*args, **kwargs)
        if self._states_checksum:
            state[CHECKSUM_KEY] = weights_checksum(state)
        return state

    @contextmanager
    def with_checksum(self) -> Iterator[None]:
        """Let `state_dict` state a checksum for the length of a `with` block: for saving, as it reads all weights."""
        self._states_checksum = True
        try:
            yield
        finally:
            self._states_checksum = False

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # It is about the file, and no part of the network.
        state_dict.pop(f"{prefix}{CHECKSUM_KEY}", None)
        # The record is as long as the split makes it.
        saved = state_dict.get(f"{prefix}record")
        if isinstance(saved, torch.Tensor) and saved.dim() == 1:
            self.record = self.record.new_zeros(saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _join_folds(self, weights: Sequence[Mapping[str, Any]]) -> None:
        new = [
            _Fold(state, FoldRecord.from_network_weights(state)) for state in weights if id(state) not in self._folds
        ]
        folds = [*self._folds.values(), *new]
        choice = LatentChoice.parse(os.environ.get(LATENT_VARIABLE, "mode"))
        # What a mode over folds is depends on the folds. Those that have predicted keep their latents, so a fold that
        # comes later gets its own mode.
        book = StyleBook() if self._folds and choice == LatentChoice() else StyleBook.from_plans(self._plans)
        chosen = choose_latents(choice, [fold.record for fold in folds], book)
        for fold, latent in zip(folds, chosen, strict=True):
            if fold.primary is None:
                fold.primary = self._primary_values(fold.weights, latent)
                print(f"HyperSORT: {latent}")
        if len(folds) > 1 and choice == LatentChoice() and any(latent.style is None for latent in chosen):
            warnings.warn(
                "The mode of each fold is used; modes of different folds may be different annotation styles. "
                "`hypersort styles` finds styles that all folds share (`style:NAME`); `case:ID` names one style in "
                "each fold that trained the case.",
                stacklevel=2,
            )
        self._folds = {id(fold.weights): fold for fold in folds}
        self._plans[PLANS_SECTION]["prediction"] = _account(choice, chosen)

    def _primary_values(self, weights: Mapping[str, Any], latent: ChosenLatent) -> dict[str, torch.Tensor]:
        """Everything the primary network must hold to predict with a latent, by its name there."""
        refuse_changed_weights(weights, source=f"the checkpoint of fold {latent.fold}")
        self.restore()
        try:
            super().load_state_dict(weights)
        except RuntimeError as error:
            raise HyperSORTError(
                f"The checkpoint of fold {latent.fold} does not fit the network that plans.json describes, as when the "
                f"model was trained anew with other settings since. Predict with a newer checkpoint (`-chk`), or put "
                f"the plans.json of that training back. PyTorch says: {str(error)[:300]}"
            ) from error
        coordinates = torch.as_tensor(latent.coordinates, dtype=torch.float32, device=self.latents.values.device)
        with self.materialised(coordinates):
            return {name: value.clone() for name, value in self._primary_tensors()}

    @torch.no_grad()
    def _show(self, values: Mapping[str, torch.Tensor]) -> None:
        for name, tensor in self._primary_tensors():
            tensor.copy_(values[name])
        self._shows_a_latent = True

    def _primary_tensors(self) -> list[tuple[str, torch.Tensor]]:
        parameters = [(name, parameter.detach()) for name, parameter in self.primary.named_parameters()]
        return [*parameters, *self.primary.named_buffers()]


def _refuse_batch_normalisation(primary: nn.Module) -> None:
    found = {
        type(module).__name__ for module in primary.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)
    }
    if found:
        raise HyperSORTError(
            f"The planned network has {', '.join(sorted(found))}, which normalises all cases of a batch together, "
            f"while here each case has weights of its own; plan with nnU-Net's instance normalisation (norm_op in the "
            f"plans)."
        )


def _make_generator(
    settings: Settings, parameters: Mapping[str, torch.Tensor], affine: Mapping[str, torch.Tensor]
) -> WeightGenerator:
    dim, hidden, rank = settings.latent.dim, settings.hypernetwork.hidden, settings.hypernetwork.rank
    kind = settings.hypernetwork.generator
    if kind is GeneratorKind.FULL:
        return FullGenerator(parameters, dim, hidden)
    if kind is GeneratorKind.BASIS:
        return BasisGenerator(parameters, dim, hidden, rank)
    if kind is GeneratorKind.LOW_RANK:
        return LowRankGenerator(parameters, dim, hidden, rank)
    if not affine:
        raise HyperSORTError(
            "The planned network has no affine normalisation layers, which the generator `modulation` moves; set "
            "hypernetwork.generator to low_rank or basis."
        )
    return ModulationGenerator(affine, dim, hidden)


def _weights_loaded_together(first: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The weights of all folds that nnU-Net's predictor is about to use, or only those it handed over.

    The predictor reads all folds before it hands the first one to the network, and hands over the others only after
    the first fold has predicted the first case. Looking them up in its frame lets a latent that one of the folds
    cannot serve be refused before any work is done, and all latents be stated in the plans.json of the output folder,
    which is written before the second fold is loaded.
    """
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    frame = sys._getframe()
    while frame is not None:
        if frame.f_code is nnUNetPredictor.initialize_from_trained_model_folder.__code__:
            parameters = frame.f_locals.get("parameters", [])
            return parameters if any(weights is first for weights in parameters) else [first]
        frame = frame.f_back  # type: ignore[assignment]  # the loop ends at the outermost frame, whose f_back is None
    return [first]


def _account(choice: LatentChoice, chosen: Sequence[ChosenLatent]) -> dict[str, Any]:
    return {
        "latent": str(choice),
        "folds": {
            latent.fold: {"coordinates": [float(value) for value in latent.coordinates], "origin": latent.origin}
            for latent in chosen
        },
    }
