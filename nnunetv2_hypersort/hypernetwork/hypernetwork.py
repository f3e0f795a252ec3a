"""A primary network whose parameters are generated from latents."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from nnunetv2_hypersort.hypernetwork.per_sample_norm import allow_per_sample_affine
from nnunetv2_hypersort.hypernetwork.weight_generator import WeightGenerator

NORMALISATIONS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


class HyperNetwork(nn.Module):
    """Wraps a primary network without touching its code.

    In training it is called with the latents of the batch. For prediction one latent is *materialised*: the generated
    parameters are written into the primary network, which then runs alone, at its own cost. Where the latents come from
    is not its business: `hypernetwork.conditioning` has what conditions.

    Args:
        primary: The network whose parameters are generated; any module that takes a tensor of shape
            (batch, channels, ...) and returns one tensor or a list of them, batch first.
        make_generator: Called with the primary network's parameters by name and the subset of them that belongs to
            normalisation layers; returns the generator.
        dim: Number of coordinates of a latent.
    """

    def __init__(
        self,
        primary: nn.Module,
        make_generator: Callable[[Mapping[str, torch.Tensor], Mapping[str, torch.Tensor]], WeightGenerator],
        dim: int,
    ) -> None:
        super().__init__()
        self.dim = dim
        self._per_sample_names = allow_per_sample_affine(primary)
        # named_parameters() names a parameter that several modules share once.
        parameters = {name: parameter.detach() for name, parameter in primary.named_parameters()}
        self._places = _places(primary)
        normalising = {
            f"{prefix}.{name}" if prefix else name
            for prefix, module in primary.named_modules()
            if isinstance(module, NORMALISATIONS)
            for name, _ in module.named_parameters(recurse=False)
        }
        affine = {name: parameter for name, parameter in parameters.items() if name in normalising}
        self.primary = primary
        self.generator = make_generator(parameters, affine)
        self.affine_sizes = {name: parameter.numel() for name, parameter in affine.items()}
        if not self.generator.residual:
            # The primary network is a mould then: its own values are never used, so there is nothing to train.
            primary.requires_grad_(False)
        self._own_values: dict[str, torch.Tensor] = {}
        self._shows_a_latent = False

    @property
    def decoder(self) -> Any:
        """The primary network's decoder (nnU-Net switches deep supervision there)."""
        return self.primary.decoder

    def forward(self, x: torch.Tensor, latents: torch.Tensor | None = None, offsets: torch.Tensor | None = None) -> Any:
        """Run the primary network with the parameters that the latents generate.

        Args:
            x: Input, shape (batch, channels, ...).
            latents: Shape (batch, dim) for one latent per sample, or (1, dim) for one latent for all. None runs the
                primary network with the values it holds: those of the materialised latent.
            offsets: Shape (batch, number of affine parameters), with latents of the same batch size: added to the
                affine parameters of the normalisation layers, each sample its own. Their gradients are those of
                single samples, which the spectral start gathers.

        Returns:
            What the primary network returns.

        Raises:
            RuntimeError: No latents were given, none was materialised, and the generator is not residual.
        """
        if latents is None:
            if not self._shows_a_latent and not self.generator.residual:
                raise RuntimeError("this network has no weights of its own: materialise a latent first")
            return self.primary(x)
        if offsets is None and _all_equal(latents):
            latents = latents[:1]
        parameters = self.generate(latents)
        if offsets is not None:
            parameters = self._moved(parameters, offsets)
        elif latents.shape[0] == 1:
            return self._call({name: values[0] for name, values in parameters.items()}, x)
        # Not `issuperset`, which torch.compile of PyTorch 2.6 does not know.
        if all(name in self._per_sample_names for name in parameters):
            return self._call(parameters, x)
        outputs = [
            self._call({name: values[sample] for name, values in parameters.items()}, x[sample : sample + 1])
            for sample in range(x.shape[0])
        ]
        if isinstance(outputs[0], torch.Tensor):
            return torch.cat(outputs)
        return [torch.cat(level) for level in zip(*outputs, strict=True)]

    def generate(self, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        """Generate the parameters that depend on the latent.

        Args:
            latents: Shape (n, dim).

        Returns:
            Names in the primary network, and values of shape (n, *parameter.shape), float32.
        """
        # Half precision would cost the small differences between latents; the generator is tiny beside the network.
        with torch.autocast(latents.device.type, enabled=False):
            generated: dict[str, torch.Tensor] = self.generator(latents.float())
            if not self.generator.residual:
                return generated
            return {name: self.primary.get_parameter(name) + offset for name, offset in generated.items()}

    def parameters_serving_only(self, names: Collection[str]) -> list[str]:
        """Find the parameters that act on the output through some parameters of the primary network alone.

        Args:
            names: Parameters of the primary network, by their names there.

        Returns:
            Names in this module: these parameters, and those of the generator that no other parameter depends on.
        """
        of_generator = dict(self.generator.named_parameters())
        with torch.enable_grad():
            device = next(iter(of_generator.values())).device
            generated = self.generator(torch.zeros(1, self.dim, device=device))
            elsewhere = torch.stack([values.sum() for name, values in generated.items() if name not in names]).sum()
            gradients = torch.autograd.grad(elsewhere, list(of_generator.values()), allow_unused=True)
        unused = [name for name, gradient in zip(of_generator, gradients, strict=True) if gradient is None]
        return [*(f"primary.{name}" for name in names), *(f"generator.{name}" for name in unused)]

    @torch.no_grad()
    def align(self, latents: torch.Tensor, directions: torch.Tensor) -> None:
        """Let the generator move the affine parameters of the normalisation layers along directions, and nothing else.

        Args:
            latents: Shape (n, dim): where it has to be right.
            directions: Shape (dim, number of affine parameters): their change by each coordinate.
        """
        parts = directions.split(list(self.affine_sizes.values()), dim=1)
        self.generator.align(latents, dict(zip(self.affine_sizes, parts, strict=True)))

    @torch.no_grad()
    def materialise(self, latent: torch.Tensor) -> None:
        """Write the parameters of one latent into the primary network; `restore` undoes it.

        Args:
            latent: Shape (dim,).
        """
        self.restore()
        generated = self.generate(latent[None])
        self._own_values = {name: self.primary.get_parameter(name).clone() for name in generated}
        self._write({name: values[0] for name, values in generated.items()})
        self._shows_a_latent = True

    @torch.no_grad()
    def restore(self) -> None:
        """Give the primary network its own parameters back; does nothing if no latent is materialised."""
        self._write(self._own_values)
        self._own_values = {}
        self._shows_a_latent = False

    @contextmanager
    def materialised(self, latent: torch.Tensor) -> Iterator[None]:
        """Materialise a latent, shape (dim,), for the length of a `with` block."""
        self.materialise(latent)
        try:
            yield
        finally:
            self.restore()

    def _moved(self, parameters: dict[str, torch.Tensor], offsets: torch.Tensor) -> dict[str, torch.Tensor]:
        parts = offsets.split(list(self.affine_sizes.values()), dim=1)
        moved = {
            name: parameters.get(name, self.primary.get_parameter(name)) + part
            for (name, part) in zip(self.affine_sizes, parts, strict=True)
        }
        return {**parameters, **moved}

    def _write(self, values: Mapping[str, torch.Tensor]) -> None:
        for name, value in values.items():
            self.primary.get_parameter(name).copy_(value)

    def _call(self, parameters: dict[str, torch.Tensor], x: torch.Tensor) -> Any:
        placed = {place: values for name, values in parameters.items() for place in self._places[name]}
        return functional_call(self.primary, placed, (x,), tie_weights=False)


def _all_equal(latents: torch.Tensor) -> bool:
    # Only where no gradient is wanted: it would all go to the first sample. Comparing values would break a compiled
    # graph.
    if latents.shape[0] == 1 or latents.requires_grad or torch.compiler.is_compiling():
        return False
    return bool((latents == latents[0]).all())


def _places(network: nn.Module) -> dict[str, list[str]]:
    """For each parameter the names of all places that hold it, one for each module that does.

    `functional_call` can keep ties itself, but it then swaps a module that has two names (nnU-Net's blocks list their
    layers twice) twice, and leaves the second value in it.
    """
    names: dict[int, list[str]] = {}
    seen = set()
    for prefix, module in network.named_modules(remove_duplicate=True):
        for key, parameter in module.named_parameters(recurse=False):
            if (id(module), key) not in seen:
                seen.add((id(module), key))
                names.setdefault(id(parameter), []).append(f"{prefix}.{key}" if prefix else key)
    return {places[0]: places for places in names.values()}
