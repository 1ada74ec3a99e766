"""The command line of `rejoinder train`: shipped configurations and spellings of flags."""

from pathlib import Path

import pytest

from rejoinder.errors import UserError
from rejoinder.trainer import train
from rejoinder.trainer.settings.resolve import find_config, read_config, shipped_configs

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
    warm_up = "optimizer_config: {warmup: {linear: {warmup_steps: 2}}}"
    (tmp_path / "mine.yaml").write_text(f"trainer: {{train_steps: 7, {warm_up}}}")
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


def test_the_data_of_further_scores_are_read_before_the_run(tmp_path, monkeypatch):
    """Only the command knows `rejoinder.evaluation`; the run gets a function."""
    from rejoinder.trainer import experiment

    opened = []
    monkeypatch.setattr(
        experiment, "run_experiment", lambda *_, evaluation: opened.append(evaluation) or 0
    )
    (tmp_path / "dev.csv").write_text("a b,c d,1\ne f,g h,2\n")
    keys = f"task.evaluation.sts=[{tmp_path}/dev.csv]"
    command = ["--corpus", "c", "--model-dir", str(tmp_path / "m"), "--config", "quickstart"]
    for mode in ("train_and_eval", "train"):
        assert train.main([*command, "--params-override", keys, "--mode", mode]) == 0
    assert train.main(command) == 0
    assert [evaluation and evaluation.names for evaluation in opened] == [["sts_dev"], None, None]
    with pytest.raises(UserError, match=r"none\.csv"):
        train.main([*command, "--params-override", "task.evaluation.sts=[none.csv]"])
