"""Every look at the testing half is written down in a file that is committed."""

import csv
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from benchmarks.nnunet_runs.workplace import REPOSITORY
from nnunetv2_hypersort.errors import HyperSORTError

OPENINGS = Path("benchmarks") / "results" / "openings_of_the_testing_half.csv"
COLUMNS = ("date", "commit", "what")


def open_testing_half(what: str, repository: Path = REPOSITORY) -> int:
    """Write down that the testing half is looked at; call it before anything of it is read.

    Args:
        what: What is done with it, in a few words.
        repository: The checkout.

    Returns:
        How many openings there were, this one included.

    Raises:
        HyperSORTError: The code is not what is committed, so nobody could say later what was tested.
    """
    changed = [
        line[3:]
        for line in _git(repository, "status", "--porcelain", "--untracked-files=all").splitlines()
        # What earlier openings appended may wait for its commit.
        if Path(line[3:]) != OPENINGS
    ]
    if changed:
        raise HyperSORTError(
            f"The testing half stays closed while the working tree differs from its commit ({', '.join(changed[:3])}"
            f"{', ...' if len(changed) > 3 else ''}); commit or remove the changes first."
        )
    file = repository / OPENINGS
    is_new = not file.exists()
    commit = _git(repository, "rev-parse", "HEAD").strip()
    # Appended, never rewritten: no opening may get lost.
    with file.open("a", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        if is_new:
            writer.writerow(COLUMNS)
        writer.writerow((datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S"), commit, what))
    return count_openings(repository)


def count_openings(repository: Path = REPOSITORY) -> int:
    """How often the testing half was looked at."""
    file = repository / OPENINGS
    if not file.exists():
        return 0
    with file.open(encoding="utf-8", newline="") as stream:
        return sum(1 for _ in csv.DictReader(stream))


def _git(repository: Path, *arguments: str) -> str:
    try:
        found = subprocess.run(
            ["git", "-C", str(repository), *arguments], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise HyperSORTError(
            f"The testing half is opened from a git checkout only, and {repository} is none ({error})."
        ) from error
    return found
