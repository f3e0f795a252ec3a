"""Make the datasets of the suite, and measure how well mask statistics tell the styles.

    python -m benchmarks.unseen_styles.prepare --half choosing --data DATA --work WORK [--only GLOB] [--seeds 0]

DATA is the folder of the public data sets, WORK gets nnU-Net's folders. Beside each raw dataset's labels stands
`truth.json`.
"""

import argparse
import os
import sys
from fnmatch import fnmatch
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.unseen_styles.datasets import prepare
from benchmarks.unseen_styles.mixtures import Half, mixtures_of
from benchmarks.unseen_styles.openings import open_testing_half
from nnunetv2_hypersort.errors import HyperSORTError


def main() -> None:
    """Prepare the mixtures of one half."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", type=Half, choices=list(Half), required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of the public data sets")
    parser.add_argument("--work", type=Path, required=True, help="folder for everything that is made")
    parser.add_argument("--only", default="*", metavar="GLOB", help="only mixtures whose name matches")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of the runs to come")
    args = parser.parse_args()
    try:
        if args.half is Half.TESTING:
            open_testing_half(f"prepare {args.only}")
        workplace = Workplace(args.work)
        with workplace.locked():
            for mixture in mixtures_of(args.half):
                if not fnmatch(mixture.name, args.only):
                    continue
                for seed in sorted({mixture.draw(seed) for seed in args.seeds}):
                    prepare(workplace, args.data.resolve(), mixture, seed)
                    print(mixture.dataset(seed), flush=True)
    except HyperSORTError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
