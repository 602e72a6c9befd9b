"""Train a network of ±1 weights with Brevitas on scikit-learn's digits, and export it as QONNX.

Needs `pip install brevitas onnx onnxoptimizer scikit-learn`. The compiler needs none of them but onnx:

    bnn2hw compile digits_brevitas.onnx --input uint5 -o build/digits
"""

from __future__ import annotations

import sys
from pathlib import Path

import brevitas.nn as qnn
import torch
from brevitas.export import export_qonnx
from brevitas.quant import SignedBinaryActPerTensorConst, SignedBinaryWeightPerTensorConst
from sklearn.datasets import load_digits
from torch import nn

TRAINED = 1347
"""The first images are for training, the other 450 for testing."""


def network() -> nn.Sequential:
    """Return a network 64-128-10 for pixels from 0 to 16."""
    parts: list[nn.Module] = []
    for inputs, outputs in ((64, 128), (128, 10)):
        parts += [
            qnn.QuantLinear(inputs, outputs, bias=False, weight_quant=SignedBinaryWeightPerTensorConst),
            nn.BatchNorm1d(outputs),
            qnn.QuantIdentity(act_quant=SignedBinaryActPerTensorConst),
        ]
    return nn.Sequential(*parts[:-1])


def trained(images: torch.Tensor, labels: torch.Tensor, epochs: int) -> nn.Sequential:
    """Return the network after some passes over the images."""
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), 0.003)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
        schedule.step()
    return model.eval()


def main(out: Path, epochs: int = 60) -> None:
    """Train, print the accuracy, and export."""
    torch.manual_seed(1)
    pixels, digits = load_digits(return_X_y=True)
    images, labels = torch.tensor(pixels, dtype=torch.float32), torch.tensor(digits)
    model = trained(images[:TRAINED], labels[:TRAINED], epochs)
    with torch.no_grad():
        right = (model(images[TRAINED:]).argmax(1) == labels[TRAINED:]).float().mean()
    sys.stdout.write(f"{100 * right:.1f} % of the test images\n")
    export_qonnx(model, args=torch.zeros(1, 64), export_path=str(out), dynamo=False, opset_version=13)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "digits_brevitas.onnx"))
