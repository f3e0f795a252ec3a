"""What `hypersort harmonise` makes of the training labels, compared with the labels as they were drawn."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.after_training.five_folds import FIVE_FOLDS, first_run, model_folder
from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.style_recovery import held_out
from benchmarks.style_recovery.datasets import read_truth
from benchmarks.style_recovery.protocol import AS_DRAWN
from nnunetv2_hypersort.handover.harmonise import harmonise_labels
from nnunetv2_hypersort.styles.found_styles import FoundStyles

WRONG = "wrong label"


def harmonised(workplace: Workplace, config: str, found: FoundStyles) -> dict[str, Any]:
    """Mean Dice with the labels as drawn, of the training labels and of those redrawn in the style as drawn.

    Args:
        workplace: Where the five folds are trained.
        config: Settings of HyperSORT.
        found: What `hypersort styles` found in them.
    """
    run = first_run(config)
    truth = read_truth(workplace, run)
    as_drawn = [case for case, one in truth.items() if one.style == AS_DRAWN and not one.is_wrong]
    style_of = {case: one.style.name for one in found.styles for case in one.style.cases}
    style = Counter(style_of[case] for case in as_drawn if case in style_of).most_common(1)[0][0]
    with tempfile.TemporaryDirectory(dir=workplace.folder) as folder:
        redrawn = Path(folder) / "Dataset960_Harmonised"
        harmonise_labels(model_folder(workplace, run, FIVE_FOLDS), style, redrawn, progress=False)
        cases = sorted(truth)
        before, after = (
            held_out.score(workplace, run, dataset / "labelsTr", cases)[AS_DRAWN]
            for dataset in (workplace.raw / run.dataset, redrawn)
        )
    groups: dict[str, list[str]] = {}
    for case in cases:
        groups.setdefault(WRONG if truth[case].is_wrong else truth[case].style, []).append(case)
    return {
        "style": style,
        "groups": {
            group: {
                "cases": len(members),
                "before": float(np.mean([before[case][0] for case in members])),
                "after": float(np.mean([after[case][0] for case in members])),
            }
            for group, members in groups.items()
        },
    }
