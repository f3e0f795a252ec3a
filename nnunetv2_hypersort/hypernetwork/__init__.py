"""Latents that become network weights: pure PyTorch, no nnU-Net."""

from nnunetv2_hypersort.hypernetwork.basis import BasisGenerator
from nnunetv2_hypersort.hypernetwork.conditioning.case_gradients import CaseGradients
from nnunetv2_hypersort.hypernetwork.conditioning.latent_hypernetwork import LatentHyperNetwork
from nnunetv2_hypersort.hypernetwork.conditioning.latent_table import LatentTable
from nnunetv2_hypersort.hypernetwork.full import FullGenerator
from nnunetv2_hypersort.hypernetwork.hypernetwork import HyperNetwork
from nnunetv2_hypersort.hypernetwork.low_rank import LowRankGenerator
from nnunetv2_hypersort.hypernetwork.modulation import ModulationGenerator
from nnunetv2_hypersort.hypernetwork.weight_generator import WeightGenerator

__all__ = [
    "BasisGenerator",
    "CaseGradients",
    "FullGenerator",
    "HyperNetwork",
    "LatentHyperNetwork",
    "LatentTable",
    "LowRankGenerator",
    "ModulationGenerator",
    "WeightGenerator",
]
