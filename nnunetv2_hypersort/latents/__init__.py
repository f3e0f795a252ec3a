"""Which latent: what a checkpoint knows of its latents, the mode, and the user's choice."""

from nnunetv2_hypersort.latents.choice import LATENT_VARIABLE, ChosenLatent, LatentChoice, choose_latents
from nnunetv2_hypersort.latents.fold_record import FoldRecord
from nnunetv2_hypersort.latents.mode import densest_latent

__all__ = ["LATENT_VARIABLE", "ChosenLatent", "FoldRecord", "LatentChoice", "choose_latents", "densest_latent"]
