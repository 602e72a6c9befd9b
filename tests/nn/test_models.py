"""Profiles and tables: counts that can be done by hand."""

import json

import keras
import numpy as np
import pytest

import bnn2hw.nn as nn
from bnn2hw.nn import tables

L = nn.layers
SIGNS = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip"}


def model():
    return keras.Sequential(
        [
            keras.Input((64, 64, 1)),
            L.QuantConv2D(32, 3, padding="same", **SIGNS),
            keras.layers.MaxPooling2D(2),
            L.QuantDepthwiseConv2D(
                3,
                strides=3,
                padding="same",
                pad_values=1.0,
                input_quantizer=nn.quantizers.SteTern(),
                depthwise_quantizer=nn.quantizers.SteTern(),
                use_bias=False,
            ),
            keras.layers.BatchNormalization(scale=False),
            L.QuantSeparableConv2D(
                32,
                3,
                padding="same",
                input_quantizer="ste_sign",
                depthwise_quantizer="ste_sign",
                pointwise_quantizer="ste_sign",
            ),
            keras.layers.Flatten(),
            keras.layers.Dense(10, trainable=False),
        ]
    )


def test_counts_of_each_layer():
    layers = nn.models.profile(model()).layer_profiles
    kernels = [288, 0, 288, 0, 288 + 1024, 0, 38_720]
    others = [32, 0, 0, 64, 32, 0, 10]
    pixels = [4096, 1024, 121, 121, 121, 1, 1]

    assert [p.weight_count() for p in layers] == [k + o for k, o in zip(kernels, others, strict=True)]
    assert [p.output_pixels for p in layers] == pixels
    assert [p.op_count("mac") for p in layers] == [k * n for k, n in zip(kernels, pixels, strict=True)]
    assert [p.input_precision for p in layers] == [None, None, 2, None, 1, None, None]
    assert [p.unique_op_precisions for p in layers] == [[32], [], [2], [], [1], [], [32]]
    assert [p.unique_param_bidtwidths for p in layers] == [[1, 32], [], [2], [32], [1, 32], [], [32]]
    assert layers[0].memory == 288 + 32 * 32
    assert layers[2].memory == 2 * 288
    assert layers[0].int8_fp_weights_memory == 288 + 8 * 32
    assert layers[0].fp_equivalent_memory == 32 * 320


def test_nested_model_is_one_row_with_all_its_counts():
    whole = model()
    inner = keras.Sequential([keras.Input((32, 32, 32)), *whole.layers[2:5]])
    outer = keras.Sequential([keras.Input((64, 64, 1)), *whole.layers[:2], inner, *whole.layers[5:]])

    nested, flat = nn.models.profile(outer), nn.models.profile(whole)

    assert len(nested.layer_profiles) == 5
    assert nested.generate_summary() == flat.generate_summary()
    assert nested.layer_profiles[2].output_shape == (-1, 11, 11, 32)


def test_operations_can_be_left_out(capsys):
    nn.models.summary(model(), include_macs=False)

    assert "MAC" not in capsys.readouterr().out


def test_tables_go_where_they_are_sent(capsys):
    parts = []
    nn.models.summary(model(), print_fn=parts.append)

    assert len(parts) == 2
    assert capsys.readouterr().out == ""


def test_ternary_operations_have_a_row(capsys):
    nn.models.summary(model())

    assert "Ratio of MACs that are ternarized" in capsys.readouterr().out


def test_quantizer_without_precision_counts_as_32_bits():
    net = keras.Sequential([keras.Input((3,)), L.QuantDense(2, kernel_quantizer=np.tanh, use_bias=False)])

    assert nn.models.profile(net).unique_param_bidtwidths == [32]


def test_channels_first_counts_places_and_not_channels():
    net = keras.Sequential(
        [keras.Input((3, 8, 9)), keras.layers.Conv2D(4, 1, data_format="channels_first", use_bias=False)]
    )

    assert nn.models.profile(net).op_count("mac") == 3 * 4 * 72


def test_unknown_operations_are_marked(capsys):
    nn.models.summary(keras.Sequential([keras.Input((4, 4, 4, 2)), L.QuantConv3D(2, 2), keras.layers.ReLU()]))
    profile = nn.models.profile(keras.Sequential([keras.Input((4, 4, 4, 2)), L.QuantConv3D(2, 2)]))

    assert profile.layer_profiles[0].op_count("mac") is None


def test_only_multiply_accumulates_are_counted():
    with pytest.raises(
        ValueError, match=r"^Only operations of the type 'mac' are counted\. Received: op_type='add'$"
    ):
        nn.models.profile(model()).op_count("add")


def test_profile_is_plain_data():
    data = json.loads(json.dumps(nn.models.profile(model()).as_dict()))

    assert data["weights"]["1"] == 288 + 1312
    assert data["layers"][2]["macs"] == {"2": 288 * 121}


def test_model_without_layers():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, inputs)
    nn.models.summary(model, print_fn=lambda _: None)

    assert nn.models.profile(model).weight_count() == 0


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (468, "468"),
        (999.6, "1 k"),
        (93_088, "93.1 k"),
        (2_794_240, "2.79 M"),
        (999_999, "1 M"),
        (5e12, "5 T"),
        (1e16, "1.00E+16"),
    ],
)
def test_readable_numbers(number, text):
    assert tables.number_as_readable_str(number) == text


@pytest.mark.parametrize(
    ("bits", "text"), [(8, "1.00 B"), (108_032, "13.19 KiB"), (8e9, "953.67 MiB"), (8e14, "93,132.26 GiB")]
)
def test_readable_sizes(bits, text):
    assert nn.utils.memory_as_readable_str(bits) == text
