"""The plain version of Alice's parts against the golden values of the release."""

import numpy as np
from golden_alice import section
from reference import alice


def test_hidden_cells():
    golden = section("alice", "mask_generator")
    random = np.random.RandomState(0)
    for cells in golden["cells"]:
        assert alice.hidden_cells(random).tolist() == cells
