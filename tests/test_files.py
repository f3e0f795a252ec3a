"""Files are whole or absent."""

import pytest

from nnunetv2_hypersort.files import atomic_path, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path):
    target = tmp_path / "latents.csv"
    write_text(target, "old")

    def write_half() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            assert target.read_text() == "old"
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        write_half()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["latents.csv"]


def test_a_write_replaces_the_file(tmp_path):
    target = tmp_path / "plans.json"
    write_text(target, "old")
    write_json(target, {"a": [1]})
    assert target.read_text().split() == ["{", '"a":', "[", "1", "]", "}"]


def test_the_temporary_name_keeps_the_ending(tmp_path):
    with atomic_path(tmp_path / "seg.nii.gz") as temporary:
        assert temporary.name.endswith("seg.nii.gz")
        assert temporary.parent == tmp_path
        temporary.touch()
