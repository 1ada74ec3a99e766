"""The command line of `rejoinder train`: shipped configurations and spellings of flags."""

from pathlib import Path

import pytest

from rejoinder.errors import UserError
from rejoinder.trainer import train
from rejoinder.trainer.resolve import find_config, read_config, shipped_configs

CONFIGS = Path(__file__).parents[2] / "configs"


def test_every_shipped_configuration_has_a_name_and_is_valid():
    shipped = shipped_configs()
    assert set(shipped) == {path.stem for path in CONFIGS.glob("*.yaml")}
    for name in shipped:
        assert read_config([name], "", {}).trainer.train_steps > 0


def test_a_shipped_configuration_is_found_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").mkdir()
    assert read_config(["quickstart"], "", {}).trainer.train_steps == 400


def test_later_files_and_flags_win(tmp_path):
    (tmp_path / "mine.yaml").write_text("trainer: {train_steps: 7}")
    files = ["quickstart", str(tmp_path / "mine.yaml")]
    assert read_config(files, "", {}).trainer.train_steps == 7
    assert read_config(files, "trainer.train_steps=8", {}).trainer.train_steps == 8
    flags = {"trainer.train_steps": 9}
    assert read_config(files, "trainer.train_steps=8", flags).trainer.train_steps == 9


def test_an_unknown_configuration_lists_the_shipped_ones():
    with pytest.raises(UserError, match=r"--config quikstart: does not exist; .* quickstart"):
        find_config("quikstart")


def test_model_garden_spellings_are_accepted_and_hidden(capsys):
    argv = ["--config_file=a.yaml", "--model_dir", "m", "--params_override", "x=--model_dir"]
    assert train.canonical(argv) == [
        *("--config=a.yaml", "--model-dir", "m"),
        *("--params-override", "x=--model_dir"),
    ]
    with pytest.raises(SystemExit) as stopped:
        train.main(["--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert "--config " in shown
    assert "--model_dir" not in shown


@pytest.mark.parametrize("flag", ["--data=x", "--init_from=x", "--experiment=x"])
def test_dropped_flags_are_errors(flag, capsys):
    with pytest.raises(SystemExit):
        train.main(["--model-dir=m", flag])
    assert f"unrecognized arguments: {flag}" in capsys.readouterr().err
