import tensorflow as tf

from rejoinder.evaluation.curves import read_curves


def _write(folder, points):
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default():
        for step, value in points:
            tf.summary.scalar("training_loss", value, step)
            tf.summary.scalar("learning_rate", 1.0, step)
            tf.summary.scalar("best_accuracy", 1.0, step)
    writer.close()


def test_each_run_has_a_curve_with_ascending_steps(tmp_path):
    _write(tmp_path / "train", [(20, 1.0), (10, 2.0)])
    _write(tmp_path / "validation", [(20, 1.5)])
    train, validation = read_curves("m", str(tmp_path))
    assert (train.run, train.tag) == ("train", "training_loss")
    assert (train.steps, train.values) == ([10, 20], [2.0, 1.0])
    assert (validation.run, validation.values) == ("validation", [1.5])


def test_the_records_before_an_incomplete_one_are_kept(tmp_path):
    _write(tmp_path / "train", [(1, 3.0), (2, 2.0)])
    (path,) = (tmp_path / "train").glob("events.*")
    path.write_bytes(path.read_bytes()[:-10])
    (curve,) = read_curves("m", str(tmp_path))
    assert curve.steps[0] == 1


def test_a_folder_without_events_has_no_curve(tmp_path):
    assert read_curves("m", str(tmp_path)) == []
    assert read_curves("m", "some/hub-name") == []
