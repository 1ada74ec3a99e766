import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from rejoinder.models.mpnet import MPNetConfig
from rejoinder.models.mpnet.attention import relative_buckets
from rejoinder.models.packing import gather_segments, pack
from rejoinder.models.sentence_encoder import SentenceEncoder

WITH_AND_WITHOUT_XLA = [False, pytest.param(True, marks=pytest.mark.host_xla)]


def packed_inputs(ids, row_length=40, num_rows=20, max_segments=6):
    values, splits = ids.values.numpy(), ids.row_splits.numpy()
    packed = pack(values, splits, row_length, num_rows, max_segments, pad_id=1)
    assert packed.fits
    names = ("token_ids", "segment_ids", "positions")
    rows = {name: tf.constant(getattr(packed, name)) for name in names}
    return rows, packed.slots, max_segments


def test_hidden_states_and_embeddings_equal_hugging_faces(make_encoder, golden):
    encoder = make_encoder()
    hidden = encoder.mpnet(tf.constant(golden.token_ids)).numpy()
    np.testing.assert_allclose(hidden[golden.token_ids != 1], golden.hidden, atol=2e-5)
    embedding = encoder({"token_ids": tf.constant(golden.token_ids)}, training=False)
    np.testing.assert_allclose(embedding, golden.embedding, atol=1e-5)


@pytest.mark.parametrize("jit_compile", WITH_AND_WITHOUT_XLA)
def test_packed_rows_give_the_same_embeddings(make_encoder, golden, jit_compile):
    encoder = make_encoder()
    ids = tf.RaggedTensor.from_tensor(tf.constant(golden.token_ids), padding=1)
    rows, slots, segments = packed_inputs(ids, row_length=152, num_rows=2, max_segments=4)
    run = tf.function(
        lambda rows: encoder(rows, training=False, max_segments=segments), jit_compile=jit_compile
    )
    embeddings = run(rows)
    assert embeddings.shape == [2, segments, 16]
    np.testing.assert_allclose(gather_segments(embeddings, slots), golden.embedding, atol=1e-5)
    used = np.zeros([2, segments], bool)
    used[slots[:, 0], slots[:, 1]] = True
    np.testing.assert_array_equal(embeddings.numpy()[~used], 0)


def test_texts_in_a_row_do_not_attend_to_each_other(make_encoder, ragged_ids):
    encoder = make_encoder()
    rows, slots, segments = packed_inputs(ragged_ids)
    before = gather_segments(encoder(rows, max_segments=segments), slots).numpy()
    row, number = slots[0]
    others = tf.not_equal(rows["segment_ids"], number + 1)
    in_row = tf.range(tf.shape(others)[0])[:, None] == row
    real = rows["segment_ids"] > 0
    changed = tf.where(others & in_row & real, 5, rows["token_ids"])
    assert not np.array_equal(changed, rows["token_ids"])
    after = gather_segments(encoder(rows | {"token_ids": changed}, max_segments=segments), slots)
    np.testing.assert_array_equal(after.numpy()[0], before[0])


def test_an_empty_row_is_zeros_and_padding_changes_nothing(make_encoder):
    encoder = make_encoder()
    short = encoder({"token_ids": tf.constant([[0, 7, 2], [1, 1, 1]])}).numpy()
    longer = encoder({"token_ids": tf.constant([[0, 7, 2, 1, 1, 1]])}).numpy()
    np.testing.assert_array_equal(short[1], 0)
    np.testing.assert_allclose(short[0], longer[0], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(short[0]), 1, atol=1e-6)


