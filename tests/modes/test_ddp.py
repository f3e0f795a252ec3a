"""Two processes train as one with the joint batch: gloo on the CPU stands for nccl on two GPUs."""

import copy
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from tiny_nnunet import SHORT
from torch import distributed as dist
from torch import multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from nnunetv2_hypersort.trainers import HyperSORTTrainer

BATCH_SIZE = 4
# Which of the training cases 0 to 3 each step draws; the first two samples are of rank 0.
DRAWS = (
    (0, 1, 2, 3),  # a rank draws none of the other's cases
    (0, 1, 1, 2),  # both draw case 1
    (0, 0, 0, 0),  # both draw the same case alone
    (3, 3, 1, 2),  # one rank draws one case alone
)
# Of 15 steps 6 are warm-up; steps 3 to 6 gather gradients.
WARM_UP_DRAWS = (*DRAWS[:2], *DRAWS)


@dataclass(frozen=True)
class Scenario:
    """Steps to take, and how; Adam would blow up the rounding errors of gradients that are zero."""

    settings: str = "latent: {start: random, init_std: 1.0}"
    training: str = ""
    planned: dict[str, Any] = field(default_factory=dict)
    draws: tuple[tuple[int, ...], ...] = DRAWS
    tolerance: float = 1e-4

    @property
    def config(self) -> str:
        training = f"num_epochs: 1, num_iterations_per_epoch: 15, seed: 3, optimizer: sgd{self.training}"
        return f"training: {{{training}}}\n{self.settings}\n"


WHOLE_RUNS = ("random_run", "spectral_run", "continued")
LOW_RANK = "\nhypernetwork: {generator: low_rank}"
SCENARIOS = {
    "modulation": Scenario(),
    "batch_dice": Scenario(planned={"batch_dice": True}),
    "no_deep_supervision": Scenario(Scenario.settings + LOW_RANK, ", deep_supervision: false"),
    "warm_up": Scenario("latent: {start: spectral}", draws=WARM_UP_DRAWS[:5]),
    # Whitening blows up rounding errors, too.
    "spectral_start": Scenario("latent: {start: spectral}", draws=WARM_UP_DRAWS, tolerance=1e-3),
    "after_the_start": Scenario(
        "latent: {start: spectral}" + LOW_RANK, draws=(*WARM_UP_DRAWS, *DRAWS[:2]), tolerance=1e-3
    ),
}


