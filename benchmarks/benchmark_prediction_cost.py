"""What prediction with a latent costs beside plain nnU-Net on the same network: seconds per case, interleaved.

    python benchmarks/benchmark_prediction_cost.py --output docs/prediction_cost.json

Both sides are nnU-Net's own predictor on the planned network, given the same weights: plain `nnUNetTrainer` weights on
one side, those that the predictor's network made of a HyperSORT checkpoint at the zero latent on the other, through
nnU-Net's `load_state_dict` for every case.
The two take turns, A B B A, so that a machine whose speed drifts slows both; the ratio is taken block by block. By
default one thread: threads waiting for each other are the largest noise on a shared machine. Processor seconds are
measured beside wall seconds, since other work on the machine touches them less.
"""

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunetv2_hypersort.latents import LATENT_VARIABLE, FoldRecord
from nnunetv2_hypersort.settings import Settings
from nnunetv2_hypersort.trainers import HyperSORTTrainer
from nnunetv2_hypersort.trainers.hypersort.planned_network import PLANS_SECTION
from nnunetv2_hypersort.trainers.hypersort.weight_translator import for_training

PATCH = (40, 56, 40)


def make_plans(features: list[int]) -> dict[str, Any]:
    """Plans of a 3d_fullres configuration with nnU-Net's hippocampus patch."""
    stages = len(features)
    architecture = {
        "n_stages": stages,
        "features_per_stage": features,
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * stages,
        "strides": [[1, 1, 1], *[[2, 2, 2]] * (stages - 1)],
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    configuration = {
        "patch_size": list(PATCH),
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": architecture,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
    return {
        "plans_name": "nnUNetPlans",
        "configurations": {"3d_fullres": configuration},
        "label_manager": "LabelManager",
    }


def make_predictor(trainer: type[nnUNetTrainer], plans: dict[str, Any], weights: Any, device: str) -> nnUNetPredictor:
    """nnU-Net's predictor with the network of `trainer`."""
    manager = PlansManager(plans)
    configuration = manager.get_configuration("3d_fullres")
    dataset_json = {"labels": {"background": 0, "organ": 1, "other": 2}, "channel_names": {"0": "CT"}}
    network = trainer.build_network_architecture(manager, configuration, 1, 3, False)
    network.load_state_dict(weights(manager, configuration))
    predictor = nnUNetPredictor(device=torch.device(device), allow_tqdm=False)
    predictor.manual_initialization(
        network.to(device), manager, configuration, [network.state_dict()], dataset_json, trainer.__name__, (0, 1, 2)
    )
    return predictor


def hypersort_weights(manager: PlansManager, configuration: Any) -> dict[str, torch.Tensor]:
    """Weights of a fold with two training cases, whose network at the mode is the plain one."""
    architecture = (manager, configuration, 1, 3, False)
    network = for_training(HyperSORTTrainer.build_network_architecture(*architecture), *architecture)
    network.latents.set_cases(["a", "b"], init_std=0.0)
    network.record = FoldRecord.encode("0", {"0": ["c"]})
    weights: dict[str, torch.Tensor] = network.state_dict()
    return weights


def compare(seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Medians of both sides, and the ratio block by block."""
    # What runs second in a pair is up to 3 % slower or faster here; a block of two pairs has each side first once.
    blocks = {name: [a + b for a, b in zip(values[::2], values[1::2], strict=True)] for name, values in seconds.items()}
    ratios = [ours / theirs for ours, theirs in zip(blocks["hypersort"], blocks["plain"], strict=True)]
    return {
        **{f"{name}_median": statistics.median(values) for name, values in seconds.items()},
        "ratio_median": statistics.median(ratios),
        "ratio_quartiles": statistics.quantiles(ratios, n=4)[::2],
    }


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=24, help="counted pairs after one warm-up pair, even")
    parser.add_argument("--features", type=int, nargs="+", default=[8, 16, 32], help="channels of each stage")
    parser.add_argument("--case", type=int, nargs=3, default=[60, 84, 40], help="voxels of a case (default: 4 tiles)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    os.environ.pop(LATENT_VARIABLE, None)
    os.environ["nnUNet_def_n_proc"] = str(args.threads)
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)

    plain_plans = make_plans(args.features)
    our_plans = {**plain_plans, PLANS_SECTION: {"settings": Settings().to_dict()}}
    ours = make_predictor(HyperSORTTrainer, our_plans, hypersort_weights, args.device)
    same = {name: value.clone() for name, value in ours.list_of_parameters[0].items()}
    plain = make_predictor(nnUNetTrainer, plain_plans, lambda *_: same, args.device)
    case = torch.randn(1, *args.case)

    if not torch.equal(
        ours.predict_logits_from_preprocessed_data(case), plain.predict_logits_from_preprocessed_data(case)
    ):
        raise SystemExit("the two networks give different logits: the comparison would mean nothing")
    wall: dict[str, list[float]] = {"plain": [], "hypersort": []}
    processor: dict[str, list[float]] = {"plain": [], "hypersort": []}
    for repetition in range(args.repetitions):
        pair = [("plain", plain), ("hypersort", ours)]
        for name, predictor in pair if repetition % 2 else reversed(pair):
            started, used = time.perf_counter(), time.process_time()
            predictor.predict_logits_from_preprocessed_data(case)
            if args.device == "cuda":
                torch.cuda.synchronize()
            wall[name].append(time.perf_counter() - started)
            processor[name].append(time.process_time() - used)
    figures = {
        "device": args.device,
        "threads": args.threads,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "features": args.features,
        "tiles": len(plain._internal_get_sliding_window_slicers(tuple(args.case))),
        "repetitions": args.repetitions,
        "wall_seconds": compare(wall),
        "processor_seconds": compare(processor),
    }
    print(json.dumps(figures, indent=2))
    if args.output:
        args.output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
