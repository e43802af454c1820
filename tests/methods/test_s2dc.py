"""S2DC: the parts of its loss, what they depend on, the queue over several processes, that it learns."""

import math

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from golden_s2dc import section
from monai.optimizers import WarmupCosineSchedule

from ssl3d.engines import TeacherUpdate
from ssl3d.losses import PatchMatchingLoss, StructureConsistencyLoss, WeightedSum
from ssl3d.methods import S2DC
from ssl3d.networks import TokenNet, UNet3d
from ssl3d.transforms import AffineAugmentation, CorrespondenceViews, split_crops

SIZE, CROPS, CELL = (8, 8, 16), (1, 1, 2), 4
LOSSES = ["matching", "consistency", "contrast"]
MONITORS = ["accuracy", "chance", "dustbin", "feature_std", "effective_rank"]
TOTAL = WeightedSum(dict.fromkeys(LOSSES, 0.5))
STILL = AffineAugmentation(rotation=(0, 0, 0), scale=(1, 1), translation=(0, 0, 0))


def small_method(queue_size=4, seed=0, **settings):
    torch.manual_seed(seed)
    student = TokenNet(UNet3d(1, (8, 16)), CELL, hidden_channels=16, out_channels=8)
    return S2DC(student, CROPS, queue_size, **settings)


def random_views(draws=(0, 1), padded=0, volume=None, size=SIZE):
    numbers = [torch.rand(1, *size, generator=torch.Generator().manual_seed(draw)) for draw in draws]
    valid = torch.ones(len(draws), 1, *size)
    valid[..., :padded] = 0
    small = AffineAugmentation(rotation=(10, 10, 20), scale=(0.9, 1.1), translation=(2, 2, 2))
    given = {"image": torch.stack(numbers) * valid, "valid": valid, "draw": torch.tensor(draws)}
    return CorrespondenceViews(CROPS, CELL, volume or small, small)(given)[0]


def numbers(parts):
    return {name: part.item() for name, part in parts.items()}


def test_parts_are_scalars_and_monitors_have_no_gradient():
    parts = small_method()(random_views())
    assert list(parts) == LOSSES + MONITORS
    assert all(part.shape == () and part.isfinite() for part in parts.values())
    assert all(parts[name].requires_grad == (name in LOSSES) for name in parts)
    assert parts["chance"].item() == pytest.approx(1 / 16, rel=0.5) and 0 < parts["dustbin"] < 1


def test_the_student_learns_and_the_teacher_gets_no_gradient():
    method = small_method()
    TOTAL(method(random_views())).backward()
    trained = ("student.backbone.encoder", "student.token_head", "student.global_head")
    for name, parameter in method.named_parameters():
        learns = name.startswith(trained)
        assert (parameter.grad is not None and bool(parameter.grad.any())) == learns, name
        assert parameter.requires_grad == learns


def test_the_losses_are_those_of_the_tokens():
    method, views = small_method(), random_views(padded=3)
    tokens = method.predict(views)
    given = (tokens.query, tokens.key, views["correspondence"], views["image_valid"], views["warped_valid"])
    queue = method.queue.keys.clone()
    parts = method(views)
    torch.testing.assert_close(parts["matching"], PatchMatchingLoss()(*given))
    torch.testing.assert_close(parts["consistency"], StructureConsistencyLoss()(*given))
    terms = []
    for item, chosen in enumerate(views["chosen"].tolist()):
        others = [tokens.partners[i, p] for i in range(2) for p in range(2) if p != views["chosen"][i]]
        logits = torch.stack([tokens.partners[item, chosen], *others, *queue]) @ tokens.embedding[item] / 0.1
        terms.append(logits.logsumexp(0) - logits[0])
    torch.testing.assert_close(parts["contrast"], torch.stack(terms).mean())


def test_tokens_stand_in_the_order_of_the_cells():
    """Without a warp and with teacher = student each token of the copy is that of the volume."""
    method, views = small_method(), random_views(volume=STILL)
    tokens = method.predict(views)
    if torch.equal(views["image"], views["warped"]):
        torch.testing.assert_close(tokens.query, tokens.key)
    crop = split_crops(views["image"], CROPS)[1:2]  # item 0, the further crop along W
    expected = method.student(crop)[0].movedim(0, -1)  # (2, 2, 2, E)
    torch.testing.assert_close(tokens.query[0].view(2, 2, 4, 8)[:, :, 2:], expected)
    for item, chosen in enumerate(views["chosen"].tolist()):
        one = split_crops(views["image"], CROPS)[2 * item + chosen][None]
        torch.testing.assert_close(tokens.next_key[item], method.teacher.embedding(method.teacher.encode(one))[0])
        augmented = split_crops(views["augmented"], CROPS)[2 * item + chosen][None]
        partner = method.teacher.embedding(method.teacher.encode(augmented))[0]
        torch.testing.assert_close(tokens.partners[item, chosen], partner)


