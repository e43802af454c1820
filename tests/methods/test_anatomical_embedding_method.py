"""The anatomical embedding method: parts, gradients, that it learns to find places."""

import torch

from ssl3d.losses import AnatomicalEmbeddingLoss
from ssl3d.methods import AnatomicalEmbedding
from ssl3d.networks import AnatomicalEmbeddingNet, UNet3d
from ssl3d.transforms import EmbeddingViews, TwoWindows

SPACING = (2.0, 2.0, 2.0)


def small_method(seed=0, **loss):
    torch.manual_seed(seed)
    student = AnatomicalEmbeddingNet(UNet3d(1, (8, 16, 16)), 8)
    settings = {"anchors": 20, "candidates": 200, "hard_negatives": 200, "negatives": 60, "z_axis": 2}
    return AnatomicalEmbedding(student, AnatomicalEmbeddingLoss(**settings, coarse_max_z=12.0, **loss))


def views_of(draws=(0, 1), size=(20, 20, 20), roi=(16, 16, 16), **settings):
    image = torch.rand(len(draws), 1, *(side // 4 for side in size), generator=torch.Generator().manual_seed(0))
    image = torch.nn.functional.interpolate(image, size, mode="trilinear")
    item = {"image": image, "valid": torch.ones_like(image), "draw": torch.tensor(draws)}
    return EmbeddingViews(TwoWindows(roi, **settings), SPACING)(item)[0]


def test_parts_are_scalars_with_gradient_and_the_error_is_a_monitor():
    parts = small_method()(views_of())
    assert set(parts) == {"fine", "coarse", "match_error"}
    assert all(part.shape == () and part.isfinite() for part in parts.values())
    assert parts["fine"].requires_grad and parts["coarse"].requires_grad and not parts["match_error"].requires_grad


def test_the_same_draws_give_the_same_loss_whatever_their_batch():
    """Up to the coarse negatives from other volumes, which are switched off here."""
    method, views = small_method(global_negatives=0).eval(), views_of((5, 9))
    together = method(views)
    alone = [method({name: value[i : i + 1] for name, value in views.items()}) for i in (0, 1)]
    for name in ("fine", "coarse"):
        torch.testing.assert_close(together[name], (alone[0][name] + alone[1][name]) / 2)
    assert method({**views, "draw": views["draw"] + 1})["fine"] != together["fine"]


def test_volumes_without_anything_valid_give_0_and_finite_gradients():
    method, views = small_method(), views_of()
    parts = method({**views, "valid": torch.zeros_like(views["valid"])})
    (parts["fine"] + parts["coarse"]).backward()
    assert parts["fine"] == parts["coarse"] == 0 and parts["match_error"].isnan()
    assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


def test_pictures_are_volumes():
    pictures = small_method().pictures(views_of())
    assert list(pictures) == ["first window", "second window", "similarity to the first's middle"]
    assert all(picture.shape == (2, 1, 16, 16, 16) for picture in pictures.values())
    assert pictures["similarity to the first's middle"].abs().max() <= 1 + 1e-5


def test_it_learns():
    """The loss at windows that it has not been trained on."""
    method, unseen = small_method(), views_of((1000, 1001), sharing=1.0)
    optimizer = torch.optim.Adam(method.parameters(), lr=5e-3)
    first = method(unseen)
    for step in range(25):
        parts = method(views_of((2 * step, 2 * step + 1), sharing=1.0))
        optimizer.zero_grad()
        (parts["fine"] + parts["coarse"]).backward()
        optimizer.step()
    last = method(unseen)
    assert last["fine"] < first["fine"] - 0.2 and last["coarse"] < first["coarse"] - 0.3
