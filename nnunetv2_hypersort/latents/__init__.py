"""Which latent: what a checkpoint knows of its latents, the mode, the styles, and the user's choice."""

from nnunetv2_hypersort.latents.choice import LATENT_VARIABLE, LatentChoice, choose_latents
from nnunetv2_hypersort.latents.chosen_latent import ChosenLatent
from nnunetv2_hypersort.latents.density import densest_latent
from nnunetv2_hypersort.latents.fold_record import FoldRecord, fold_order
from nnunetv2_hypersort.latents.style_book import Style, StyleBook, StyleInFold, check_style_name

__all__ = [
    "LATENT_VARIABLE",
    "ChosenLatent",
    "FoldRecord",
    "LatentChoice",
    "Style",
    "StyleBook",
    "StyleInFold",
    "check_style_name",
    "choose_latents",
    "densest_latent",
    "fold_order",
]
