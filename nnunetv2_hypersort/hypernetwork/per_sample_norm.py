"""Instance normalisation whose scale and shift may differ from sample to sample."""

from typing import Any

import torch
from torch import nn


class _PerSampleAffine:
    """Accepts affine parameters of shape (channels,), or (batch, channels) for one pair per sample.

    Instance normalisation is batch normalisation of the samples side by side as channels, and PyTorch computes it so,
    repeating the affine parameters for each sample. Handing it different ones costs nothing.
    """

    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        if self.weight.dim() == 1:
            shared: torch.Tensor = super().forward(x)  # type: ignore[misc]  # the mixin stands before a norm layer
            return shared
        samples, channels = x.shape[:2]
        side_by_side = x.reshape(1, samples * channels, *x.shape[2:])
        normalised = nn.functional.batch_norm(
            side_by_side, None, None, self.weight.flatten(), self.bias.flatten(), training=True, eps=self.eps
        )
        return normalised.reshape(x.shape)


class PerSampleInstanceNorm1d(_PerSampleAffine, nn.InstanceNorm1d):
    """`InstanceNorm1d` with per-sample affine parameters."""


class PerSampleInstanceNorm2d(_PerSampleAffine, nn.InstanceNorm2d):
    """`InstanceNorm2d` with per-sample affine parameters."""


class PerSampleInstanceNorm3d(_PerSampleAffine, nn.InstanceNorm3d):
    """`InstanceNorm3d` with per-sample affine parameters."""


_COUNTERPARTS: dict[type[nn.Module], type[nn.Module]] = {
    nn.InstanceNorm1d: PerSampleInstanceNorm1d,
    nn.InstanceNorm2d: PerSampleInstanceNorm2d,
    nn.InstanceNorm3d: PerSampleInstanceNorm3d,
}


def allow_per_sample_affine(network: nn.Module) -> set[str]:
    """Replace the network's affine instance normalisations by ones that take per-sample affine parameters.

    Parameters, names and outputs stay as they were; a layer that several parents share stays shared.

    Args:
        network: Changed in place.

    Returns:
        The names of the parameters that may now carry a leading batch dimension.
    """
    replaced: dict[int, nn.Module] = {}
    for module in list(network.modules()):
        for child in module.children():
            if type(child) in _COUNTERPARTS and child.affine and not child.track_running_stats:
                replaced.setdefault(id(child), _counterpart(child))
    for module in list(network.modules()):
        # Not named_children(): it names a child that a module holds twice only once.
        for name, held in module._modules.items():
            if held is not None and id(held) in replaced:
                setattr(module, name, replaced[id(held)])
    return {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in network.named_modules()
        if isinstance(module, _PerSampleAffine)
        for name in ("weight", "bias")
    }


def _counterpart(norm: Any) -> nn.Module:
    kind: Any = _COUNTERPARTS[type(norm)]
    twin: nn.Module = kind(norm.num_features, eps=norm.eps, momentum=norm.momentum, affine=True)
    twin.weight, twin.bias = norm.weight, norm.bias
    twin.train(norm.training)
    return twin
