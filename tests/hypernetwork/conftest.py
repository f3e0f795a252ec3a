"""Planned networks, small."""

from collections.abc import Callable

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from torch import nn

ARCHITECTURES = {"plain": (PlainConvUNet, "n_conv_per_stage"), "residual": (ResidualEncoderUNet, "n_blocks_per_stage")}


def build_unet(architecture: str, dimensions: int, *, deep_supervision: bool = True, seed: int = 0) -> nn.Module:
    kind, depth = ARCHITECTURES[architecture]
    torch.manual_seed(seed)
    return kind(
        input_channels=1,
        n_stages=3,
        features_per_stage=[8, 16, 32],
        conv_op={2: nn.Conv2d, 3: nn.Conv3d}[dimensions],
        kernel_sizes=3,
        strides=[1, 2, 2],
        num_classes=3,
        n_conv_per_stage_decoder=2,
        conv_bias=True,
        norm_op={2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}[dimensions],
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=deep_supervision,
        **{depth: 2},
    )


@pytest.fixture
def unet() -> Callable[..., nn.Module]:
    return build_unet
