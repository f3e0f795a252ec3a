"""nnU-Net's plans beside a trained model, and where our part of them stands."""

import json
import os
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError

PLANS_SECTION = "hypersort"
"""Key of our section in nnU-Net's plans."""


def read_plans(plans_file: str | os.PathLike[str]) -> dict[str, Any]:
    """Read nnU-Net's plans.

    Raises:
        HyperSORTError: There is no such file, or it is not a JSON object.
    """
    path = Path(plans_file)
    try:
        plans = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HyperSORTError(
            f"There is no {path}; give nnU-Net's trained-model folder, the one that holds fold_0."
        ) from None
    except (OSError, ValueError) as error:
        raise HyperSORTError(f"{path} cannot be read ({error}); restore it.") from error
    if not isinstance(plans, dict):
        raise HyperSORTError(f"{path} is not a JSON object, so it holds no plans; restore it.")
    return plans
