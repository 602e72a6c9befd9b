"""Fixtures of the training side's tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # graphs run here once or twice: optimizing them takes longer than it saves
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _fresh_names():
    keras.utils.set_random_seed(0)
    keras.utils.clear_session(free_memory=False)  # collecting garbage 300 times takes longer than many a test
