"""What the weights of one trained fold say about their latents."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.hypernetwork.conditioning.joint_components import (
    joint_components,
    robustly_scaled,
    within_images,
    without,
)
from nnunetv2_hypersort.hypernetwork.conditioning.latent_table import decode_json, encode_json
from nnunetv2_hypersort.latents.density import densest_latent
from nnunetv2_hypersort.latents.identity import FoldIdentity, settings_fingerprint
from nnunetv2_hypersort.nnunet.checksum import CHECKSUM_KEY
from nnunetv2_hypersort.nnunet.names import is_fold_name, is_path_part

RECORD_KEY = "record"

# So many axes of size are looked at: one for each so many cases, or chance would be taken out with them.
_CASES_PER_SIZE = 10
_MOST_SIZES = 3


@dataclass(frozen=True)
class FoldRecord:
    """The latents of one fold and where they come from.

    Attributes:
        fold: The fold, an integer as text or `all`; empty for weights that were never trained.
        case_ids: The fold's training cases.
        latents: Shape (cases, dim), in the order of `case_ids`.
        visits: Shape (cases,): how often the training visited each case.
        held_out: For each fold of the split the cases it does not train on; a case that stands nowhere here is
            training data of every fold.
        weights: SHA-256 of the weights as the checkpoint states it, hexadecimal; empty if it does not.
        settings: `settings_fingerprint` of the training; empty if unknown.
        images: Shape (cases,): cases of one image, as where several people annotated it, have the same number; None if
            unknown.
        sizes: Shape (cases, structures): log voxels of each structure as one network for all segments it; None if
            unknown.
    """

    fold: str
    case_ids: tuple[str, ...]
    latents: np.ndarray
    visits: np.ndarray
    held_out: Mapping[str, Sequence[str]]
    weights: str = ""
    settings: str = ""
    images: np.ndarray | None = None
    sizes: np.ndarray | None = None

    @classmethod
    def from_checkpoint(cls, content: Mapping[str, Any], *, source: str = "the checkpoint") -> "FoldRecord":
        """Read the record from a checkpoint, with the settings of the training.

        Args:
            content: What `read_checkpoint` read.
            source: Where it comes from; named in errors.

        Raises:
            HyperSORTError: See `from_network_weights`.
        """
        settings = settings_fingerprint(content["init_args"].get("plans"))
        return cls.from_network_weights(content["network_weights"], source=source, settings=settings)

    @classmethod
    def from_network_weights(
        cls, weights: Mapping[str, Any], *, source: str = "the checkpoint", settings: str = ""
    ) -> "FoldRecord":
        """Read the record from the network weights of a checkpoint.

        Args:
            weights: The state dict of a HyperSORT network.
            source: Where the weights come from; named in errors.
            settings: `settings_fingerprint` of the training, if that is known.

        Raises:
            HyperSORTError: The weights are not those of a HyperSORT trainer, or the record is damaged.
        """
        try:
            record = _checked_record(decode_json(weights[RECORD_KEY]))
            case_ids = _checked_case_ids(decode_json(weights["latents.encoded_ids"]))
            latents = weights["latents.values"].detach().cpu().double().numpy()
            visits = weights["latents.visits"].detach().cpu().numpy()
            images = weights["latents.images"].detach().cpu().numpy() if "latents.images" in weights else None
            sizes = weights["latents.sizes"].detach().cpu().double().numpy() if images is not None else None
            checksum = weights[CHECKSUM_KEY].cpu().numpy().tobytes().hex() if CHECKSUM_KEY in weights else ""
        except KeyError:
            raise HyperSORTError(
                f"{source} holds no latents: it was not trained with a HyperSORT trainer. "
                f"Train with `-tr HyperSORTTrainer`, or predict with the trainer that made it."
            ) from None
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise HyperSORTError(f"The latents in {source} are damaged ({error}); take another checkpoint.") from error
        if (
            latents.ndim != 2
            or latents.shape[:1] != visits.shape
            or len(visits) != len(case_ids)
            or (images is not None and images.shape != visits.shape)
            or (sizes is not None and (sizes.ndim != 2 or len(sizes) != len(visits) or not np.isfinite(sizes).all()))
            or not np.isfinite(latents).all()
        ):
            raise HyperSORTError(
                f"The latents in {source} are damaged: {len(case_ids)} cases, table of shape {latents.shape}, "
                f"{int((~np.isfinite(latents)).sum())} values not finite; take another checkpoint."
            )
        return cls(
            record.get("fold", ""),
            case_ids,
            latents,
            visits,
            record.get("held_out", {}),
            checksum,
            settings,
            images,
            sizes,
        )

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """The row of each training case."""
        return {case: row for row, case in enumerate(self.case_ids)}

    @property
    def has_shared_images(self) -> bool:
        """Whether there are several training cases of one image."""
        known = self.images[self.images != 0] if self.images is not None else np.zeros(0)
        return len(np.unique(known)) < len(known)

    def beside_images(self) -> np.ndarray:
        """The latents without what the images tell, shape (cases, dim): what is left is how they were annotated.

        Out go the mean of each image that several cases have, and, where each case has its own, what is a linear
        function of how large the structures are in the eyes of the network that served all cases in the warm-up: large
        organs have large residuals, in any style.
        """
        if self.images is not None and self.has_shared_images:
            # Those that are unknown each have an image of their own.
            _, images = np.unique(self.images, return_inverse=True)
            unknown = self.images == 0
            images[unknown] = len(images) + np.arange(unknown.sum())
            return within_images(self.latents, images)
        # A case that joined later was not looked at.
        seen = (self.visits > 0) & (self.images != 0) if self.images is not None else self.visits > 0
        count = int(seen.sum()) // _CASES_PER_SIZE
        if self.sizes is None or not self.sizes.size or not count:
            return self.latents
        sizes = joint_components([robustly_scaled(self.sizes[seen])], min(count, _MOST_SIZES, self.sizes.shape[1]))
        latents: np.ndarray = self.latents.copy()
        latents[seen] = without(self.latents[seen], sizes)
        return latents

    @property
    def identity(self) -> FoldIdentity:
        """What styles of this fold depend on."""
        return FoldIdentity(self.fingerprint, self.weights, self.settings)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of cases and latents, hexadecimal: checkpoints with the same fingerprint have the same latents."""
        digest = hashlib.sha256(json.dumps([list(self.case_ids), list(self.latents.shape)]).encode())
        digest.update(np.ascontiguousarray(self.latents, dtype="<f8").tobytes())
        return digest.hexdigest()

    @staticmethod
    def encode(fold: str, held_out: Mapping[str, Sequence[str]]) -> torch.Tensor:
        """The part of a record that is not in the latent table, as bytes for the state dict."""
        return encode_json({"fold": fold, "held_out": {name: list(cases) for name, cases in held_out.items()}})

    def was_drawn(self, case_id: str) -> bool:
        """Whether a training case was ever visited; before that its latent is noise."""
        return bool(self.visits[self.rows[case_id]] > 0)

    def latent_of(self, case_id: str) -> np.ndarray:
        """The latent of a training case, shape (dim,).

        Raises:
            KeyError: The case was not trained in this fold.
        """
        latent: np.ndarray = self.latents[self.rows[case_id]]
        return latent

    def mode(self) -> tuple[str, np.ndarray]:
        """The densest latent of the cases that were visited: its case and its coordinates, shape (dim,).

        Before any case was visited all latents count.
        """
        rows = np.flatnonzero(self.visits) if self.visits.any() else np.arange(len(self.case_ids))
        row = int(rows[densest_latent(self.latents[rows])])
        return self.case_ids[row], self.latents[row]

    def folds_that_train(self, case_id: str) -> list[str]:
        """The folds that have a case as training data, as far as the split says; empty for one it does not know."""
        is_ours = case_id in self.rows
        if not is_ours and not any(case_id in cases for cases in self.held_out.values()):
            return []
        folds = [fold for fold, cases in self.held_out.items() if case_id not in cases]
        return folds if not is_ours or self.fold in folds else [*folds, self.fold]


def _checked_record(record: Any) -> Mapping[str, Any]:
    held_out = record.get("held_out", {})
    if not isinstance(held_out, dict) or not all(map(is_fold_name, (record.get("fold", ""), *held_out))):
        raise ValueError("the record of the fold is none")
    for cases in held_out.values():
        _checked_case_ids(cases)
    return cast(Mapping[str, Any], record)


def _checked_case_ids(case_ids: Any) -> tuple[str, ...]:
    # A case id becomes part of file names, and a checkpoint may come from anyone.
    for case_id in case_ids:
        if not is_path_part(case_id):
            raise ValueError(f"{case_id!r} is no case identifier")
    return tuple(case_ids)


def fold_order(fold: str) -> tuple[bool, int, str]:
    """Key that sorts the names of folds by their number, `all` after them."""
    return (not fold.isdigit(), int(fold) if fold.isdigit() else 0, fold)
