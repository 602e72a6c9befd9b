"""A model as every importer returns it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from bnn2hw import untrusted
from bnn2hw.errors import Problem, UnsupportedError
from bnn2hw.ir import Array, AxisOrder, Graph
from bnn2hw.ops.source import Input

Model = Callable[[Mapping[str, Array]], Mapping[str, Array]]
"""A model as a function of its inputs by name."""


@dataclass(frozen=True)
class Oracle:
    """The executor of a model's own format.

    Attributes:
        packages: Its packages and those that it runs on, with their names in words.
        run: The model as it computes it: as `Imported.model`, but it may raise anything.
    """

    packages: Mapping[str, str]
    run: Model

    @property
    def name(self) -> str:
        """The executor in words, with its versions."""
        return version_of(self.packages)


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of packages; empty for those whose version is not known."""
    return {package: _version(package) for package in packages}


def version_of(packages: Mapping[str, str]) -> str:
    """Return packages in words with their versions, each on the next one.

    Args:
        packages: Their names in words by package.
    """
    return " on ".join(f"{words} {_version(package)}".strip() for package, words in packages.items())


@cache
def _version(package: str) -> str:
    from importlib import metadata  # takes longer to load than this module

    found = [metadata.version(name) for name in (package, *ALIASES.get(package, ())) if _is_installed(name)]
    return found[0] if found else ""


def _is_installed(package: str) -> bool:
    from importlib import metadata

    return any(True for _ in metadata.Distribution.discover(name=package))


ALIASES = {"tensorflow": ("tensorflow-cpu",), "onnxruntime": ("onnxruntime-gpu",)}
"""Other distributions of packages."""


@dataclass(frozen=True)
class Imported:
    """A model as a graph of ops over real numbers.

    Attributes:
        graph: The model in real form (see `bnn2hw.ops.real`). Its sources are the inputs of the
            model. Every node names the layer that it was made from.
        inputs: Integers on the wire and their real meaning, by source, if the model itself states
            them: a leading Rescaling layer of Keras does.
        name: Name of the model.
        defaults: Integers on the wire and their real meaning to the model, by source, unless users
            state others: a leading quantizer has such integers.
        layouts: Order of the values in the stream by source and by output, where the arrays of the
            model have their axes in another order.
        model: The model itself, in float32 and inference mode: takes its real inputs by source, of
            shape (frames, *shape), and returns its outputs by node. None if the importer cannot
            evaluate it.
        executor: What evaluates the layers one by one, in words.
        packages: The packages among these, with their names in words.
        oracle: The executor of the model's own format; None if it is missing, or is what evaluates the layers.
        lacking: Reason why there is no such executor, where the format has one.
        output: Output of the design if the model ends in an index of its largest scores; None for
            the default.
        names: Names of the outputs for users, in the order of the graph's; empty if the model names none.
    """

    graph: Graph
    inputs: Mapping[str, Input]
    name: str
    defaults: Mapping[str, Input] = field(default_factory=dict)
    layouts: Mapping[str, AxisOrder] = field(default_factory=dict)
    output: str | None = None
    names: tuple[str, ...] = ()
    model: Model | None = None
    executor: str = "layer by layer"
    packages: Mapping[str, str] = field(default_factory=dict)
    oracle: Oracle | None = None
    lacking: str = ""


def small_enough(layer: str, shape: tuple[int, ...]) -> None:
    """Check the size of an edge before anything of that size is made.

    Args:
        layer: Layer that makes the edge.
        shape: Shape of one sample.

    Raises:
        UnsupportedError: A sample has too many values.
        InputError: The name of the layer cannot stand in a source.
    """
    untrusted.name(layer, "a layer")
    if math.prod(shape) > untrusted.VALUES:
        size = "×".join(map(str, shape))
        raise UnsupportedError(
            [
                Problem(
                    layer,
                    f"an output of {size} = {math.prod(shape):,} values",
                    f"at most {untrusted.VALUES:,} values in a frame",
                    "cut the images into tiles",
                )
            ]
        )