def test_crops_of_padding_are_no_negatives():
    method = small_method()
    views = random_views(padded=8)  # the first crop of each volume
    assert views["crop_valid"].tolist() == [[False, True]] * 2 and views["chosen"].tolist() == [1, 1]
    before = method.eval()(views)["contrast"]
    views["augmented"][..., :8] = 5.0
    torch.testing.assert_close(method(views)["contrast"], before)


def test_what_padding_holds_does_not_matter_to_tokens_of_other_crops():
    """A whole crop of padding: its tokens are in no loss."""
    method, views = small_method().eval(), random_views(padded=8, volume=STILL)
    before = numbers(method(views))
    views["image"][..., :8] = 3.0
    views["warped"][..., :8] = -3.0
    assert numbers(method(views)) == pytest.approx(before, rel=1e-5)


def test_without_any_real_voxel_all_is_finite():
    method = small_method()
    parts = method(random_views(padded=16))
    TOTAL(parts).backward()
    assert all(part.isfinite() for part in parts.values())
    assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())
    assert parts["matching"] == 0 and parts["consistency"] == 0 and parts["accuracy"] == 0


def test_collapsed_features_are_finite_and_seen():
    method = small_method()
    for net in (method.student, method.teacher):
        for head in (net.token_head, net.global_head):
            torch.nn.init.zeros_(head[-1].weight)
    parts = method(random_views())
    TOTAL(parts).backward()
    assert all(part.isfinite() for part in parts.values())
    assert parts["feature_std"] < 1e-3 and all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


def test_half_precision_is_finite():
    method = small_method(matching=PatchMatchingLoss(temperature=0.1))
    with torch.autocast("cpu", torch.bfloat16):
        parts = method(random_views())
    TOTAL(parts).backward()
    assert all(part.isfinite() and part.dtype == torch.float32 for part in parts.values())


def test_the_queue_is_filled_in_training_only_and_saved():
    method, views = small_method(), random_views(draws=(5, 4))
    start = method.queue.keys.clone()
    method.eval()(views)
    assert torch.equal(method.queue.keys, start)
    next_key = method.train().predict(views).next_key
    method(views)
    torch.testing.assert_close(method.queue.keys[:2], next_key.flip(0))  # draw 4 first
    assert torch.equal(method.queue.keys[2:], start[2:])
    other = small_method(seed=1)
    other.load_state_dict(method.state_dict())
    assert torch.equal(other.queue.keys, method.queue.keys) and other.queue.position == 2
    assert numbers(other(views)) == pytest.approx(numbers(method(views)))


def test_the_teacher_stays_in_evaluation_and_starts_as_the_student():
    method = small_method()
    assert method.training and method.student.training and not method.teacher.training
    assert not method.train().teacher.training and not method.eval().student.training
    pairs = zip(method.student.parameters(), method.teacher.parameters(), strict=True)
    assert all(torch.equal(a, b) and a is not b for a, b in pairs)
    TeacherUpdate(method, 0.5, 0.5).update(1)


def test_pictures_colour_cells_by_the_place_of_their_partners():
    method, views = small_method(), random_views(padded=4)
    pictures = method.pictures(views)
    scan, warped, true = pictures["scan"], pictures["warped copy, cells coloured"], pictures["scan, true partners"]
    assert scan.shape == (2, 1, *SIZE) and warped.shape == true.shape == (2, 3, *SIZE)
    assert torch.equal(scan, views["image"])
    coloured = (true - scan.clamp(0, 1)).abs().amax(dim=1) > 1e-6  # (B, D, H, W)
    partnered = (views["correspondence"] * views["image_valid"][:, :, None] * views["warped_valid"][:, None]).any(dim=2)
    cells = coloured.unflatten(3, (-1, CELL)).unflatten(2, (-1, CELL)).unflatten(1, (-1, CELL))
    assert torch.equal(cells.any(dim=6).any(dim=4).any(dim=2).flatten(1), partnered)
    matched = pictures["scan, matched cells"]
    assert torch.equal(matched[~coloured[:, None].expand_as(matched)], true[~coloured[:, None].expand_as(true)])


