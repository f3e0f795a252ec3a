"""YAML files of people: a key given twice is refused by name and line, what YAML itself allows is read."""

import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.perturbation.spec import load_spec
from nnunetv2_hypersort.settings import load_settings
from nnunetv2_hypersort.settings.yaml_file import parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", r"F, line 3: the key `a` .* after line 1"),
        ("styles:\n  x: {p: 1, q: [1], 'p': 2}\n", r"F, line 2: the key `p` .* after line 2"),
        ("- a: 1\n- b:\n    - {c: 1}\n    - {c: 1, d: 2, c: 1}\n", r"line 4: the key `c`"),
        ("1: a\n0x1: b\n", r"line 2: the key `0x1` .* after line 1"),
        ("yes: a\non: b\n", r"line 2: the key `on`"),
        ("x: &x {a: 1}\ny: &y {b: 1}\nz:\n  <<: *x\n  <<: *y\n", r"line 5: the key `<<` .* after line 4"),
        ("? a\n: 1\n? a\n: 2\n", r"line 3: the key `a`"),
    ],
)
def test_a_key_given_twice_is_refused_by_name_and_line(text, said):
    with pytest.raises(HyperSORTError, match=said):
        parse_yaml(text, "F")


def test_the_same_key_in_different_mappings_is_no_mistake():
    assert parse_yaml("a: {x: 1}\nb: {x: 2}\nc: [{x: 3}, {x: 4}]\n", "F") == {
        "a": {"x": 1},
        "b": {"x": 2},
        "c": [{"x": 3}, {"x": 4}],
    }
    assert parse_yaml("1: a\n'1': b\n", "F") == {1: "a", "1": "b"}


def test_merge_keys_and_anchors_work_and_may_be_overridden():
    text = """
    base: &base {mm: 1, labels: [liver]}
    more: &more {<<: *base, mm: 2}
    last: {mm: 3, <<: [*more, *base]}
    again: *more
    """
    assert parse_yaml(text, "F") == {
        "base": {"mm": 1, "labels": ["liver"]},
        "more": {"mm": 2, "labels": ["liver"]},
        "last": {"mm": 3, "labels": ["liver"]},
        "again": {"mm": 2, "labels": ["liver"]},
    }


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "a: 2020-13-01",
        "a: !!python/object/apply:os.system ['true']",
        "[a, b]: 1",
        "? {a: 1}\n: 2",
        "a: 1\n---\nb",
    ],
)
def test_what_is_not_plain_yaml_is_one_sentence(text):
    with pytest.raises(HyperSORTError, match=r"^F is not valid YAML: [^\n]*\.$"):
        parse_yaml(text, "F")


def test_files_with_and_without_a_byte_order_mark_read_the_same(tmp_path):
    for encoding in ("utf-8", "utf-8-sig"):
        path = tmp_path / f"{encoding}.yaml"
        path.write_text("a: 1\n", encoding=encoding)
        assert read_yaml(path, "F") == {"a": 1}
    assert read_yaml(_written(tmp_path, ""), "F") is None


def test_both_kinds_of_files_that_people_write_are_read_this_way(tmp_path):
    with pytest.raises(HyperSORTError, match=r"mine\.yaml.*line 2: the key `latent`"):
        load_settings(_written(tmp_path, "latent: {dim: 2}\nlatent: {dim: 3}\n"))
    with pytest.raises(HyperSORTError, match=r"mine\.yaml, line 3: the key `proportion`"):
        load_spec(_written(tmp_path, "styles:\n  a:\n    {proportion: 1, proportion: 1}\n"))


def _written(folder, text):
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path
