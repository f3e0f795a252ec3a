"""Every verb finds out before its work whether it can write; what cannot be saved at the end is printed."""

import errno
import importlib
import os

import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.evaluation import evaluate
from nnunetv2_hypersort.files import writable
from nnunetv2_hypersort.fitting import fit
from nnunetv2_hypersort.nnunet.checkpoints import write_checkpoint
from nnunetv2_hypersort.ranking import rank
from nnunetv2_hypersort.styles import finding
from nnunetv2_hypersort.trainers.hypersort import pretrained

# By the name of the package's attribute one would get the function.
write_report = importlib.import_module("nnunetv2_hypersort.report.write_report")


def _styles(model, out):
    finding.find_styles(model)


def _rank(model, out):
    rank.rank_cases(model, predict=False)


def _splits(model, out):
    rank.rank_cases(model, predict=False, exclude=out / "splits.json")


def _fit(model, out):
    fit.fit_latents(model, out, out, shared=True, save_as="new")


def _report(model, out):
    write_report.write_report(model)


def _pretrained(model, out):
    source = model / "fold_0" / "checkpoint_final.pth"
    pretrained.write_pretrained_weights(source, out / "new.pth", dataset="1", configuration="3d_fullres")


@pytest.mark.parametrize(
    ("verb", "module", "work"),
    [
        (_styles, finding, "group_styles"),
        (_rank, rank, "gather_evidence"),
        (_splits, rank, "gather_evidence"),
        (_fit, fit, "load_new_cases"),
        (_report, write_report, "gather"),
        (_pretrained, pretrained, "read_checkpoint"),
    ],
)
def test_a_place_that_takes_no_file_is_refused_before_the_work(verb, module, work, styled_model, tmp_path, monkeypatch):
    def begin(*args, **options):
        raise AssertionError("the work began")

    monkeypatch.setattr(module, work, begin)
    # As in a folder without permission: root, who runs tests in containers, may write everywhere.
    monkeypatch.setattr(writable, "temporary_name", lambda name: f"missing/{name}")
    with pytest.raises(HyperSORTError, match=r"cannot be written, as .* takes no file"):
        verb(styled_model, tmp_path)


def test_an_output_folder_that_takes_no_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(writable, "temporary_name", lambda name: f"missing/{name}")
    with pytest.raises(HyperSORTError, match="cannot be written"):
        evaluate._make_folder(tmp_path / "new")


def test_a_ranking_that_cannot_be_saved_is_printed(styled_model, monkeypatch, capsys):
    def refuse(path, cases):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    monkeypatch.setattr(rank, "write_ranking", refuse)
    with pytest.raises(OSError, match=r"No space left on device: .*case_ranking\.csv"):
        rank.rank_cases(styled_model, predict=False)
    printed = capsys.readouterr().out
    assert printed.startswith("case,quality,style,")
    assert "phantom_009" in printed


def test_styles_that_cannot_be_saved_are_printed(styled_model, monkeypatch, capsys):
    def refuse(model, book, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), model.path)

    monkeypatch.setattr(finding.ModelFolder, "write_book", refuse)
    with pytest.raises(HyperSORTError, match="No space left on device"):
        finding.find_styles(styled_model, cases=0)
    assert capsys.readouterr().out.startswith("style")


@pytest.mark.parametrize("moment", ["render_page", "save_map_figure", "case_table"])
def test_a_report_that_was_interrupted_is_written_again(moment, styled_model, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr(write_report, moment, stop)
        with pytest.raises(KeyboardInterrupt):
            write_report.write_report(styled_model, minutes=0)
    files, _ = write_report.write_report(styled_model, minutes=0)
    assert all(file.is_file() for file in files)


def test_weights_that_cannot_be_written_name_their_file(tmp_path, monkeypatch):
    def fail(content, target):
        target.write(b"part")
        raise RuntimeError("[enforce fail at inline_container.cc:603] . unexpected pos 64 vs 0\nframe #0")

    monkeypatch.setattr("torch.save", fail)
    with pytest.raises(HyperSORTError, match=r"new\.pth could not be written \(.*unexpected pos.*; make room"):
        write_checkpoint(tmp_path / "new.pth", {})
    assert list(tmp_path.iterdir()) == []
