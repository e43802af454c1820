"""The contract of a method, kept by all five."""

import inspect

import pytest
import torch
from torch import nn

from ssl3d import methods
from ssl3d.methods import Method
from ssl3d.networks import ReconstructionNet, UNet3d

METHODS = [cls for _, cls in inspect.getmembers(methods, inspect.isclass) if issubclass(cls, Method) and cls != Method]


def test_all_methods_are_found():
    assert {cls.__name__ for cls in METHODS} == {"GVSL", "MAE", "S2DC", "Alice", "AnatomicalEmbedding"}


@pytest.mark.parametrize("cls", METHODS)
def test_every_method_says_what_it_returns_and_offers_all_that_is_asked_for(cls):
    assert cls.parts and not set(cls.parts) & set(cls.monitors)
    assert cls.published in ("student", "teacher") and cls.trained in ("backbone", "encoder")
    for name in ("forward", "predict", "passes", "pictures"):
        assert getattr(cls, name) is not getattr(Method, name), name


@pytest.mark.parametrize("cls", METHODS)
def test_losses_are_arguments_that_default_to_the_publications(cls):
    parameters = inspect.signature(cls).parameters
    losses = [name for name in parameters if "loss" in name.lower() or name in cls.parts]
    assert losses and all(parameters[name].default is None for name in losses)


def test_a_teacher_is_a_frozen_copy_that_stays_in_evaluation():
    student = ReconstructionNet(UNet3d(1, (8, 16)), 1)
    method = Method(student, teacher=True)
    assert not any(parameter.requires_grad for parameter in method.teacher.parameters())
    for mode in (True, False, True):
        method.train(mode)
        assert method.student.training is mode and not method.teacher.training
    for mine, theirs in zip(method.teacher.parameters(), student.parameters(), strict=True):
        assert mine is not theirs and torch.equal(mine, theirs)


def test_without_a_teacher_there_is_none_in_the_weights():
    method = Method(nn.Linear(2, 2))
    assert method.teacher is None and set(method.state_dict()) == {"student.weight", "student.bias"}
