"""Specs are read with types, checked, and misspelt keys get a hint; quotas are exact."""

from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.perturbation.assignment import assign, quotas
from nnunetv2_hypersort.perturbation.perturb import find_spec
from nnunetv2_hypersort.perturbation.spec import load_spec, parse_spec
from nnunetv2_hypersort.perturbation.steps import Operation


def spec_with(operations=None, errors=None, **style):
    content = {"styles": {"only": {"proportion": 1, "operations": operations or [], **style}}}
    return {**content, "errors": errors} if errors is not None else content


def test_steps_are_read_in_order_with_all_their_settings():
    steps = [{"dilate": {"mm": 2, "labels": "liver"}}, {"offset": {"axis": "left-right", "mm": -1.5}}]
    spec = parse_spec(spec_with(steps))

    assert spec.styles[0].operations == (
        Operation("dilate", {"mm": 2.0, "labels": ("liver",)}),
        Operation("offset", {"axis": "left-right", "mm": -1.5, "labels": None}),
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"style": {}}, "'styles'"),
        (spec_with(propotion=1), "'proportion'"),
        (spec_with([{"dilatee": {"mm": 1}}]), "'dilate'"),
        (spec_with([{"dilate": {"nm": 1}}]), "'mm'"),
        (spec_with([{"dilate": {}}]), "lacks the setting 'mm'"),
        (spec_with([{"dilate": {"mm": -1}}]), "above 0 mm"),
        (spec_with([{"dilate": {"mm": "2"}}]), "above 0 mm"),
        (spec_with([{"dilate": {"mm": True}}]), "above 0 mm"),
        (spec_with([{"offset": {"axis": "left-rigth", "mm": 1}}]), "'left-right'"),
        (spec_with([{"offset": {"axis": "left-right", "mm": 0}}]), "other than zero"),
        (spec_with([{"cut": {"end": "superior"}}]), "exactly one of 'mm' and 'fraction'"),
        (spec_with([{"cut": {"end": "superior", "mm": 2, "fraction": 0.1}}]), "exactly one of"),
        (
            spec_with(
                [{"tilt_border": {"between": ["a", "b"], "axis": "left-right", "towards": "left-right", "degrees": 9}}]
            ),
            "two different axes",
        ),
        (spec_with([{"shift_border": {"between": ["a"], "axis": "left-right", "mm": 1}}]), "2 different label names"),
        (spec_with({"dilate": {"mm": 1}}), "must be a list"),
        (spec_with([{"dilate": {"mm": 1}, "erode": {"mm": 1}}]), "must name one of"),
        (spec_with(errors={"rate": 0.1}), "no 'kinds'"),
        (spec_with(errors={"rate": 1.1, "kinds": ["empty"]}), "from 0 to 1"),
        (spec_with(errors={"rate": 0.1, "kinds": ["emtpy"]}), "'empty'"),
        (spec_with(errors={"rate": 0.1, "kinds": [{"empty": {"weight": 0}}]}), "weight"),
        (spec_with(errors={"rate": 0.1, "kinds": [{"swap_labels": {"labels": ["a"]}}]}), "at least two 'labels'"),
        ({"styles": {"a/b": {"proportion": 1}}}, "letters, digits"),
        ({"styles": {"none": {"proportion": 1}}}, "letters, digits"),
        ({"styles": {"a": {"proportion": 0.5}, "b": {"proportion": 0.4}}}, "add up to 0.9"),
        ({"styles": {"a": None}}, "proportion"),
        ([], "must be a mapping"),
    ],
)
def test_a_bad_spec_is_refused_with_the_cause(content, message):
    with pytest.raises(HyperSORTError, match=message):
        parse_spec(content)


def test_proportions_are_added_as_written():
    # In binary floating point 0.1 + 0.2 + 0.7 is 0.9999999999999999.
    styles = {name: {"proportion": share} for name, share in (("a", 0.1), ("b", 0.2), ("c", 0.7))}

    assert sum(style.proportion for style in parse_spec({"styles": styles}).styles) == 1


