"""The whole campaign; prints its counts, and ends with 1 if anything was lost or anything wrong was believed.

    python -m benchmarks.fault_campaign --work /scratch/faults

Minutes on one core, after planning and preprocessing a generated dataset. Linux only (forks, /proc).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.fault_campaign.mutations import MutationCounts

DATASET = "Dataset901_Tiny"


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for all that is made; may exist")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--mutations", type=int, default=2000)
    parser.add_argument("--twins", type=int, default=20, help="pairs of processes of each verb (default: %(default)s)")
    parser.add_argument("--verb-kills", type=int, default=20, help="kills of each verb (default: %(default)s)")
    parser.add_argument("--names", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ[name] = str(args.work.resolve() / name)
    # A forked process cannot use threads that its parent started.
    os.environ["OMP_NUM_THREADS"] = "1"
    # Augmentation in the training process; the planner cannot do with 0.
    os.environ.pop("nnUNet_n_proc_DA", None)
    dataset = _dataset(args.work.resolve())
    os.environ["nnUNet_n_proc_DA"] = "0"

    import torch

    from benchmarks.fault_campaign.kills import CONFIG, clear, kill_trainings
    from benchmarks.fault_campaign.mutations import mutate_files
    from benchmarks.fault_campaign.names import attack_with_names
    from nnunetv2_hypersort.files import write_json
    from nnunetv2_hypersort.trainers.base.newest_checkpoint import newest_checkpoint

    torch.set_num_threads(1)
    config = args.work / "config.yaml"
    config.write_text(CONFIG)
    os.environ["HYPERSORT_CONFIG"] = str(config.resolve())
    results = args.work.resolve() / "nnUNet_results"
    clear(results)
    began = time.process_time(), time.time()
    kills = kill_trainings(args.kills, dataset, results, seed=args.seed)
    print(f"\nKilled trainings: {kills.kills.total()} ({time.time() - began[1]:.0f} s)")
    for moment, number in kills.kills.items():
        print(f"  {number:5d}  {moment}")
    print(f"  {kills.continued:5d}  restarts went on from the newest complete checkpoint")
    print(f"  {kills.anew:5d}  restarts began anew, before the first checkpoint")
    print(f"  {len(kills.failures):5d}  failures", *kills.failures, sep="\n         ", flush=True)

    model = results / DATASET / "HyperSORTTrainer__nnUNetPlans__3d_fullres"
    newest, _ = newest_checkpoint(model / "fold_0")
    shutil.copyfile(newest, model / "fold_0" / "checkpoint_final.pth")
    plans = torch.load(newest, weights_only=False)["init_args"]["plans"]
    write_json(model / "plans.json", plans)
    scratch = args.work / "mutated"
    shutil.rmtree(scratch, ignore_errors=True)
    start = time.time()
    mutations = mutate_files(args.mutations, model, scratch, seed=args.seed)
    print(f"\nDamaged files: {mutations.outcomes.total()} ({time.time() - start:.0f} s)")
    _print_mutations(mutations)
    start = time.time()
    names = attack_with_names(args.names, model, args.work / "named", seed=args.seed)
    print(f"\nHostile names: {names.outcomes.total()} ({time.time() - start:.0f} s)")
    _print_mutations(names)
    failures = [*kills.failures, *mutations.failures, *names.failures]
    if args.twins or args.verb_kills:
        failures += _disturb_verbs(args, dataset, results)
    return 1 if failures else 0


def _print_mutations(mutations: "MutationCounts") -> None:
    by_file = Counter[tuple[str, str]]()
    for (name, _, outcome), number in mutations.outcomes.items():
        by_file[name, outcome] += number
    for (name, outcome), number in sorted(by_file.items()):
        print(f"  {number:5d}  {name}: {outcome}")
    by_kind = Counter[tuple[str, str]]()
    for (_, kind, outcome), number in mutations.outcomes.items():
        by_kind[kind, outcome] += number
    for (kind, outcome), number in sorted(by_kind.items()):
        print(f"  {number:5d}  {kind}: {outcome}")
    print(f"  {len(mutations.failures):5d}  failures", *mutations.failures, sep="\n         ", flush=True)


def _disturb_verbs(args: argparse.Namespace, dataset: Path, results: Path) -> list[str]:
    from benchmarks.fault_campaign.kills import clear
    from benchmarks.fault_campaign.tiny_model import train_halves
    from benchmarks.fault_campaign.twins import run_twins
    from benchmarks.fault_campaign.verb_kills import kill_verbs
    from benchmarks.fault_campaign.verbs import prepare_inputs, write_style

    work = args.work.resolve()
    clear(results)
    model = train_halves(dataset, results)
    write_style(model)
    inputs = prepare_inputs(work / "nnUNet_raw" / DATASET, model, work / "inputs")
    start = time.time()
    twins = run_twins(args.twins, inputs, work / "twins")
    print(f"\nTwo at once: {twins.outcomes.total()} pairs ({time.time() - start:.0f} s)")
    for (verb, outcome), number in twins.outcomes.items():
        print(f"  {number:5d}  {verb}: {outcome}")
    print(f"  {len(twins.failures):5d}  failures", *twins.failures, sep="\n         ", flush=True)
    start = time.time()
    killed = kill_verbs(args.verb_kills, inputs, work / "killed", seed=args.seed)
    print(f"\nKilled verbs: {killed.kills.total()} ({time.time() - start:.0f} s)")
    for (verb, moment), number in killed.kills.items():
        print(f"  {number:5d}  {verb}: {moment}")
    print(f"  {killed.missed:5d}  were done before")
    print(f"  {len(killed.failures):5d}  failures", *killed.failures, sep="\n         ")
    return [*twins.failures, *killed.failures]


def _dataset(work: Path) -> Path:
    from nnunetv2_hypersort.demo.phantom import SPACING, write_phantom_dataset
    from nnunetv2_hypersort.demo.small_plan import shrink

    folder = work / "nnUNet_preprocessed" / DATASET
    if (folder / "splits_final.json").is_file():
        return folder
    case_count = 10
    write_phantom_dataset(
        work / "nnUNet_raw" / DATASET, training_cases=case_count, test_cases=1, wrong_labels=0, seed=5
    )

    def run(command: str, *arguments: str) -> None:
        subprocess.run([Path(sys.executable).parent / command, "-d", "901", *arguments], check=True)

    run("nnUNetv2_extract_fingerprint", "-np", "2")
    run("nnUNetv2_plan_experiment")
    shrink(
        folder / "nnUNetPlans.json",
        configuration="3d_fullres",
        spacing=SPACING,
        patch_size=[16, 24, 24],
        features=[4, 8, 16],
        batch_size=2,
    )
    run("nnUNetv2_preprocess", "-c", "3d_fullres", "-np", "2")
    names = [f"phantom_{number:03d}" for number in range(case_count)]
    (folder / "splits_final.json").write_text(json.dumps([{"train": names[2:], "val": names[:2]}]))
    return folder


if __name__ == "__main__":
    sys.exit(main())
