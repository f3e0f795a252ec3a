"""The command line as a user meets it."""

import os
import shlex
import subprocess
import sys

import pytest
from skips import need_program

from nnunetv2_hypersort.cli.main import VERBS, main
from nnunetv2_hypersort.nnunet.discovery import with_our_trainers


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nnunetv2_hypersort.cli.main", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_help_lists_every_verb_and_imports_nothing_heavy():
    script = (
        "import sys; from nnunetv2_hypersort.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'nnunetv2', 'nibabel', 'yaml', 'matplotlib') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "[]"
    # The text beside a long verb begins on a line of its own.
    listed = [line.split()[0] for line in shown.splitlines() if line.startswith("    ") and line.strip()]
    assert set(VERBS) <= set(listed)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb_is_light(verb):
    script = (
        "import sys; from nnunetv2_hypersort.cli.main import main\n"
        f"try: main(['{verb}', '--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'nnunetv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: hypersort {verb}")
    assert done.stdout.splitlines()[-1] == "[]"


def test_unknown_verbs_and_flags_are_refused(capsys):
    for arguments in (["evalute"], ["env", "--nonsense"], []):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
        assert "hypersort" in capsys.readouterr().err


def test_a_mistake_is_one_sentence_without_traceback(tmp_path):
    done = run("predict", "-m", str(tmp_path / "absent"), "-i", "x", "-o", "y")
    assert done.returncode == 1
    assert done.stderr.startswith("hypersort predict: There is no trained model in")
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error():
    command = f"{shlex.quote(sys.executable)} -m nnunetv2_hypersort.cli.main env | true; echo ${{PIPESTATUS[0]}}"
    for _ in range(3):
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("0\n", "")


def test_env_keeps_what_is_there():
    first = with_our_trainers("")
    assert os.path.isdir(first)
    assert sorted(name for name in os.listdir(first) if name != "__pycache__") == ["hypersort_trainers.py"]
    assert with_our_trainers("/mine") == f"/mine{os.pathsep}{first}"
    assert with_our_trainers(with_our_trainers("/mine")) == with_our_trainers("/mine")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_env_line_works_in_the_shell(shell):
    program = need_program(shell, package=shell)
    command = f"{shlex.quote(sys.executable)} -m nnunetv2_hypersort.cli.main env"
    done = subprocess.run(
        [program, "-c", f'eval "$({command})" && eval "$({command})" && printf %s "$nnUNet_extTrainer"'],
        capture_output=True,
        text=True,
        env={**os.environ, "nnUNet_extTrainer": "/with space/a $b"},
        check=True,
    )
    assert done.stdout == with_our_trainers("/with space/a $b")
