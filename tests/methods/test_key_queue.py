import pytest
import torch

from ssl3d.methods.key_queue import KeyQueue, gathered


def keys(*values):
    return torch.tensor(values, dtype=torch.float32)[:, None].expand(-1, 3)


def test_starts_with_the_same_unit_vectors():
    torch.manual_seed(5)
    queue = KeyQueue(6, 3)
    assert torch.equal(queue.keys, KeyQueue(6, 3).keys)
    torch.testing.assert_close(queue.keys.norm(dim=1), torch.ones(6))


def test_first_in_first_out_in_the_order_of_the_draws():
    queue = KeyQueue(6, 3)
    start = queue.keys.clone()
    queue.add(keys(12, 10, 11), torch.tensor([12, 10, 11]))
    assert queue.keys[:3, 0].tolist() == [10, 11, 12] and torch.equal(queue.keys[3:], start[3:])
    queue.add(keys(13, 14, 15), torch.tensor([13, 14, 15]))
    queue.add(keys(18, 17, 16), torch.tensor([18, 17, 16]))
    assert queue.keys[:, 0].tolist() == [16, 17, 18, 13, 14, 15] and queue.position == 3


def test_is_saved_and_goes_on_where_it_was():
    queue, other = KeyQueue(4, 3), KeyQueue(4, 3)
    queue.add(keys(1, 2), torch.tensor([1, 2]))
    other.load_state_dict(queue.state_dict())
    for q in (queue, other):
        q.add(keys(3, 4), torch.tensor([3, 4]))
    assert torch.equal(queue.keys, other.keys) and other.keys[:, 0].tolist() == [1, 2, 3, 4]
    assert set(queue.state_dict()) == {"keys", "position"} and not list(queue.parameters())


def test_one_process_gathers_its_own_without_gradient():
    values = torch.ones(2, 3, requires_grad=True)
    assert torch.equal(gathered(values), values) and not gathered(values).requires_grad


def test_faults_are_named():
    with pytest.raises(ValueError, match="holds 4 keys, which is no multiple of the 3 items"):
        KeyQueue(4, 3).add(keys(1, 2, 3), torch.arange(3))
    with pytest.raises(ValueError, match="got size 0"):
        KeyQueue(0, 3)
