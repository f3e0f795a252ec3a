"""Make a planned 3-D configuration small enough for a CPU, by editing the plans file as nnU-Net documents it.

    nnUNetv2_extract_fingerprint -d 4
    nnUNetv2_plan_experiment -d 4
    python -m nnunetv2_hypersort.demo.small_plan $nnUNet_preprocessed/Dataset004_Hippocampus/nnUNetPlans.json
    nnUNetv2_preprocess -d 4 -c 3d_fullres

The defaults make the 2 mm hippocampus plan of the benchmarks: patch 24 x 32 x 24, 8/16/32 features, batch size 2.
"""

import argparse
from pathlib import Path

from nnunetv2_hypersort.files import changing_json


def shrink(
    plans_file: Path, *, configuration: str, spacing: float, patch_size: list[int], features: list[int], batch_size: int
) -> None:
    """Edit one configuration of a plans file in place.

    Args:
        plans_file: nnU-Net's plans in the preprocessed dataset folder.
        configuration: Such as `3d_fullres`.
        spacing: Isotropic voxel size in mm.
        patch_size: In voxels.
        features: Channels of each stage; every stage but the first halves the resolution.
        batch_size: Samples per step.
    """
    dimensions = len(patch_size)
    stages = len(features)
    with changing_json(plans_file) as plans:
        planned = plans["configurations"][configuration]
        planned.update(spacing=[spacing] * dimensions, patch_size=patch_size, batch_size=batch_size)
        planned["architecture"]["arch_kwargs"].update(
            n_stages=stages,
            features_per_stage=features,
            kernel_sizes=[[3] * dimensions] * stages,
            strides=[[1] * dimensions, *[[2] * dimensions] * (stages - 1)],
            n_conv_per_stage=[2] * stages,
            n_conv_per_stage_decoder=[2] * (stages - 1),
        )


def main() -> None:
    """Read the command line and edit the plans file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plans_file", type=Path)
    parser.add_argument("-c", "--configuration", default="3d_fullres")
    parser.add_argument("--spacing", type=float, default=2.0, help="mm, isotropic (default: 2)")
    parser.add_argument("--patch-size", type=int, nargs="+", default=[24, 32, 24], help="voxels")
    parser.add_argument("--features", type=int, nargs="+", default=[8, 16, 32], help="channels of each stage")
    parser.add_argument("--batch-size", type=int, default=2)
    args = parser.parse_args()
    shrink(
        args.plans_file,
        configuration=args.configuration,
        spacing=args.spacing,
        patch_size=args.patch_size,
        features=args.features,
        batch_size=args.batch_size,
    )


if __name__ == "__main__":
    main()