def test_gradients_packed_and_unpacked_are_equal(make_encoder, ragged_ids):
    encoder = make_encoder()
    rows, slots, segments = packed_inputs(ragged_ids)
    target = tf.random.stateless_normal([40, 16], [1, 2])

    def gradients(embed):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(embed() * target)
        return [
            tf.convert_to_tensor(gradient).numpy()
            for gradient in tape.gradient(loss, encoder.trainable_variables)
        ]

    plain = gradients(lambda: encoder({"token_ids": ragged_ids.to_tensor(1)}, training=True))
    packed = gradients(
        lambda: gather_segments(encoder(rows, training=True, max_segments=segments), slots)
    )
    for variable, one, other in zip(encoder.trainable_variables, plain, packed, strict=True):
        scale = max(1.0, np.abs(one).max())
        np.testing.assert_allclose(one / scale, other / scale, atol=1e-5, err_msg=variable.name)


class TestDropout:
    def test_masks_are_a_function_of_the_seed(self, make_encoder, ragged_ids):
        encoder = make_encoder(dropout=0.2)
        inputs = {"token_ids": ragged_ids.to_tensor(1)}
        one = encoder(inputs, training=True, seed=tf.constant([1, 2])).numpy()
        again = encoder(inputs, training=True, seed=tf.constant([1, 2])).numpy()
        other = encoder(inputs, training=True, seed=tf.constant([1, 3])).numpy()
        np.testing.assert_array_equal(one, again)
        assert np.abs(one - other).max() > 0.01

    def test_without_a_seed_every_call_draws_new_masks(self, make_encoder, ragged_ids):
        encoder = make_encoder(dropout=0.2)
        step = tf.function(lambda ids: encoder({"token_ids": ids}, training=True))
        ids = ragged_ids.to_tensor(1)
        assert np.abs(step(ids) - step(ids)).max() > 0.01

    def test_packed_rows_train_on_the_same_distribution(self, make_encoder, ragged_ids):
        encoder = make_encoder(dropout=0.1)
        rows, slots, segments = packed_inputs(ragged_ids)
        plain_step = tf.function(
            lambda seed: encoder({"token_ids": ragged_ids.to_tensor(1)}, training=True, seed=seed)
        )
        packed_step = tf.function(
            lambda seed: gather_segments(
                encoder(rows, training=True, seed=seed, max_segments=segments), slots
            )
        )
        draws = 300
        plain = np.stack([plain_step(tf.constant([0, i])) for i in range(draws)])
        packed = np.stack([packed_step(tf.constant([1, i])) for i in range(draws)])
        spread = plain.std(0)
        # Two means of `draws` values each differ by about spread * sqrt(2 / draws).
        error = np.abs(plain.mean(0) - packed.mean(0)) / (spread * np.sqrt(2 / draws))
        assert error.mean() < 1.2
        np.testing.assert_allclose(packed.std(0).mean(), spread.mean(), rtol=0.05)


@pytest.mark.parametrize("jit_compile", WITH_AND_WITHOUT_XLA)
def test_recomputed_activations_give_equal_gradients(make_encoder, ragged_ids, jit_compile):
    rows, slots, segments = packed_inputs(ragged_ids)
    results = []
    for recompute in (False, True):
        encoder = make_encoder(dropout=0.1, recompute=recompute)

        @tf.function(jit_compile=jit_compile)
        def step(encoder=encoder):
            with tf.GradientTape() as tape:
                embedded = encoder(
                    rows, training=True, max_segments=segments, seed=tf.constant([5, 6])
                )
                loss = tf.reduce_sum(gather_segments(embedded, slots)[:, 0])
            gradients = tape.gradient(loss, encoder.trainable_variables)
            return loss, [tf.convert_to_tensor(gradient) for gradient in gradients]

        results.append(step())
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-6)
    for one, other in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)


