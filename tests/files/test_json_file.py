"""JSON of users: what is read, and the sentence for what is not."""

import json
import math

import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.json_file import read_json


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_reads_utf8_with_and_without_byte_order_mark(tmp_path, mark):
    file = tmp_path / "a.json"
    file.write_bytes(mark + '{"größe": [1, 2.5, null, "\\u00e4", "\\ud83d\\ude00"]}'.encode())
    assert read_json(file, what="a file") == {"größe": [1, 2.5, None, "ä", "😀"]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"labels": {"liver": 1, "liver": 2}}', "'liver' stands twice"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": -Infinity}', "-Infinity is no number"),
        (b'{"a": 1e400}', "1e400 is no number"),
        (b'{"a": "\xe4"}', "is not UTF-8 (byte 8)"),
        ('{"a": 1}'.encode("utf-16"), "is not UTF-8 (byte 1)"),
        (b'{"a": "\\ud800"}', "half a surrogate pair"),
        (b'{"a\\udfff": 1}', "half a surrogate pair"),
        (b"", "cannot be read as JSON"),
        (b'{"a": 1', "cannot be read as JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "cannot be read as JSON"),
        (b"[" * 200_000, "cannot be read as JSON"),
    ],
)
def test_one_sentence_for_what_is_no_json(tmp_path, content, said):
    file = tmp_path / "a.json"
    file.write_bytes(content)
    with pytest.raises(HyperSORTError) as caught:
        read_json(file, what="the dataset.json of the data set")
    assert str(caught.value).startswith(str(file))
    assert said in str(caught.value)
    assert str(caught.value).endswith("give the dataset.json of the data set.")


def test_names_a_file_that_is_not_there_or_no_file(tmp_path):
    with pytest.raises(HyperSORTError, match=r"a\.json does not exist; give the plans\.$"):
        read_json(tmp_path / "a.json", what="the plans")
    with pytest.raises(HyperSORTError, match=r"cannot be read \(Is a directory\); give the plans\.$"):
        read_json(tmp_path, what="the plans")


def test_what_nnunet_writes_may_hold_nan(tmp_path):
    file = tmp_path / "summary.json"
    file.write_text(json.dumps({"Dice": math.nan, "far": math.inf}))
    content = read_json(file, what="a summary", allow_nan=True)
    assert math.isnan(content["Dice"])
    assert content["far"] == math.inf
