"""torch.compile and automatic mixed precision, on the CPU."""

import copy
import functools

import pytest
import torch
from tiny_nnunet import SHORT
from torch import nn
from torch._dynamo import OptimizedModule
from torch._dynamo.utils import counters

from nnunetv2_hypersort.trainers import HyperSORTTrainer


class Compiles(HyperSORTTrainer):
    """nnU-Net compiles on GPUs only."""

    def _do_i_compile(self) -> bool:
        return True


class InHalf(HyperSORTTrainer):
    """nnU-Net uses mixed precision on GPUs only; this is the CPU's."""

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", dtype=torch.bfloat16)


# Adam would blow up the rounding errors of gradients that are zero.
STARTS = {
    start: SHORT.replace("seed: 3", "seed: 3, optimizer: sgd") + f"latent: {{start: {start}, init_std: 1.0}}\n"
    for start in ("random", "spectral")
}


def started(nnunet, kind=HyperSORTTrainer, config=STARTS["random"]):
    trainer = nnunet.trainer(config, kind=kind)
    trainer.on_train_start()
    return trainer


def batches_of(trainer, count):
    return [next(trainer.dataloader_train) for _ in range(count)]


def assert_equal_state(found, expected, **tolerances):
    expected = expected.hypernetwork.state_dict()
    for name, value in found.hypernetwork.state_dict().items():
        torch.testing.assert_close(value, expected[name], equal_nan=True, **tolerances, msg=name)


@pytest.mark.parametrize(
    ("start", "generator"), [("random", "modulation"), ("random", "low_rank"), ("spectral", "modulation")]
)
def test_a_compiled_network_trains_alike_in_one_graph(tiny_nnunet, monkeypatch, start, generator):
    # Inductor takes a minute to write kernels for the CPU; this backend traces forward and backward and stops there.
    # `fullgraph` makes a break of the graph an error.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager", fullgraph=True))
    torch._dynamo.reset()
    nnunet = tiny_nnunet()
    # The spectral start warms up for two of five steps.
    config = STARTS[start].replace("num_iterations_per_epoch: 3", "num_iterations_per_epoch: 5")
    config += f"hypernetwork: {{generator: {generator}}}\n"
    compiled, eager = started(nnunet, Compiles, config), started(nnunet, config=config)
    assert isinstance(compiled.network, OptimizedModule)
    eager.hypernetwork.load_state_dict(compiled.hypernetwork.state_dict())
    batches = batches_of(eager, 4)
    for batch in batches[1::2]:
        batch["keys"] = [batch["keys"][0]] * 2
    for batch in batches:
        loss = eager.train_step(copy.deepcopy(batch))["loss"]
        assert float(compiled.train_step(batch)["loss"]) == pytest.approx(float(loss), rel=1e-4)
    assert_equal_state(compiled, eager, rtol=1e-3, atol=1e-5)

    # Batches of different cases and of a single case have been there: nothing is compiled again, whatever is drawn.
    graphs = counters["stats"]["unique_graphs"]
    for batch in batches:
        compiled.train_step(batch)
    assert counters["stats"]["unique_graphs"] == graphs

    # The weights of a latent are seen by the compiled network, and those of the next one, too.
    batch = next(eager.dataloader_val)
    for latent in torch.tensor([[1.0, -1.0], [-1.0, 0.5]]):
        with torch.no_grad(), compiled.hypernetwork.materialised(latent):
            shown = compiled.network(batch["data"])[0]
            torch.testing.assert_close(shown, compiled.hypernetwork(batch["data"])[0])


def test_mixed_precision_leaves_the_generator_in_full(tiny_nnunet):
    nnunet = tiny_nnunet()
    half, full = started(nnunet, InHalf), started(nnunet)
    full.hypernetwork.load_state_dict(half.hypernetwork.state_dict())
    latents = torch.tensor([[1e-4, 0.0]])
    with half._autocast():
        generated = half.hypernetwork.generate(latents)
        assert half.network(torch.zeros(1, 1, 8, 16, 16), latents)[0].dtype == torch.bfloat16
    expected = full.hypernetwork.generate(latents)
    for name, value in generated.items():
        assert value.dtype == torch.float32
        assert torch.equal(value, expected[name])
    for batch in batches_of(full, 3):
        loss = full.train_step(copy.deepcopy(batch))["loss"]
        assert float(half.train_step(batch)["loss"]) == pytest.approx(float(loss), rel=0.02)
    # Adam's first steps have the size of the learning rate whatever the gradient's; the direction must be right.
    moved = [trainer.table.values - started(nnunet).table.values for trainer in (half, full)]
    drawn = full.table.visits > 0
    assert nn.functional.cosine_similarity(*(steps[drawn].flatten() for steps in moved), dim=0) > 0.9
    assert all(torch.isfinite(value).all() for value in half.hypernetwork.primary.state_dict().values())


@pytest.mark.parametrize("start", STARTS)
def test_a_scaled_loss_takes_the_unscaled_step(tiny_nnunet, start):
    nnunet = tiny_nnunet()
    # Long enough that the gradients of both steps are gathered, and nothing is made of them yet.
    config = STARTS[start].replace("num_iterations_per_epoch: 3", "num_iterations_per_epoch: 6")
    scaled, plain = started(nnunet, config=config), started(nnunet, config=config)
    plain.hypernetwork.load_state_dict(scaled.hypernetwork.state_dict())
    scaled.grad_scaler = torch.amp.GradScaler("cpu", init_scale=4096.0)
    for batch in batches_of(plain, 2):
        plain.train_step(copy.deepcopy(batch))
        scaled.train_step(batch)
    assert len(plain.hypernetwork.case_gradients.counts) == (4 if start == "spectral" else 0)
    assert_equal_state(scaled, plain, rtol=1e-4, atol=1e-6)


class Huge(nn.Module):
    """A loss whose scaled gradient does not fit a float."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, *arguments: torch.Tensor) -> torch.Tensor:
        return self.loss(*arguments) * 1e30


@pytest.mark.parametrize("start", STARTS)
def test_an_overflow_moves_neither_weights_nor_latents(tiny_nnunet, start):
    trainer = started(tiny_nnunet(), config=STARTS[start])
    trainer.grad_scaler = torch.amp.GradScaler("cpu", init_scale=2.0**100)
    trainer.loss.loss = Huge(trainer.loss.loss)
    before = copy.deepcopy(trainer.hypernetwork.state_dict())
    trainer.train_step(batches_of(trainer, 1)[0])
    assert trainer.grad_scaler.get_scale() == 2.0**99
    after = trainer.hypernetwork.state_dict()
    for name in after.keys() - {"latents.loss", "latents.visits"}:
        assert torch.equal(after[name], before[name]), name
