"""Architectures of binarized networks from the literature, untrained.

Each function returns a Keras model. Its arguments are the shape of the input, the number of classes
and a width multiplier, so that a small version trains on a laptop. With the default arguments it
returns the published network for ImageNet, or for CIFAR-10 in the case of `BinaryNet`. Weights are
not included. After an import of this package, saved files of these models load without custom
objects.

| network | paper | parameters | size | binarized operations |
| --- | --- | --- | --- | --- |
| `BinaryNet` | Courbariaux et al., 2016 | 10.36 M (32×32, 10 classes) | 1.26 MiB | 99.4 % |
| `BinaryAlexNet` | Hubara et al., 2016 | 61.86 M | 7.45 MiB | 91.3 % |
| `XNORNet` | Rastegari et al., 2016 | 62.40 M | 22.77 MiB | 90.1 % |
| `DoReFaNet` | Zhou et al., 2016 | 62.40 M | 22.80 MiB | 1-bit weights, 2-bit activations |
| `BiRealNet` | Liu et al., 2018 | 11.70 M | 4.00 MiB | 92.4 % |
| `BinaryResNetE18` | Bethge et al., 2019 | 11.70 M | 4.00 MiB | 92.4 % |
| `BinaryDenseNet28` | Bethge et al., 2019 | 5.15 M | 4.04 MiB | 94.7 % |
| `BinaryDenseNet37` | | 8.73 M | 5.13 MiB | 95.8 % |
| `BinaryDenseNet37Dilated` | | 8.73 M | 5.13 MiB | 94.5 % |
| `BinaryDenseNet45` | | 13.94 M | 7.35 MiB | 96.3 % |
| `MeliusNet22` | Bethge et al., 2020 | 6.94 M | 3.88 MiB | 97.1 % |
| `RealToBinaryNet` | Martinez et al., 2020 | 12.00 M | 5.13 MiB | 92.4 % |
| `QuickNetSmall` | Bannink et al., 2021 | 12.66 M | 4.00 MiB | 98.6 % |
| `QuickNet` | | 13.23 M | 4.17 MiB | 98.4 % |
| `QuickNetLarge` | | 23.34 M | 5.40 MiB | 99.2 % |
"""

from __future__ import annotations

from bnn2hw.nn.zoo.alexnet import BinaryAlexNet, DoReFaNet, XNORNet
from bnn2hw.nn.zoo.binarynet import BinaryNet
from bnn2hw.nn.zoo.densenet import (
    BinaryDenseNet28,
    BinaryDenseNet37,
    BinaryDenseNet37Dilated,
    BinaryDenseNet45,
)
from bnn2hw.nn.zoo.meliusnet import MeliusNet22
from bnn2hw.nn.zoo.quicknet import QuickNet, QuickNetLarge, QuickNetSmall
from bnn2hw.nn.zoo.realtobinary import RealToBinaryNet
from bnn2hw.nn.zoo.resnet import BinaryResNetE18, BiRealNet

__all__ = [
    "BiRealNet",
    "BinaryAlexNet",
    "BinaryDenseNet28",
    "BinaryDenseNet37",
    "BinaryDenseNet37Dilated",
    "BinaryDenseNet45",
    "BinaryNet",
    "BinaryResNetE18",
    "DoReFaNet",
    "MeliusNet22",
    "QuickNet",
    "QuickNetLarge",
    "QuickNetSmall",
    "RealToBinaryNet",
    "XNORNet",
]