class TestBfloat16:
    def test_agrees_with_float32_and_returns_float32(self, make_encoder, golden):
        encoder = make_encoder(dtype="mixed_bfloat16")
        embedding = encoder({"token_ids": tf.constant(golden.token_ids)})
        assert embedding.dtype == tf.float32
        cosine = (embedding.numpy() * golden.embedding).sum(-1)
        assert cosine.min() > 0.999

    def test_norms_softmax_and_bias_stay_float32(self, make_encoder):
        encoder = make_encoder(dtype="mixed_bfloat16")
        ids = tf.TensorSpec([4, 12], tf.int32)
        graph = tf.function(lambda ids: encoder({"token_ids": ids})).get_concrete_function(ids)
        nodes = list(graph.graph.as_graph_def().node)
        kinds = {node.op: set() for node in nodes}
        for node in nodes:
            kinds[node.op].add(node.attr["T"].type)
        bfloat16, float32 = tf.bfloat16.as_datatype_enum, tf.float32.as_datatype_enum
        assert kinds["Softmax"] == {float32}
        assert kinds["Rsqrt"] == {float32}
        assert kinds["MatMul"] == {bfloat16}
        assert all(variable.dtype == tf.float32 for variable in encoder.variables)

    @pytest.mark.parametrize("jit_compile", WITH_AND_WITHOUT_XLA)
    def test_every_variable_gets_a_gradient_in_packed_training(
        self, make_encoder, ragged_ids, jit_compile
    ):
        encoder = make_encoder(dtype="mixed_bfloat16", dropout=0.1)
        rows, slots, segments = packed_inputs(ragged_ids)

        @tf.function(jit_compile=jit_compile)
        def step(rows):
            with tf.GradientTape() as tape:
                embeddings = encoder(rows, training=True, max_segments=segments)
                contexts, responses = tf.split(gather_segments(embeddings, slots), 2)
                scores = 20.0 * tf.matmul(contexts, responses, transpose_b=True)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.range(20), scores)
                loss = tf.reduce_mean(losses)
            gradients = tape.gradient(loss, encoder.trainable_variables)
            return loss, [tf.norm(tf.convert_to_tensor(gradient)) for gradient in gradients]

        loss, norms = step(rows)
        assert np.isfinite(loss)
        for variable, norm in zip(encoder.trainable_variables, norms, strict=True):
            assert np.isfinite(norm), variable.name
            # Softmax is invariant to a constant added to all keys, so the keys' third of
            # the joint bias has no gradient; the whole variable has one.
            assert norm > 0, variable.name

    def test_stored_as_bfloat16_computes_the_same_as_the_mixed_policy(self, make_encoder, golden):
        inputs = {"token_ids": tf.constant(golden.token_ids)}
        mixed = make_encoder(dtype="mixed_bfloat16")
        stored = make_encoder().stored_as("bfloat16")
        assert stored.mpnet.layers[0].intermediate.kernel.dtype == tf.bfloat16
        assert stored.mpnet.layers[0].output_norm.gamma.dtype == tf.float32
        np.testing.assert_array_equal(stored(inputs), mixed(inputs))

    def test_follows_the_global_policy(self, golden):
        before = tf_keras.mixed_precision.global_policy()
        tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
        try:
            encoder = SentenceEncoder(MPNetConfig.from_folder(golden.folder))
        finally:
            tf_keras.mixed_precision.set_global_policy(before)
        assert encoder.mpnet.layers[0].intermediate.compute_dtype == "bfloat16"
        # With a rounded residual stream, one real comment in 300 had a cosine of 0.9988 to
        # float32.
        assert encoder.mpnet(tf.constant(golden.token_ids[:1])).dtype == tf.float32


