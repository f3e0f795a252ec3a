"""The tables of docs/cost.md."""

from collections.abc import Mapping
from typing import Any

from benchmarks.nnunet_runs.tables import format_table

NAMES = {
    "plain": "plain nnU-Net",
    "default_warm_up": "default, warm-up, before gradients are gathered",
    "default_gathering": "default, warm-up, gathering gradients",
    "default": "default, latents learnt",
    "default_one_by_one": "default, but sample by sample",
    "sgd": "default with `optimizer: sgd`",
    "low_rank": "`low_rank`, rank 8",
    "basis": "`basis`, rank 8",
    "published": "published generator",
}


def markdown(results: Mapping[str, Any]) -> str:
    """All tables for which there are results."""
    parts = [write(results[name]) for name, write in _WRITERS.items() if name in results]
    return "\n".join(parts)


def _parameters(found: Mapping[str, Any]) -> str:
    names = {**NAMES, "default": "default generator, `modulation`"}
    rows = [
        [names[name], *(f"{found[plan][name]['parameters']:,} ({found[plan][name]['ratio']:.3f}x)" for plan in found)]
        for name in found["large"]
    ]
    return "**Trained parameters**\n\n" + format_table(["", *(f"{plan} plan" for plan in found)], rows)


def _steps(found: Mapping[str, Any]) -> str:
    text = ""
    for key, one in found.items():
        rows = [
            [NAMES[name], *(_ratio(side[clock]) for clock in ("processor", "wall"))]
            for name, side in one["sides"].items()
        ]
        text += (
            f"**Seconds of a training step / plain nnU-Net's, {key.replace('_', ', ')}** "
            f"(plain: {1000 * one['plain']['processor']:.0f} ms of processor time, "
            f"{1000 * one['plain']['wall']:.0f} ms by the clock; {one['threads']} thread(s), {one['repetitions']} "
            f"repetitions of {one['steps_per_repetition']} steps"
            + (f"; load {one['load']:.1f}" if "load" in one else "")
            + ")\n\n"
        )
        text += format_table(["", "processor, median (quartiles)", "clock, median (quartiles)"], rows) + "\n"
    return text.rstrip("\n") + "\n"


def _memory(found: Mapping[str, Any]) -> str:
    text = ""
    for key, sides in found.items():
        rows = [
            [
                NAMES[name],
                f"{_mb(side['peak'])} ({side['peak'] / sides['plain']['peak']:.3f}x)",
                f"{_mb(side['steps'])} ({side['steps'] / sides['plain']['steps']:.3f}x)",
            ]
            for name, side in sides.items()
        ]
        text += f"**Peak memory of training steps, {key.replace('_', ', ')}**\n\n"
        text += format_table(["", "peak of the process", "above what it had before the first step"], rows) + "\n"
    return text.rstrip("\n") + "\n"


def _checkpoints(found: Mapping[str, Any]) -> str:
    names = list(dict.fromkeys(name for sides in found.values() for name in sides))
    rows = [
        [
            NAMES[name],
            *(
                f"{_mb(sides[name]['bytes'])} ({sides[name]['ratio']:.3f}x)" if name in sides else "not written"
                for sides in found.values()
            ),
        ]
        for name in names
    ]
    return "**Size of a checkpoint**\n\n" + format_table(["", *(f"{plan} plan" for plan in found)], rows)


def _growth(found: Mapping[str, Any]) -> str:
    rows = [
        ["warm-up: steps", *(f"{one['warm_up_steps']:,.0f}" for one in found.values())],
        ["warm-up: visits per case", *(f"{one['visits_per_case_in_warm_up']:.1f}" for one in found.values())],
        ["warm-up: directions kept of a gradient", *(one["sketch"] for one in found.values())],
        ["warm-up: table of sums", *(_mb(one["sums_bytes"]) for one in found.values())],
        ["step while gathering, against the fewest cases", *(_ratio(_clock(one, 0)) for one in found.values())],
        ["step later, against the fewest cases", *(_ratio(_clock(one, 1)) for one in found.values())],
        ["latent table with its full history", *(_mb(one["table_bytes"]) for one in found.values())],
        ["checkpoint while gathering", *(_mb(one["default_gathering_checkpoint_bytes"]) for one in found.values())],
        ["checkpoint later, history full", *(_mb(one["default_checkpoint_bytes"]) for one in found.values())],
        ["end of the warm-up, once", *(f"{one['solve_seconds']:.2f} s" for one in found.values())],
        ["mode of the latents, once per epoch", *(f"{one['mode_seconds']:.2f} s" for one in found.values())],
    ]
    header = ["", *(f"{int(count):,} cases" for count in found)]
    return "**Growth with the number of training cases** (small plan; processor time)\n\n" + format_table(header, rows)


def _growth_memory(found: Mapping[str, Any]) -> str:
    header = ["", *(f"{int(count):,} cases" for count in found)]
    rows = [["peak memory of the process while gathering", *(_mb(one["peak"]) for one in found.values())]]
    return format_table(header, rows)


def _forms(found: Mapping[str, Any]) -> str:
    rows = [[layer, *(_ratio(one[clock]) for clock in ("processor", "wall"))] for layer, one in found.items()]
    title = "**Low-rank change of one convolution, two samples: thin convolutions / weights for each sample**\n\n"
    return title + format_table(["layer", "processor", "clock"], rows)


def _help(found: Mapping[str, Any]) -> str:
    low, high = found["wall_seconds"]["quartiles"]
    imported = "imported" if found["torch_imported"] else "not imported"
    return (
        f"**`hypersort --help`**: {found['wall_seconds']['median']:.2f} s by the clock ({low:.2f} to {high:.2f}), "
        f"{found['processor_seconds']['median']:.2f} s of processor time; torch is {imported}.\n"
    )


def _clock(one: Mapping[str, Any], phase: int) -> Mapping[str, Any]:
    found: Mapping[str, Any] = one[("default_gathering", "default")[phase]]["processor"]
    return found


def _ratio(found: Mapping[str, Any]) -> str:
    low, high = found["ratio_quartiles"]
    return f"{found['ratio_median']:.3f} ({low:.3f} to {high:.3f})"


def _mb(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"


_WRITERS = {
    "parameters": _parameters,
    "steps": _steps,
    "generators": _steps,
    "memory": _memory,
    "checkpoints": _checkpoints,
    "growth": _growth,
    "growth_memory": _growth_memory,
    "low_rank_forms": _forms,
    "help": _help,
}
