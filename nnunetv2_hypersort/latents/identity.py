"""What a style of a fold depends on, told from what a checkpoint states."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nnunetv2_hypersort.nnunet.plans import PLANS_SECTION

IDENTITY_VERSION = 2
"""Version 1 was the latents alone; version 2 has weights and settings, too."""


@dataclass(frozen=True)
class FoldIdentity:
    """What has to be the same for a latent of a fold to mean the same network.

    Attributes:
        latents: SHA-256 of the cases and their latents, hexadecimal.
        weights: SHA-256 of all weights, as the checkpoint states it; empty where that is unknown, as in checkpoints
            without a checksum and style books of version 1.
        settings: SHA-256 of the settings of the training; empty where they are unknown.
    """

    latents: str
    weights: str = ""
    settings: str = ""

    @property
    def version(self) -> int:
        """1 for the latents alone, else 2."""
        return IDENTITY_VERSION if self.weights or self.settings else 1

    def agrees_with(self, other: "FoldIdentity") -> bool:
        """Whether all that both state is the same."""
        return self.latents == other.latents and all(
            not ours or not theirs or ours == theirs
            for ours, theirs in ((self.weights, other.weights), (self.settings, other.settings))
        )


def settings_fingerprint(plans: Any) -> str:
    """SHA-256 of the settings in nnU-Net's plans, hexadecimal; empty for plans without any.

    Args:
        plans: The plans that a checkpoint holds. They do not change, so neither does the fingerprint when settings
            get new keys.
    """
    section = plans.get(PLANS_SECTION) if isinstance(plans, Mapping) else None
    settings = section.get("settings") if isinstance(section, Mapping) else None
    return "" if settings is None else hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
