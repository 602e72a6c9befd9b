# mypy: allow-subclassing-any, allow-untyped-decorators
"""Optimizers for binarized networks."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from bnn2hw.nn import utils
from bnn2hw.nn.bop import Bop
from bnn2hw.nn.optimizers_base import Optimizer, state_of

__all__ = ["Bop", "CaseOptimizer"]

Predicate = Callable[[Any], bool]


@utils.register_keras_custom_object
class CaseOptimizer(Optimizer):
    """Train each variable with the optimizer whose predicate accepts it.

    The optimizer assigns the variables to its optimizers once, when it is built, at the latest in
    the first step. Saved files contain this assignment instead of the predicates.

    Example:
        >>> CaseOptimizer(
        ...     (Bop.is_binary_variable, Bop(threshold=1e-6, gamma=1e-3)),
        ...     default_optimizer=keras.optimizers.Adam(0.01),
        ... )

    Args:
        *predicate_optimizer_pairs: Pairs of a predicate, which takes a variable, and an optimizer.
        default_optimizer: Optimizer for variables that no predicate accepts. If None, these
            variables stay untrained, with a warning.
        name: Name of the optimizer.

    Attributes:
        optimizers: The optimizers in the given order, with the default one last.
        var_opt_mapping: Index of the optimizer of each variable, in the order of the build; None
            for a variable that stays untrained. The attribute is None until the optimizer is built.

    Raises:
        TypeError: A predicate is not callable, or an optimizer is not a Keras optimizer.
        ValueError: During the build, several predicates accept a variable, or a predicate accepts
            none.
    """

    def __init__(
        self,
        *predicate_optimizer_pairs: tuple[Predicate, keras.optimizers.Optimizer],
        default_optimizer: keras.optimizers.Optimizer | None = None,
        name: str = "optimizer_case",
    ) -> None:
        for index, (predicate, optimizer) in enumerate(predicate_optimizer_pairs):
            _check_pair(index, predicate, optimizer)
        if default_optimizer is not None and not isinstance(default_optimizer, keras.optimizers.Optimizer):
            raise TypeError(
                f"Expected a Keras optimizer as `default_optimizer`, not {type(default_optimizer).__name__}."
            )
        super().__init__(learning_rate=0.0, name=name)
        self.pred_opt_pairs = predicate_optimizer_pairs
        self.default = default_optimizer
        self.optimizers = [optimizer for _, optimizer in predicate_optimizer_pairs]
        if default_optimizer is not None:
            self.optimizers.append(default_optimizer)
        self.var_opt_mapping: list[int | None] | None = None
        self._owners: dict[int, int | None] = {}

    @property
    def variables(self) -> list[Any]:
        """The variables of this optimizer and of all optimizers in it."""
        return [*self._variables, *(v for optimizer in self.optimizers for v in optimizer.variables)]

    @property
    def weights(self) -> list[Any]:
        """The state of all optimizers, without hyperparameters."""
        return [weight for optimizer in self.optimizers for weight in state_of(optimizer)]

    @property
    def iterations(self) -> Any:
        """Number of steps so far."""
        return self._iterations

    @iterations.setter
    def iterations(self, variable: Any) -> None:
        raise NotImplementedError("CaseOptimizer does not support setting iterations.")

    @property
    def learning_rate(self) -> Any:
        """Not available: each of the ``optimizers`` has its own learning rate."""
        raise AttributeError(
            "CaseOptimizer has no learning rate of its own. Set the one of an optimizer in its `optimizers`."
        )

    def build(self, variables: Sequence[Any]) -> None:
        """Assign the variables to the optimizers and build the optimizers."""
        if self.built:
            return
        variables = list(variables)
        super().build(variables)
        if self.var_opt_mapping is None:
            self.var_opt_mapping = self._compute_var_opt_mapping(variables)
        self._owners = {id(v): index for v, index in zip(variables, self.var_opt_mapping, strict=True)}
        for index, optimizer in enumerate(self.optimizers):
            own = [variable for variable in variables if self._owners[id(variable)] == index]
            if own:
                optimizer.build(own)

    def _compute_var_opt_mapping(self, variables: Sequence[Any]) -> list[int | None]:
        """Return the index of the optimizer of each variable."""
        mapping = [self._claim(variable) for variable in variables]
        for index, (_, optimizer) in enumerate(self.pred_opt_pairs):
            if index not in mapping:
                raise ValueError(f"Optimizer `{optimizer.name}` did not claim any variables.")
        return mapping

    def _claim(self, variable: Any) -> int | None:
        """Return the index of the optimizer for a variable, or None."""
        claims = [index for index, (predicate, _) in enumerate(self.pred_opt_pairs) if predicate(variable)]
        if len(claims) > 1:
            raise ValueError(f"Variable `{_name(variable)}` claimed by multiple optimizers.")
        if claims:
            return claims[0]
        if self.default is not None:
            return len(self.pred_opt_pairs)
        warnings.warn(f"No `default_optimizer` provided to train variable `{_name(variable)}`.", stacklevel=2)
        return None

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Apply the gradients of each variable with its optimizer.

        Args:
            grads: Gradients in the order of the variables; None for a variable without a gradient.
            trainable_variables: The variables; None for those of the build.
        """
        variables = list(self._trainable_variables if trainable_variables is None else trainable_variables)
        if not self.built:
            self.build(variables)
        for index, optimizer in enumerate(self.optimizers):
            pairs = [
                (gradient, variable)
                for gradient, variable in zip(grads, variables, strict=True)
                if self._owners.get(id(variable)) == index
            ]
            if pairs:
                optimizer.apply([gradient for gradient, _ in pairs], [variable for _, variable in pairs])
        self._iterations.assign(self._iterations + 1)

    def save_own_variables(self, store: Any) -> None:
        """Save the number of steps. The optimizers save their own variables."""
        store["0"] = ops.convert_to_numpy(self._iterations)

    def load_own_variables(self, store: Any) -> None:
        """Load the number of steps. The optimizers load their own variables."""
        self._iterations.assign(store["0"])

    def get_config(self) -> dict[str, Any]:
        """Return the optimizers and the assignment of variables. Predicates cannot be saved."""
        return {
            "name": self.name,
            "optimizer_configs": [keras.optimizers.serialize(o) for _, o in self.pred_opt_pairs],
            "default_config": None if self.default is None else keras.optimizers.serialize(self.default),
            "var_opt_mapping": self.var_opt_mapping,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> CaseOptimizer:
        """Return an optimizer from the output of `get_config`.

        Args:
            config: The constructor arguments.
            custom_objects: Additional classes of optimizers by name.
        """
        config = copy.deepcopy(config)

        def restore(described: Any) -> Any:
            return keras.optimizers.deserialize(described, custom_objects=custom_objects)

        default = config["default_config"]
        optimizer = cls(
            *((_claims_nothing, restore(described)) for described in config["optimizer_configs"]),
            default_optimizer=None if default is None else restore(default),
            name=config["name"],
        )
        mapping = config["var_opt_mapping"]
        optimizer.var_opt_mapping = None if mapping is None else list(mapping)
        return optimizer


def _claims_nothing(_: Any) -> bool:
    """Replace a predicate that was not saved; it accepts no variable."""
    return False


def _check_pair(index: int, predicate: Any, optimizer: Any) -> None:
    """Raise TypeError unless the arguments are a predicate and an optimizer."""
    if not callable(predicate):
        raise TypeError(
            f"Expected a callable at `predicate_optimizer_pairs[{index}][0]`, not {type(predicate).__name__}."
        )
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise TypeError(
            f"Expected a Keras optimizer at `predicate_optimizer_pairs[{index}][1]`, "
            f"not {type(optimizer).__name__}."
        )


def _name(variable: Any) -> str:
    """Return the name of a variable for messages."""
    return str(getattr(variable, "path", variable.name))
