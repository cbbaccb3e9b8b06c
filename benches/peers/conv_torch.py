"""The case `conv` of `cargo bench --bench peers` with torchdiffeq: a training step of a convolutional ODE-Net.

    python benches/peers/conv_torch.py [--mnist DIR] [--threads N]

The network, loss, optimizer and batch are those of `conv.rs`; weights differ, which changes neither the work of equal
steps nor, much, the number of adaptive ones. Without MNIST the images are noise. Prints the median and the smallest
time of a step in ms.
"""

import argparse
import gzip
import pathlib
import statistics
import time

import torch
from torch import nn
from torchdiffeq import odeint

BATCH = 128
CALLS = 50


class Field(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 8, 3, padding=1)
        self.calls = 0

    def forward(self, _t, y):
        self.calls += 1
        return self.last(torch.tanh(self.first(y)))


class ConvOde(nn.Module):
    def __init__(self, **solver):
        super().__init__()
        self.encoder = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.field = Field()
        self.head = nn.Linear(32, 10)
        self.solver = solver
        self.register_buffer("span", torch.tensor([0.0, 1.0]))
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, x):
        y = torch.relu(self.encoder(x))
        y = odeint(self.field, y, self.span, **self.solver)[-1]
        return self.head(nn.functional.avg_pool2d(y, 7).flatten(1))


def batch(folder):
    if folder is None:
        return torch.rand(BATCH, 1, 28, 28), torch.arange(BATCH) % 10
    folder = pathlib.Path(folder)

    def unpack(name, header, count):
        with gzip.open(folder / name) as file:
            return torch.frombuffer(bytearray(file.read(header + count)[header:]), dtype=torch.uint8)

    images = unpack("train-images-idx3-ubyte.gz", 16, BATCH * 784)
    labels = unpack("train-labels-idx1-ubyte.gz", 8, BATCH)
    return images.reshape(BATCH, 1, 28, 28).float() / 255, labels.long()


def step_times(x, labels, **solver):
    torch.manual_seed(0)
    model = ConvOde(**solver)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    times = []
    for _ in range(CALLS + 3):
        model.field.calls = 0
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        times.append(1e3 * (time.perf_counter() - start))
    return times[3:], model.field.calls, loss.item()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--mnist")
    arguments.add_argument("--threads", type=int)
    arguments = arguments.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    x, labels = batch(arguments.mnist)
    for name, solver in {
        "conv/equal_steps": {"method": "rk4", "options": {"step_size": 0.25}},
        "conv/adaptive": {"method": "dopri5", "rtol": 1e-3, "atol": 1e-3},
    }.items():
        times, calls, loss = step_times(x, labels, **solver)
        print(
            f"{name:20} {statistics.median(times):9.3f} ms (min {min(times):.3f})"
            f"  field calls {calls}  loss {loss:.6f}"
        )


if __name__ == "__main__":
    main()
