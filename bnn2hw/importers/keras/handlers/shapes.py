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


REGULARIZERS = (
    *("Dropout", "AlphaDropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
    *("GaussianNoise", "GaussianDropout", "ActivityRegularization", "Identity"),
)
"""Layers that change values in training only."""

AUGMENTATIONS = (
    *("AugMix", "CutMix", "MixUp", "RandAugment", "Solarization"),
    *("RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomCrop"),
    *("RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale"),
    *("RandomHue", "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomRotation"),
    *("RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom"),
)
"""Layers that vary images in training only."""


@handles(*REGULARIZERS, *AUGMENTATIONS)
def nothing(call: Call) -> str:
    """Read a layer that returns its input in inference mode."""
    if call.shape != call.before:
        call.problem(
            f"images of {call.before} where {call.shape} are declared",
            "augmentation that keeps the size of images",
            "crop in advance, or use CenterCrop",
        )
    return call.edge
