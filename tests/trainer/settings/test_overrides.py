"""A key that does not exist, or a value of another type, is an error."""

import pytest

from rejoinder.errors import UserError
from rejoinder.trainer.config import default_config
from rejoinder.trainer.settings import overrides


def apply(values):
    config = default_config()
    overrides.apply(config, values, "x.yaml")
    return config


def test_unknown_key_names_the_nearest():
    with pytest.raises(UserError) as error:
        apply({"task": {"train_data": {"global_batchsize": 8}}})
    assert str(error.value) == (
        "x.yaml: unknown key 'task.train_data.global_batchsize'; "
        "did you mean task.train_data.global_batch_size?"
    )


def test_unknown_optimizer_names_the_nearest():
    values = {"trainer": {"optimizer_config": {"optimizer": {"type": "adamwx"}}}}
    with pytest.raises(UserError, match=r"optimizer\.type: no such choice 'adamwx'; did you mean"):
        apply(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trainer": {"train_steps": "many"}}, "train_steps must be of type int, got 'many'"),
        ({"trainer": {"train_steps": True}}, "train_steps must be of type int, got True"),
        ({"task": {"loss": {"symmetric": 1}}}, "symmetric must be of type bool, got 1"),
        ({"task": {"loss": 3}}, "task.loss is a group of keys, got 3"),
    ],
)
def test_wrong_kind_of_value(values, message):
    with pytest.raises(UserError, match=message):
        apply(values)


def test_whole_numbers_become_floats_for_float_keys():
    assert isinstance(apply({"task": {"loss": {"scale": 20}}}).task.loss.scale, float)


def test_exponents_without_a_point_are_numbers(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text("task: {loss: {scale: 2e1}}")
    assert apply(overrides.load_file(str(file))).task.loss.scale == 20.0


@pytest.mark.parametrize(
    "text",
    ["task.loss.scale=5.0", "task: {loss: {scale: 5.0}}", '{"task": {"loss": {"scale": 5.0}}}'],
)
def test_override_forms(text):
    assert apply(overrides.load_override(text)).task.loss.scale == 5.0


def test_missing_file():
    with pytest.raises(UserError, match="does not exist"):
        overrides.load_file("nowhere.yaml")


def test_broken_yaml(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text("a: [1")
    with pytest.raises(UserError, match="not YAML"):
        overrides.load_file(str(file))