SHIPPED = ["perturb_hippocampus", "perturb_hippocampus_turn", "perturb_hippocampus_offset", "perturb_amos_liver"]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_specs_are_valid_and_have_what_the_benchmark_needs(name):
    spec = load_spec(find_spec(name))

    assert len(spec.styles) >= 3
    assert any(not style.operations for style in spec.styles)
    assert spec.error_rate == Decimal("0.08")
    assert len(spec.errors) >= 6


def test_unknown_and_broken_files_are_refused(tmp_path):
    with pytest.raises(HyperSORTError, match="perturb_hippocampus"):
        find_spec("no_such_spec")
    broken = tmp_path / "broken.yaml"
    broken.write_text("styles: [")
    with pytest.raises(HyperSORTError, match="not valid YAML"):
        load_spec(broken)


def test_labels_are_found_by_name_value_and_region():
    table = LabelTable.from_dataset_json(
        {"labels": {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}}, "dataset.json"
    )

    assert table.foreground == (1, 2)
    assert table.ignore_label == 3
    assert table.select(("whole",)) == (1, 2)
    assert table.select((2, "whole")) == (2, 1)
    assert table.select(None) == (1, 2)
    for wrong in ("ignore", "background", "cor", 7):
        with pytest.raises(HyperSORTError, match="not a foreground label"):
            table.select((wrong,))
    with pytest.raises(HyperSORTError, match="Did you mean 'core'"):
        table.select(("cor",))


def test_border_between_regions_is_refused_before_the_work_starts():
    table = LabelTable.from_dataset_json({"labels": {"background": 0, "whole": [1, 2], "core": 2}}, "dataset.json")
    step = {"shift_border": {"between": ["whole", "core"], "axis": "left-right", "mm": 1}}
    # The two names together stand for two values, but one of them alone already does.
    with pytest.raises(HyperSORTError, match="two single labels"):
        parse_spec(spec_with([step])).check_labels(table)


def test_largest_remainder_by_hand():
    # Exact: 3.5, 2.1, 1.4: rounded down 3, 2, 1, and the one case left goes to the remainder 0.5.
    assert quotas([0.5, 0.3, 0.2], 7) == [4, 2, 1]
    # Equal remainders: the first.
    assert quotas([1, 1, 1], 4) == [2, 1, 1]
    assert quotas([0.5, 0.3, 0.2], 260) == [130, 78, 52]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(0, 500))
def test_quotas_add_up_and_are_within_one_of_the_exact_share(shares, total):
    counts = quotas(shares, total)

    assert sum(counts) == total
    assert all(abs(count - share * total / sum(shares)) < 1 for count, share in zip(counts, shares, strict=True))


def test_quotas_hold_for_styles_and_errors_with_any_seed():
    spec = parse_spec(
        {
            "styles": {"a": {"proportion": 0.5}, "b": {"proportion": 0.3}, "c": {"proportion": 0.2}},
            "errors": {"rate": 0.08, "kinds": [{"empty": {"weight": 3}}, "other_case"]},
        }
    )
    cases = [f"case_{number:03d}" for number in range(100)]
    seen = set()
    for seed in range(5):
        planted = assign(cases, spec, seed)
        assert Counter(each.style for each in planted) == {0: 50, 1: 30, 2: 20}
        assert Counter(each.error for each in planted) == {None: 92, 0: 6, 1: 2}
        donors = {each.case: each.donor for each in planted if each.error == 1}
        assert all(donor in cases and donor != case for case, donor in donors.items())
        seen.add(tuple(each.style for each in planted))
    assert len(seen) == 5


def test_assignment_depends_on_neither_order_nor_process():
    spec = parse_spec(spec_with(errors={"rate": 0.5, "kinds": ["empty", "other_case"]}))

    assert assign(["a", "b", "c", "d"], spec, 3) == assign(["d", "c", "b", "a"], spec, 3)


def test_no_case_and_no_donor_are_refused():
    spec = parse_spec(spec_with(errors={"rate": 1, "kinds": ["other_case"]}))
    with pytest.raises(HyperSORTError, match="no training case"):
        assign([], spec, 0)
    with pytest.raises(HyperSORTError, match="needs a second case"):
        assign(["a"], spec, 0)
