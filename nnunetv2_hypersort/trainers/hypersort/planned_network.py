"""The network that a HyperSORT training trains: the planned one, with generator and latents around it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.hypernetwork import (
    BasisGenerator,
    FullGenerator,
    LatentHyperNetwork,
    LatentTable,
    LowRankGenerator,
    ModulationGenerator,
    WeightGenerator,
)
from nnunetv2_hypersort.hypernetwork.conditioning.latent_table import encode_json
from nnunetv2_hypersort.nnunet import insides
from nnunetv2_hypersort.nnunet.checksum import CHECKSUM_KEY, weights_checksum
from nnunetv2_hypersort.nnunet.plans import PLANS_SECTION
from nnunetv2_hypersort.settings import GeneratorKind, Settings


class PlannedHyperNetwork(LatentHyperNetwork):
    """A HyperSORT network built from nnU-Net plans, for training.

    Its state dict is what a HyperSORT checkpoint holds. A prediction runs the planned network alone, with weights that
    were generated once (`plain_weights`).

    `encoder`, `decoder`, `seg_layers` and `compute_conv_feature_map_size` are the planned network's, where it has them,
    so that code written for nnU-Net's networks finds them. They hold the planned network's own weights, those of the
    latent at the origin; while a latent is materialised, its weights.

    Args:
        primary: The planned network; its instance normalisations are replaced by ones that take weights per sample.
        settings: The settings of the training.
    """

    record: torch.Tensor

    def __init__(self, primary: nn.Module, settings: Settings) -> None:
        def make_generator(
            parameters: Mapping[str, torch.Tensor], affine: Mapping[str, torch.Tensor]
        ) -> WeightGenerator:
            return _make_generator(settings, parameters, affine)

        _refuse_batch_normalisation(primary)
        super().__init__(primary, make_generator, LatentTable(settings.latent.dim))
        self.register_buffer("record", encode_json({}))
        self._states_checksum = False
        # Table, gathered gradients and record are kept equal on all processes by the trainer; DistributedDataParallel
        # would send them around at each step. torch.compile puts `_orig_mod.` before the names.
        trainers = ("latents.", "case_gradients.", "record")
        private = [name for name, _ in self.named_buffers() if name.startswith(trainers)]
        self._ddp_params_and_buffers_to_ignore = [*private, *(f"_orig_mod.{name}" for name in private)]

    @classmethod
    def from_plans(cls, primary: nn.Module, plans: Mapping[str, Any]) -> "PlannedHyperNetwork":
        """Build the network that the plans describe.

        Raises:
            HyperSORTError: The plans are not those of a HyperSORT training, or the primary network normalises over the
                batch.
        """
        return cls(primary, settings_of_training(plans))

    @property
    def encoder(self) -> Any:
        """The planned network's encoder."""
        return self.primary.encoder

    @property
    def seg_layers(self) -> Any:
        """The planned network's segmentation heads, where they are not its decoder's."""
        return self.primary.seg_layers

    @property
    def compute_conv_feature_map_size(self) -> Any:
        """The planned network's method: the number of values in its feature maps, for a patch size in voxels."""
        return self.primary.compute_conv_feature_map_size

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
        """Load the weights of a training as they are; a latent that was materialised is no longer."""
        self.restore()
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def load_trained(self, weights: Mapping[str, Any], *, source: str) -> None:
        """Load the weights of a checkpoint.

        Args:
            weights: Its network weights.
            source: Where they come from; named in errors.

        Raises:
            HyperSORTError: They do not fit this network.
        """
        try:
            self.load_state_dict(weights)
        except RuntimeError as error:
            raise HyperSORTError(
                f"{source[0].upper()}{source[1:]} does not fit the network that plans.json describes, as when the "
                f"model was trained anew with other settings since. Take a newer checkpoint (`-chk`), or put the "
                f"plans.json of that training back. PyTorch says: {str(error)[:300]}"
            ) from error

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The weights as they are; with their checksum inside `with_checksum`.

        Raises:
            HyperSORTError: nnU-Net asks to compare them with `-pretrained_weights` that do not fit.
        """
        state = super().state_dict(*args, **kwargs)
        pretrained = insides.pretrained_weights_being_taken()
        if pretrained is not None:
            _refuse_pretrained(state, pretrained)
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


def settings_of_training(plans: Mapping[str, Any]) -> Settings:
    """The settings that a HyperSORT training stored in its plans.

    Raises:
        HyperSORTError: There are none.
    """
    section = plans.get(PLANS_SECTION)
    if not isinstance(section, Mapping) or "settings" not in section:
        raise HyperSORTError(
            "The plans hold no HyperSORT settings, so they are not those beside a HyperSORT checkpoint; take the "
            "plans.json of the trained-model folder (the one that holds fold_0)."
        )
    return Settings.from_dict(section["settings"], source="plans.json: hypersort.settings")


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


def _refuse_pretrained(own: Mapping[str, torch.Tensor], pretrained: Mapping[str, Any]) -> None:
    """Refuse what nnU-Net would, by what to do instead of by the name of a tensor."""
    # nnU-Net leaves the heads out.
    needed = {name: value.shape for name, value in own.items() if ".seg_layers." not in name}
    unfit = [name for name, shape in needed.items() if getattr(pretrained.get(name), "shape", None) != shape]
    if not unfit:
        return
    plain = not any(name.startswith("primary.") for name in pretrained)
    what = "are of plain nnU-Net, without a generator" if plain else f"do not fit this training (first: {unfit[0]})"
    raise HyperSORTError(
        f"The weights given with `-pretrained_weights` {what}. `hypersort pretrained CHECKPOINT -d DATASET -c "
        f"CONFIGURATION -o pretrained.pth` makes a file for this training from a checkpoint of plain nnU-Net or of "
        f"HyperSORT; give that one."
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
