"""Names from files cannot leave folders, break tables or become anything else."""

import csv
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.hypernetwork import LatentTable
from nnunetv2_hypersort.hypernetwork.conditioning.latent_table import encode_json
from nnunetv2_hypersort.latents import FoldRecord, LatentChoice, check_style_name
from nnunetv2_hypersort.nnunet.plans import refuse_other_plans
from nnunetv2_hypersort.trainers.hypersort import run_files

# What a file may be called on Linux: any bytes but these, which Python gives as text with lone surrogates.
file_names = st.binary(min_size=1, max_size=20).map(
    lambda name: name.replace(b"/", b"_").replace(b"\0", b"_").decode(errors="surrogateescape")
)
awkward = st.sampled_from(["=1+1", "a,b", 'a"b', "a\rb", "a\nb", "\r\n", "@x", "-", " a ", "<b>", "\u2028", "a;b", "#"])


@settings(deadline=None)
@given(st.lists(file_names | awkward, min_size=1, max_size=6, unique=True))
def test_a_table_holds_any_case_name_in_a_row_of_its_own(case_ids):
    table = LatentTable(2)
    table.set_cases(case_ids, init_std=0.1, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        run_files.write_latents(folder, table, epoch=3)
        with (Path(folder) / "latents.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == case_ids
    assert {row["epoch"] for row in rows} == {"3"}
    np.testing.assert_allclose([[float(row["z_0"]), float(row["z_1"])] for row in rows], table.values, rtol=1e-6)
    loaded = LatentTable(2)
    loaded.load_state_dict(table.state_dict())
    assert loaded.case_ids == case_ids


def weights(case_ids, record) -> dict[str, torch.Tensor]:
    return {
        "record": encode_json(record),
        "latents.encoded_ids": encode_json(case_ids),
        "latents.values": torch.zeros(len(case_ids), 2),
        "latents.visits": torch.zeros(len(case_ids), dtype=torch.int64),
    }


@pytest.mark.parametrize("name", ["../../etc/x", "a/b", "/etc/x", "..", ".", "", "a\0b", "..\\x", 7, None])
def test_a_case_id_of_a_checkpoint_that_is_a_path_is_refused(name):
    FoldRecord.from_network_weights(weights(["liver_1"], {"fold": "0", "held_out": {"0": ["liver_2"]}}))
    for crafted in (
        weights([name], {"fold": "0"}),
        weights(["liver_1"], {"fold": "0", "held_out": {"0": [name]}}),
    ):
        with pytest.raises(HyperSORTError, match=r"latents in x\.pth are damaged .* is no case identifier"):
            FoldRecord.from_network_weights(crafted, source="x.pth")


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None)
@given(json_values, json_values)
def test_a_record_that_is_any_json_is_read_or_refused(case_ids, record):
    state = {**weights([], {}), "record": encode_json(record), "latents.encoded_ids": encode_json(case_ids)}
    try:
        found = FoldRecord.from_network_weights(state)
    except HyperSORTError:
        return
    assert found.case_ids == ()
    assert isinstance(found.fold, str)
    found.folds_that_train("liver_1")


@settings(deadline=None)
@given(st.text())
def test_a_style_name_is_part_of_a_file_name_or_refused(name):
    try:
        check_style_name(name)
    except HyperSORTError:
        return
    assert Path("styles", name).resolve().parent == Path("styles").resolve()
    assert name.isascii()
    assert name.replace("_", "a").replace("-", "a").isalnum()


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_choice_of_a_latent_or_refused(text):
    try:
        choice = LatentChoice.parse(text)
    except HyperSORTError:
        return
    assert LatentChoice.parse(str(choice)) == choice


@pytest.mark.parametrize("named", ["torch.hub.load", "os.system", "builtins.dict", "no.such.network", 5])
@pytest.mark.parametrize("place", ["network", "layer"])
def test_plans_that_name_a_function_as_a_network_are_refused(named, place):
    architecture = {
        "network_class_name": "torch.nn.Identity",
        "arch_kwargs": {"conv_op": "torch.nn.Conv3d", "norm_op": None},
        "_kw_requires_import": ["conv_op", "norm_op"],
    }
    plans = {"configurations": {"3d": {"architecture": architecture}}}
    init_args = {"plans": json.loads(json.dumps(plans)), "configuration": "3d"}
    refuse_other_plans(plans, None, init_args, source="x.pth")
    for content in (plans, init_args["plans"]):
        there = content["configurations"]["3d"]["architecture"]
        if place == "network":
            there["network_class_name"] = named
        else:
            there["arch_kwargs"]["conv_op"] = named
    with pytest.raises(HyperSORTError, match=r"plans in x\.pth name .* as a network or a layer"):
        refuse_other_plans(plans, None, init_args, source="x.pth")