def test_it_learns_to_match():
    """Two volumes, the same views again and again: more matches are found, without collapse.

    The contrast cannot fall, for the queue holds former keys of the same crops.
    """
    method, views = small_method(matching=PatchMatchingLoss(temperature=0.1, dustbin=0.0)), random_views()
    optimiser, update = torch.optim.AdamW(method.student.parameters(), lr=3e-3), TeacherUpdate(method, 0.9, 0.9)
    history = []
    for step in range(30):
        parts = method(views)
        optimiser.zero_grad()
        TOTAL(parts).backward()
        optimiser.step()
        update.update(step + 1)
        history.append(numbers(parts))
    first, last = history[0], history[-1]
    assert last["accuracy"] > max(first["accuracy"], 3 * last["chance"])
    assert all(last[name] < first[name] for name in ("matching", "consistency"))
    assert last["feature_std"] > 0.3


# --- several processes ------------------------------------------------------------------------------------------------


def step(draws):
    """Parts, gradients and queue of one training step on two processes' or one's views."""
    method = small_method(queue_size=8)
    parts = method(random_views(draws, padded=3))
    TOTAL(parts).backward()
    gradients = [p.grad for p in method.student.parameters() if p.grad is not None]
    return torch.stack([parts[name].detach() for name in LOSSES]), gradients, method.queue.keys


def process(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    parts, gradients, queue = step((rank, rank + 2))  # draws are split by stride
    for value in (parts, *gradients):
        dist.all_reduce(value)
        value /= 2
    torch.save((parts, gradients, queue), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_equal_one_with_the_doubled_batch(tmp_path):
    mp.spawn(process, (str(tmp_path),), nprocs=2)
    parts, gradients, queue = step((0, 1, 2, 3))
    largest = max(gradient.abs().max() for gradient in gradients)
    for rank in (0, 1):
        theirs = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(theirs[0], parts, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(theirs[2], queue, rtol=1e-5, atol=1e-6)
        for mine, other in zip(gradients, theirs[1], strict=True):
            assert (mine - other).abs().max() <= 1e-5 * largest


# --- bad input and recipe ---------------------------------------------------------------------------------------------


def test_faults_are_named():
    views = random_views()
    with pytest.raises(ValueError, match=r"A crop of \(8, 4, 16\) .* coarsest stride is 8"):
        S2DC(TokenNet(UNet3d(1, (8, 8, 8)), 4), (1, 2, 1), 4)(views)
    with pytest.raises(ValueError, match=r"\(8, 8, 16\) voxels cannot be cut into \(1, 1, 3\)"):
        S2DC(small_method().student, (1, 1, 3), 4)(views)
    with pytest.raises(ValueError, match="The views have 16 cells a volume and the network 128 tokens"):
        S2DC(TokenNet(UNet3d(1, (8, 16)), 2), CROPS, 4)(views)
    with pytest.raises(ValueError, match="holds 3 keys, which is no multiple of the 2 items"):
        small_method(queue_size=3)(views)
    for crops in ((1, 1), (1, 0, 1)):
        with pytest.raises(ValueError, match="crops must be three whole numbers"):
            S2DC(small_method().student, crops, 4)


def test_the_bench_passes_train_all_that_the_losses_train():
    method, views = small_method(), random_views()
    torch.stack([output.square().mul(output).mean() for output in method.passes(views)]).sum().backward()
    floor = {name for name, parameter in method.named_parameters() if parameter.grad is not None}
    method.zero_grad()
    TOTAL(method(views)).backward()
    assert floor == {name for name, parameter in method.named_parameters() if parameter.grad is not None}


def test_golden_schedule_of_the_pretraining():
    """The published schedule is MONAI's, by these arguments."""
    expected = section("s2dc", "lr_schedules")["pretrain"]
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=expected["base"])
    factor = WarmupCosineSchedule(optimiser, expected["warmup"], expected["total"]).lr_lambdas[0]
    for at, rate in expected["lr_at_step"].items():
        assert math.isclose(expected["base"] * factor(int(at)), rate, rel_tol=1e-9, abs_tol=1e-11), at