class GlooTrainer(HyperSORTTrainer):
    """nnU-Net puts each process of a distributed training on a GPU of its own."""

    def __init__(
        self, plans: dict[str, Any], configuration: str, fold: int, dataset_json: dict[str, Any], device: torch.device
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.device, self.grad_scaler = torch.device("cpu"), None


class DriftingTrainer(GlooTrainer):
    """On GPUs sums may end in other digits on each process."""

    def on_train_epoch_end(self, train_outputs: Any) -> None:
        self.table.values += 1e-3 * self.local_rank
        super().on_train_epoch_end(train_outputs)


class JointTrainer(HyperSORTTrainer):
    """One process, with the weights of the loss that nnU-Net uses in a distributed training."""

    def _build_loss(self) -> Any:
        loss = super()._build_loss()
        if isinstance(loss, DeepSupervisionWrapper):
            weights = np.array([1 / 2**level for level in range(len(loss.weight_factors))])
            weights[-1] = 1e-6
            loss.weight_factors = tuple(weights / weights.sum())
        return loss


def build(kind: type[HyperSORTTrainer], job: dict[str, Any], config: str, planned: dict[str, Any]) -> Any:
    """Build a trainer as nnUNetv2_train does; fixtures are not at hand in the other processes."""
    file = Path(os.environ["HYPERSORT_CONFIG"])
    file.write_text(config)
    plans = copy.deepcopy(job["plans"])
    plans["configurations"]["3d_fullres"].update(planned, batch_size=BATCH_SIZE)
    return kind(plans, "3d_fullres", 0, job["dataset_json"], torch.device("cpu"))


def take_steps(
    trainer: Any, batches: list[dict[str, Any]], draws: tuple[tuple[int, ...], ...], samples: slice
) -> dict[str, Any]:
    trainer.on_train_start()
    cases = trainer.table.case_ids
    for batch, draw in zip(batches, draws, strict=False):
        trainer.train_step(
            {
                "data": batch["data"][samples],
                "target": [level[samples] for level in batch["target"]]
                if trainer.enable_deep_supervision
                else batch["target"][0][samples],
                "keys": [cases[case] for case in draw[samples]],
            }
        )
    return {name: value.clone() for name, value in trainer.hypernetwork.state_dict().items()}


def one_rank(rank: int, folder: str, job: dict[str, Any]) -> None:
    """Train in one of two processes; each scenario's state goes to a file."""
    torch.set_num_threads(1)
    # A file of settings of its own, since both write theirs.
    os.environ["HYPERSORT_CONFIG"] = f"{folder}/config_{rank}.yaml"
    # On GPUs each process names its own; a model on the CPU has none to name.
    module: Any = sys.modules[nnUNetTrainer.__module__]
    module.DDP = lambda network, device_ids: DistributedDataParallel(network)
    module.MetaLogger.plot_progress_png = lambda self, folder: None
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    samples = slice(rank * 2, rank * 2 + 2)
    for name, scenario in SCENARIOS.items():
        trainer = build(GlooTrainer, job, scenario.config, scenario.planned)
        torch.save(take_steps(trainer, job["batches"], scenario.draws, samples), f"{folder}/{name}_{rank}.pth")
    # Without a seed every process has random numbers of its own, and must take the latents of the first.
    for start in ("random", "spectral"):
        config = SHORT.replace(", seed: 3", "") + f"latent: {{start: {start}, init_std: 1.0}}\n"
        trainer = build(DriftingTrainer, job, config, {})
        trainer.run_training()
        torch.save(trainer.hypernetwork.state_dict(), f"{folder}/{start}_run_{rank}.pth")
    dist.barrier()
    continued = build(DriftingTrainer, job, config, {})
    continued.load_checkpoint(os.path.join(continued.output_folder, "checkpoint_final.pth"))
    torch.save(continued.hypernetwork.state_dict(), f"{folder}/continued_{rank}.pth")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def trained(tiny_dataset, tmp_path_factory):
    """States of both ranks and of one process with the joint batch, for each scenario."""
    if not (dist.is_available() and dist.is_gloo_available()):
        pytest.skip("this PyTorch has no gloo")
    base, dataset = tiny_dataset("3d_fullres")
    folder = tmp_path_factory.mktemp("ddp")
    preprocessed = base / "nnUNet_preprocessed" / dataset
    job = {
        "plans": json.loads((preprocessed / "nnUNetPlans.json").read_text()) | {"continue_training": False},
        "dataset_json": json.loads((preprocessed / "dataset.json").read_text()),
    }
    states: dict[str, list[dict[str, torch.Tensor]]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("nnUNet_preprocessed", str(base / "nnUNet_preprocessed"))
        patch.setenv("nnUNet_results", str(folder / "nnUNet_results"))
        patch.setenv("nnUNet_n_proc_DA", "0")
        patch.setenv("GLOO_SOCKET_IFNAME", "lo")
        patch.setenv("HYPERSORT_CONFIG", str(folder / "config.yaml"))
        loader = build(JointTrainer, job, SHORT, {})
        loader.on_train_start()
        longest = max(len(scenario.draws) for scenario in SCENARIOS.values())
        job["batches"] = [next(loader.dataloader_train) for _ in range(longest)]
        mp.spawn(one_rank, args=(str(folder), job), nprocs=2)
        for name, scenario in SCENARIOS.items():
            joint = build(JointTrainer, job, scenario.config, scenario.planned)
            states[name] = [take_steps(joint, job["batches"], scenario.draws, slice(None))]
    for name in (*SCENARIOS, *WHOLE_RUNS):
        ranks = [torch.load(folder / f"{name}_{rank}.pth", weights_only=True) for rank in range(2)]
        states.setdefault(name, []).extend(ranks)
    states["files"] = [{file.name: torch.empty(0) for file in folder.glob("nnUNet_results/*/Drift*/fold_0/*")}]
    return states


@pytest.mark.parametrize("name", SCENARIOS)
def test_two_ranks_train_as_one_process_with_the_joint_batch(trained, name):
    joint, *ranks = trained[name]
    draws = SCENARIOS[name].draws
    assert joint["latents.visits"].tolist() == [sum(case in draw for draw in draws) for case in range(4)]
    # By hand: of the five steps of `warm_up` the last three gather.
    gathered = joint["case_gradients.counts"].tolist()
    assert gathered == ([6, 3, 2, 1] if name == "warm_up" else [])
    assert (joint["latents.values"].norm(dim=1) > 0).all() == (name != "warm_up")
    for key, expected in joint.items():
        # Biases before a normalisation stay at zero, up to rounding errors.
        largest = float(expected.abs().nan_to_num().max()) if expected.numel() else 0.0
        tolerance = max(SCENARIOS[name].tolerance * largest, 1e-7)
        for state in ranks:
            torch.testing.assert_close(
                state[key],
                expected,
                rtol=1e-3,
                atol=tolerance,
                equal_nan=True,
                msg=lambda text, key=key: key + text,
            )
        assert torch.equal(*(state[key].nan_to_num() for state in ranks)), key


@pytest.mark.parametrize("run", WHOLE_RUNS)
def test_ranks_stay_equal_over_a_whole_run_and_when_it_goes_on(trained, run):
    first, second = trained[run]
    for name, value in first.items():
        assert torch.equal(value.nan_to_num(), second[name].nan_to_num()), name
    assert first["latents.visits"].sum() > 0


def test_one_rank_writes_the_files(trained):
    assert {"checkpoint_final.pth", "latents.csv", "latent_history.safetensors"} <= trained["files"][0].keys()
    assert not [name for name in trained["files"][0] if name.startswith(".tmp-")]
