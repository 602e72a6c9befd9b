"""Changes of shape, and layers that do nothing in inference."""

from __future__ import annotations

from bnn2hw.importers.keras.calls import Call, handles


@handles("Reshape", "Squeeze", "ExpandDims")
def reshape(call: Call) -> str:
    """Read a change of shape."""
    return call.reshape(call.name, call.shape, call.edge)


@handles("Flatten")
def flatten(call: Call) -> str:
    """Read all values of a sample as one vector."""
    if len(call.before) > 1 and not call.channels_last(call.layer.data_format):
        return call.edge
    return reshape(call)


@handles(
    "Dropout",
    "AlphaDropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "GaussianNoise",
    "GaussianDropout",
    "ActivityRegularization",
    "Identity",
    *(
        "RandomBrightness",
        "RandomContrast",
        "RandomFlip",
        "RandomRotation",
        "RandomTranslation",
        "RandomZoom",
    ),
)
def nothing(call: Call) -> str:
    """Read a layer that returns its input in inference mode."""
    return call.edge
