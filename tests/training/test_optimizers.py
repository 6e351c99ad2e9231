"""The table of optimizers: every row is one of torch's, and adding one means adding a row."""

import inspect
import subprocess
import sys
from typing import get_args

import pytest
import torch
from conftest import training
from torch import nn

from medgrid.config import Training
from medgrid.config.optimizers import OPTIMIZERS, Optimizer
from medgrid.config.training import OptimizerName
from medgrid.training.optimizers import make_optimizer


def test_settings_take_the_optimizers_of_the_table():
    assert get_args(OptimizerName) == tuple(OPTIMIZERS)
    for name in OPTIMIZERS:
        assert training(optimizer=name).optimizer == name
    with pytest.raises(ValueError, match="Input should be 'adamw', 'adam', 'sgd'"):
        training(optimizer="lion")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_row_describes_an_optimizer_of_torch(name):
    row = OPTIMIZERS[name]
    parameters = inspect.signature(getattr(torch.optim, row.torch_class)).parameters
    assert {"lr", *row.takes, *row.options} <= set(parameters)
    assert set(row.takes) <= set(Training.model_fields)
    weight = nn.Parameter(torch.ones(3))
    member = training(optimizer=name, lr=0.25, weight_decay=0.125, momentum=0.5)
    optimizer = make_optimizer(name, [(member, [weight]), (training(optimizer=name), [nn.Parameter(torch.ones(2))])])
    assert type(optimizer).__name__ == row.torch_class
    first, second = optimizer.param_groups
    assert (first["lr"], first["weight_decay"]) == (0.25, 0.125)
    assert (second["lr"], second["weight_decay"]) == (1e-3, 0.01)
    if "momentum" in row.takes:
        assert (first["momentum"], second["momentum"]) == (0.5, 0.0)
    weight.grad = torch.ones(3)
    optimizer.step()
    assert not torch.equal(weight, torch.ones(3))


def test_adding_an_optimizer_means_adding_a_row(monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "nadam", Optimizer("NAdam", options={"momentum_decay": 0.01}))
    weight = nn.Parameter(torch.ones(3))
    optimizer = make_optimizer("nadam", [(training(), [weight])])
    assert isinstance(optimizer, torch.optim.NAdam)
    assert optimizer.param_groups[0]["momentum_decay"] == 0.01


def test_the_table_does_not_import_torch():
    code = "import sys, medgrid.config, medgrid.grid.layout; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