class TestFrozenLayers:
    def test_embeddings_relative_bias_and_the_lowest_layers_are_not_trained(self, make_encoder):
        encoder = make_encoder(frozen_layers=1)
        trained = {variable.name for variable in encoder.trainable_variables}
        assert trained
        assert all("/layer_1/" in name for name in trained)
        whole = {variable.name for variable in make_encoder().trainable_variables}
        assert {name for name in whole if "/layer_1/" in name} == trained

    def test_trained_variables_get_the_gradient_of_the_whole_model(self, make_encoder, golden):
        inputs = {"token_ids": tf.constant(golden.token_ids)}
        gradients = []
        for frozen in (0, 1):
            encoder = make_encoder(frozen_layers=frozen)
            variables = encoder.mpnet.layers[1].trainable_variables
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(encoder(inputs, training=True)[:, 0])
            gradients.append(tape.gradient(loss, variables))
        for one, other in zip(*gradients, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_frozen_layers_have_no_dropout(self, make_encoder, golden):
        inputs = {"token_ids": tf.constant(golden.token_ids)}
        encoder = make_encoder(dropout=0.5, frozen_layers=2)
        np.testing.assert_array_equal(encoder(inputs, training=True), encoder(inputs))
        encoder = make_encoder(dropout=0.5, frozen_layers=1)
        assert np.any(encoder(inputs, training=True) != encoder(inputs))


class TestSerialization:
    def test_every_layer_is_restored_from_its_config(self, make_encoder):
        encoder = make_encoder(dropout=0.3, recompute=True, frozen_layers=1)
        layers = [encoder, *encoder._flatten_layers(include_self=False)]
        ours = [layer for layer in layers if type(layer).__module__.startswith("rejoinder.models.")]
        assert len({type(layer) for layer in ours}) == 6
        for layer in ours:
            restored = type(layer).from_config(layer.get_config())
            assert restored.get_config() == layer.get_config()
            shapes = [tuple(variable.shape) for variable in layer.variables]
            assert [tuple(variable.shape) for variable in restored.variables] == shapes

    def test_a_saved_model_file_gives_the_same_embeddings(self, make_encoder, golden, tmp_path):
        encoder = make_encoder()
        inputs = {"token_ids": tf.constant(golden.token_ids)}
        expected = encoder(inputs).numpy()
        encoder.save(tmp_path / "model.keras")
        restored = tf_keras.models.load_model(tmp_path / "model.keras")
        assert type(restored) is SentenceEncoder
        np.testing.assert_array_equal(restored(inputs), expected)

    def test_a_checkpoint_restores_every_variable(self, make_encoder, tmp_path):
        encoder = make_encoder()
        path = tf.train.Checkpoint(model=encoder).write(str(tmp_path / "ckpt"))
        fresh = SentenceEncoder(encoder.config)
        tf.train.Checkpoint(model=fresh).read(path).assert_consumed()
        for one, other in zip(encoder.variables, fresh.variables, strict=True):
            np.testing.assert_array_equal(one, other)


class TestConfig:
    def test_sizes_that_do_not_divide_are_refused(self):
        with pytest.raises(ValueError, match="multiple of num_attention_heads, got 10 and 4"):
            MPNetConfig(hidden_size=10, num_attention_heads=4)
        with pytest.raises(ValueError, match="must be even, got 31"):
            MPNetConfig(relative_attention_num_buckets=31)

    def test_packed_rows_need_positions_and_max_segments(self, make_encoder):
        encoder = make_encoder()
        ids = tf.constant([[0, 4, 2]])
        ones = tf.ones_like(ids)
        with pytest.raises(ValueError, match="positions"):
            encoder({"token_ids": ids, "segment_ids": ones}, max_segments=1)
        with pytest.raises(ValueError, match="max_segments"):
            encoder({"token_ids": ids, "segment_ids": ones, "positions": ids})

    def test_a_text_longer_than_the_position_table_is_refused(self, make_encoder):
        with pytest.raises(ValueError, match="up to 150 tokens, got 151"):
            make_encoder()({"token_ids": tf.ones([1, 151], tf.int32)})


def test_relative_buckets_have_t5s_edges():
    buckets = relative_buckets(300, 32)
    # Keys before the query: buckets 0…7, then logarithmic up to 15; after it: 16 more.
    assert buckets[200, 200] == 0
    assert [buckets[200, 200 - d] for d in (1, 7, 8, 127, 128, 199)] == [1, 7, 8, 15, 15, 15]
    assert [buckets[0, d] for d in (1, 7, 8, 127, 128, 299)] == [17, 23, 24, 31, 31, 31]
