"""What the commands of the campaigns share: from the job of a run to the run that its process computes, and results."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.nnunet_runs import campaign
from benchmarks.nnunet_runs.tables import BEGIN, END
from benchmarks.nnunet_runs.workplace import Workplace


@pytest.mark.parametrize("dry_run", [False, True])
def test_the_process_of_a_job_computes_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dry_run: bool) -> None:
    runs = [SimpleNamespace(name=name, epochs=3) for name in ("first", "second")]
    job = campaign.own_process("module", runs[1], 60, Workplace(tmp_path), "mine.yaml", dry_run=dry_run)
    assert (job.name, job.epochs, job.steps, job.command[:3]) == ("second", 3, 60, (sys.executable, "-m", "module"))
    assert job.environment["nnUNet_results"] == str(tmp_path / "nnUNet_results" / "second")

    computed = []
    monkeypatch.setattr(sys, "argv", list(job.command[2:]))
    campaign.compute_named("Help", lambda args: computed.append(args) or runs, lambda *given: computed.append(given))
    asked, (workplace, run) = computed
    assert (asked.config, asked.dry_run, workplace.folder, run) == ("mine.yaml", dry_run, tmp_path, runs[1])


def test_results_go_into_the_work_folder_and_published_ones_into_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "REPOSITORY", tmp_path / "repository")
    for name in ("docs", "benchmarks/results"):
        (tmp_path / "repository" / name).mkdir(parents=True)
    page = tmp_path / "repository" / "docs" / "mine.md"
    page.write_text(f"Before.\n{BEGIN}\n{END}\n")
    workplace = Workplace(tmp_path / "work")
    campaign.write_results(workplace, "mine", {"a": 1}, "new", publish=False, draw=Path.touch)
    assert (workplace.folder / "mine.png").exists()
    assert "new" not in page.read_text()
    campaign.write_results(workplace, "mine", {"a": 2}, "new", publish=True)
    assert page.read_text().startswith(f"Before.\n{BEGIN}\n\nnew")
    assert json.loads((tmp_path / "repository" / "benchmarks" / "results" / "mine.json").read_text()) == {"a": 2}
    assert json.loads((workplace.folder / "mine.json").read_text()) == {"a": 2}


def test_a_dry_run_is_not_published(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "--work", "w", "--dry-run", "--publish"])
    with pytest.raises(SystemExit):
        campaign.campaign_arguments(campaign.argparse.ArgumentParser())
    assert "gives no results to publish" in capsys.readouterr().err
