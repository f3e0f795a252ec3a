"""What a training leaves beside its checkpoints, for people and other programs to read."""

import math
import os
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from nnunetv2_hypersort.files import atomic_path
from nnunetv2_hypersort.files.tables import write_table
from nnunetv2_hypersort.hypernetwork import LatentTable
from nnunetv2_hypersort.latents import densest_latent
from nnunetv2_hypersort.latents.latent_map import save_latent_map

LATENTS_FILE = "latents.csv"
HISTORY_FILE = "latent_history.safetensors"
MAP_FILE = "latent_map.png"


def write_run_files(
    folder: str | os.PathLike[str], table: LatentTable, *, epoch: int, map_title: str | None = None
) -> None:
    """Write all files of a training; the map, which takes longest, only if it is given a title.

    Raises:
        OSError: One cannot be written.
    """
    write_latents(folder, table, epoch=epoch)
    write_history(folder, table)
    if map_title is not None:
        write_map(folder, table, epoch=epoch, title=map_title)


def write_latents(folder: str | os.PathLike[str], table: LatentTable, *, epoch: int) -> None:
    """Write `latents.csv`: one row per training case.

    Columns: `case`, the coordinates `z_0`, `z_1`, ..., `visits` (how often the case was visited), `loss` (running mean
    of nnU-Net's Dice + cross-entropy at full resolution, without the L1 norm of the latent; empty before the first
    visit) and `epoch` (the number of epochs finished).
    """
    values, visits, losses = table.values.tolist(), table.visits.tolist(), table.loss.tolist()
    write_table(
        Path(folder) / LATENTS_FILE,
        ["case", *(f"z_{axis}" for axis in range(table.dim)), "visits", "loss", "epoch"],
        (
            [case, *latent, count, loss if count else None, epoch]
            for case, latent, count, loss in zip(table.case_ids, values, visits, losses, strict=True)
        ),
    )


def write_history(folder: str | os.PathLike[str], table: LatentTable) -> None:
    """Write `latent_history.safetensors`: `latents`, shape (entries, cases, dim), and `epochs`, shape (entries,).

    The cases are those of `latents.csv`, in its order; a case that joined later is not-a-number before.
    """
    with atomic_path(Path(folder) / HISTORY_FILE) as temporary:
        temporary.write_bytes(
            save({"latents": table.history.cpu().numpy(), "epochs": table.history_epochs.cpu().numpy()})
        )


def write_map(folder: str | os.PathLike[str], table: LatentTable, *, epoch: int, title: str) -> None:
    """Write `latent_map.png`: the latents, coloured by the running mean of the loss, with the mode marked."""
    latents = table.values.cpu().double().numpy()
    losses = np.where(table.visits.cpu().numpy() > 0, table.loss.cpu().double().numpy(), math.nan)
    save_latent_map(
        Path(folder) / MAP_FILE,
        latents,
        title=f"{title}, {len(table)} training cases, epoch {epoch}",
        colours=losses,
        colour_label="loss (Dice + cross-entropy)",
        mode=densest_latent(latents),
    )
