"""Two processes train as one with the joint batch: gloo on the CPU stands for nccl on two GPUs."""

import copy
import json
import os
import sys
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
    [0, 1, 2, 3],  # a rank draws none of the other's cases
    [0, 1, 1, 2],  # both draw case 1
    [0, 0, 0, 0],  # both draw the same case alone
    [3, 3, 1, 2],  # one rank draws one case alone
)
WIDE = "latent: {init_std: 1.0}\n"
SCENARIOS: dict[str, tuple[str, dict[str, Any]]] = {
    "modulation": (SHORT + WIDE, {}),
    "low_rank": (SHORT + WIDE + "hypernetwork: {generator: low_rank}\n", {}),
    "batch_dice": (SHORT + WIDE, {"batch_dice": True}),
    "no_deep_supervision": (SHORT.replace("seed: 3", "seed: 3, deep_supervision: false") + WIDE, {}),
    "no_deep_supervision_low_rank": (
        SHORT.replace("seed: 3", "seed: 3, deep_supervision: false") + WIDE + "hypernetwork: {generator: low_rank}\n",
        {},
    ),
}


class GlooTrainer(HyperSORTTrainer):
    """nnU-Net puts each process of a distributed training on a GPU of its own."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.device, self.grad_scaler = torch.device("cpu"), None


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
    """Build and initialise a trainer as nnUNetv2_train does; `nnunet` is not at hand in the other processes."""
    file = Path(os.environ["HYPERSORT_CONFIG"])
    file.write_text(config)
    plans = copy.deepcopy(job["plans"])
    plans["configurations"]["3d_fullres"].update(planned, batch_size=BATCH_SIZE)
    trainer = kind(plans, "3d_fullres", 0, job["dataset_json"], torch.device("cpu"))
    trainer.on_train_start()
    return trainer


def take_steps(trainer: Any, batches: list[dict[str, Any]], samples: slice) -> dict[str, Any]:
    for batch in batches:
        trainer.train_step(
            {
                "data": batch["data"][samples],
                "target": [level[samples] for level in batch["target"]]
                if trainer.enable_deep_supervision
                else batch["target"][0][samples],
                "keys": batch["keys"][samples],
            }
        )
    return {name: value.clone() for name, value in trainer.hypernetwork.state_dict().items()}


def one_rank(rank: int, folder: str, job: dict[str, Any]) -> None:
    """Train in one of two processes; each scenario's state goes to a file."""
    torch.set_num_threads(1)
    # A private file of settings, and a private folder of results: nnU-Net's processes share theirs.
    os.environ["HYPERSORT_CONFIG"] = f"{folder}/config_{rank}.yaml"
    # On GPUs each process names its own; a model on the CPU has none to name.
    module: Any = sys.modules[nnUNetTrainer.__module__]
    module.DDP = lambda network, device_ids: DistributedDataParallel(network)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    samples = slice(rank * 2, rank * 2 + 2)
    for name, (config, planned) in SCENARIOS.items():
        trainer = build(GlooTrainer, job, config, planned)
        torch.save(take_steps(trainer, job["batches"], samples), f"{folder}/{name}_{rank}.pth")
    # Without a seed every process draws latents of its own, and must take those of the first.
    trainer = build(GlooTrainer, job, SHORT.replace(", seed: 3", ""), {})
    trainer.run_training()
    torch.save(trainer.hypernetwork.state_dict(), f"{folder}/whole_run_{rank}.pth")
    continued = build(GlooTrainer, job, SHORT.replace(", seed: 3", ""), {})
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
        job["batches"] = [next(loader.dataloader_train) for _ in DRAWS]
        for batch, draw in zip(job["batches"], DRAWS, strict=True):
            batch["keys"] = [loader.table.case_ids[case] for case in draw]
        mp.spawn(one_rank, args=(str(folder), job), nprocs=2)
        for name, (config, planned) in SCENARIOS.items():
            joint = build(JointTrainer, job, config, planned)
            states[name] = [take_steps(joint, job["batches"], slice(None))]
    for name in (*SCENARIOS, "whole_run", "continued"):
        ranks = [torch.load(folder / f"{name}_{rank}.pth", weights_only=True) for rank in range(2)]
        states.setdefault(name, []).extend(ranks)
    states["files"] = [{file.name: torch.empty(0) for file in folder.glob("nnUNet_results/*/Gloo*/fold_0/*")}]
    return states


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_two_ranks_train_as_one_process_with_the_joint_batch(trained, scenario):
    joint, *ranks = trained[scenario]
    start = joint["latents.values"].new_zeros(1)
    assert not torch.equal(joint["latents.values"], start)
    assert joint["latents.visits"].tolist() == [3, 3, 3, 2]
    for name, expected in joint.items():
        for state in ranks:
            torch.testing.assert_close(state[name], expected, rtol=1e-3, atol=1e-5, equal_nan=True, msg=name)
        assert torch.equal(*(state[name].nan_to_num() for state in ranks)), name


@pytest.mark.parametrize("run", ["whole_run", "continued"])
def test_ranks_stay_equal_over_a_whole_run_and_when_it_goes_on(trained, run):
    first, second = trained[run]
    for name, value in first.items():
        assert torch.equal(value.nan_to_num(), second[name].nan_to_num()), name
    assert first["latents.visits"].sum() > 0


def test_one_rank_writes_the_files(trained):
    assert {"checkpoint_final.pth", "latents.csv", "latent_history.safetensors"} <= trained["files"][0].keys()
    assert not [name for name in trained["files"][0] if name.startswith(".tmp-")]
