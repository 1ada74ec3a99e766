"""Numbers have one grammar in files and overrides, and lists need no brackets."""

import pytest

from rejoinder.errors import UserError
from rejoinder.trainer.settings import overrides
from rejoinder.trainer.settings.resolve import read_config
from rejoinder.trainer.settings.values import parse_assignments, parse_yaml

RATE = "trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("20", 20),
        ("-1", -1),
        ("010", 10),
        ("1_000_000", 1_000_000),
        ("2e-5", 2e-5),
        ("2.0e-5", 2e-5),
        ("2E5", 2e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1_0.5e1_0", 10.5e10),
    ],
)
def test_a_number_is_written_as_in_python(text, number):
    value = parse_yaml(text, "x")
    assert (value, type(value)) == (number, type(number))


@pytest.mark.parametrize(
    "text", ["1:30", "0x10", "0o17", "2015-10-10", ".inf", ".nan", "inf", "1__0", "_1", "1_", "e5"]
)
def test_other_texts_are_not_numbers(text):
    assert parse_yaml(text, "x") == text


def nested(key, value):
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        (RATE, "2e-5", 2e-5),
        (RATE, "1", 1.0),
        ("task.loss.scale", "2_0", 20.0),
        ("task.train_data.shuffle_window", "1e6", 1_000_000),
        ("task.model.hidden_dropout_prob", "1e-1", 0.1),
        ("task.loss.matryoshka_dims", "256,128", [256, 128]),
        ("task.loss.matryoshka_dims", "[256, 128]", [256, 128]),
        ("task.loss.matryoshka_dims", "256", [256]),
        ("task.train_data.input_path", "2015-10-10", "2015-10-10"),
        ("task.train_data.input_path", "a,b", "a,b"),
        ("task.train_data.input_path", "", ""),
    ],
)
def test_files_and_overrides_read_the_same_value(tmp_path, key, text, expected):
    file = tmp_path / "x.yaml"
    file.write_text("\n".join(_lines(key, text)))
    for values in (overrides.load_file(str(file)), overrides.load_override(f"{key}={text}")):
        config = read_config([], "", {})
        overrides.apply(config, values, "x")
        *groups, name = key.split(".")
        for group in groups:
            config = getattr(config, group)
        value = getattr(config, name)
        assert (value, type(value)) == (expected, type(expected))


def _lines(key, text):
    """Returns the lines of a YAML file with one key."""
    parts = key.split(".")
    for depth, part in enumerate(parts):
        yield "  " * depth + f"{part}:" + (f" {text}" if depth == len(parts) - 1 else "")


def test_an_assignment_ends_before_the_next_key():
    text = "dims=256,128,name='x,y=z',list=[1, 2],group={a: 1, b: 2},path=gs://b/c,word=it's,n=3"
    assert parse_assignments(text, "x") == {
        "dims": "256,128",
        "name": "x,y=z",
        "list": [1, 2],
        "group": {"a": 1, "b": 2},
        "path": "gs://b/c",
        "word": "it's",
        "n": 3,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.b=1,a.b=2", "x: a.b is given twice"),
        ("a=1,a.b=2", "x: a.b is inside a key that has a value"),
        ("a.b=1,a=2", "x: a is given twice"),
        ("a=[1,b=2", "x: a: not YAML"),
    ],
)
def test_assignments_that_contradict_are_errors(text, message):
    with pytest.raises(UserError, match=message):
        parse_assignments(text, "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "x: a is given twice, in lines 1 and 3"),
        ("t:\n  steps: 1\n\n  steps: 2\n", "x: steps is given twice, in lines 2 and 4"),
        ('{"t": [{"n": 1, "n": 1}]}', "x: n is given twice, in lines 1 and 1"),
        ("a: 1\n'a': 2", "x: a is given twice, in lines 1 and 2"),
    ],
)
def test_a_key_that_a_file_gives_twice_is_an_error_that_names_it(text, message):
    with pytest.raises(UserError, match=message):
        parse_yaml(text, "x")


def test_a_key_may_replace_one_of_an_included_group():
    included = parse_yaml("base: &base {a: 1, b: 2}\nuse: {<<: *base, a: 3}\n", "x")
    assert included["use"] == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (f"{RATE}=2e", r"initial_learning_rate must be of type float, got '2e' \(str\)"),
        ("trainer.train_steps=1.5", r"trainer\.train_steps must be of type int, got 1\.5"),
        ("trainer.train_steps=", r"trainer\.train_steps must be of type int, got None"),
        ("task.loss.matryoshka_dims=8,x", r"matryoshka_dims\[1\] must be of type int, got 'x'"),
        ("task.model.hidden_dropout_prob=half", "must be of type float, got 'half'"),
        ("trainer.optimizer_config.ema.decay=0.9", r"unknown key '.*ema\.decay'; did you mean .*"),
    ],
)
def test_values_of_another_type_name_the_key(override, message):
    with pytest.raises(UserError, match=message):
        read_config([], override, {})


def test_an_empty_group_of_a_file_changes_nothing(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text("task:\n  loss:\ntrainer: {optimizer_config: {ema: }}\n")
    config = read_config([str(file)], "", {})
    assert config.task.loss.scale == 20
    assert config.trainer.optimizer_config.ema is None
