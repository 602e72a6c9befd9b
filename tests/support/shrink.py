"""Shrink a Keras network that fails a check: drop layers and halve sizes as long as it still fails."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import keras

from tests.support import networks as net

Config = dict[str, Any]

SIZES = ("units", "filters", "groups", "depth_multiplier")
WINDOWS = ("kernel_size", "strides", "pool_size", "dilation_rate", "size")

MOST_TRIES = 300


def shrink(
    model: keras.Model, fails: Callable[[keras.Model], bool], most: int = MOST_TRIES, seed: int = 0
) -> keras.Model:
    """Return the smallest network that is found and still fails; the model itself if none does.

    Args:
        model: A functional model that fails.
        fails: Says if a model fails in the way that is looked for. It raises nothing.
        most: Number of models to try.
        seed: Seed of the weights of smaller models, which are drawn anew.
    """
    config, smallest, tries = _bare(model.get_config()), model, 0
    found = True
    while found:
        found = False
        for candidate in smaller(config):
            if tries == most:
                return smallest
            made = _made(candidate, seed)
            if made is None:
                continue
            tries += 1
            if fails(made):
                config, smallest, found = candidate, made, True
                break
    return smallest


def smaller(config: Config) -> Iterator[Config]:
    """Yield configurations of smaller models: with a layer less, or with a size halved."""
    for i, layer in reversed(list(enumerate(config["layers"]))):
        for source in _sources(layer):
            yield _without(config, i, source)
    for value in sorted({v for _, _, v in _sizes(config)} - {1}, reverse=True):
        for to in dict.fromkeys((1, value // 2, value - 1)):
            yield _resized(config, lambda v, value=value, to=to: to if v == value else v)
    for i, key, value in _sizes(config):
        for to in dict.fromkeys((1, value // 2)) if value > 1 else ():
            changed = copy.deepcopy(config)
            _put(changed["layers"][i]["config"], key, to)
            yield changed
    for i, layer in enumerate(config["layers"]):
        if layer["config"].get("use_bias"):
            changed = copy.deepcopy(config)
            changed["layers"][i]["config"]["use_bias"] = False
            yield changed


def _bare(config: Config) -> Config:
    """Drop the shapes at which layers were built: others come."""
    bare = copy.deepcopy(config)
    for layer in bare["layers"]:
        layer.pop("build_config", None)
    return bare


def _made(config: Config, seed: int) -> keras.Model | None:
    """Build a model; None if its layers do not fit each other."""
    try:
        return net.shake(keras.Model.from_config(copy.deepcopy(config)), seed=seed)
    except (ValueError, TypeError, KeyError, IndexError, ZeroDivisionError):
        return None


def _histories(held: Any) -> Iterator[list[Any]]:
    """Yield the places in a configuration that name the layer that a tensor comes from."""
    if isinstance(held, dict):
        if "keras_history" in held:
            yield held["keras_history"]
        for each in held.values():
            yield from _histories(each)
    elif isinstance(held, (list, tuple)):
        for each in held:
            yield from _histories(each)


def _sources(layer: Config) -> list[str]:
    """Return the names of the layers that a layer reads."""
    return list(dict.fromkeys(name for name, *_ in _histories(layer.get("inbound_nodes"))))


def _without(config: Config, index: int, source: str) -> Config:
    """Remove a layer: its readers read one of its sources. What nobody reads then goes too."""
    changed = copy.deepcopy(config)
    gone = changed["layers"].pop(index)["name"]
    outputs = changed["output_layers"]
    ends = [outputs] if isinstance(outputs[0], str) else outputs
    for place in (*_histories(changed["layers"]), *ends):
        if place[0] == gone:
            place[0] = source
    _drop_unread(changed, {place[0] for place in ends})
    return changed


def _drop_unread(config: Config, ends: set[str]) -> None:
    """Remove layers that no output depends on."""
    by_name = {layer["name"]: layer for layer in config["layers"]}
    read, open_ = set(), list(ends)
    while open_:
        name = open_.pop()
        if name not in read:
            read.add(name)
            open_ += _sources(by_name[name])
    config["layers"] = [n for n in config["layers"] if n["name"] in read or n["class_name"] == "InputLayer"]


def _sizes(config: Config) -> Iterator[tuple[int, Any, int]]:
    """Yield the sizes in a configuration: the layer's place, the key, or key and index, and the value."""
    for i, layer in enumerate(config["layers"]):
        held = layer["config"]
        for key in (*SIZES, *WINDOWS, "batch_shape"):
            value = held.get(key)
            if isinstance(value, int):
                yield i, key, value
            elif isinstance(value, (list, tuple)):
                yield from ((i, (key, j), v) for j, v in enumerate(value) if isinstance(v, int))


def _put(held: Config, key: Any, value: int) -> None:
    if isinstance(key, str):
        held[key] = value
    else:
        held[key[0]] = [value if j == key[1] else v for j, v in enumerate(held[key[0]])]


def _resized(config: Config, change: Callable[[int], int]) -> Config:
    """Change all equal sizes at once: those of branches that meet must stay equal."""
    changed = copy.deepcopy(config)
    for i, key, value in list(_sizes(config)):
        _put(changed["layers"][i]["config"], key, change(value))
    return changed
