"""Pictures of the documentation are made smaller and stay what they are."""

import runpy
from pathlib import Path

import numpy as np
from PIL import Image

shrink = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "shrink_pictures.py"))["shrink"]


def test_a_picture_is_smaller_and_nearly_the_same(tmp_path):
    rows, columns = np.indices((120, 160))
    smooth = np.stack([rows, columns, 50 + rows // 2 + columns // 3], axis=2).astype(np.uint8)
    smooth += np.random.default_rng(0).integers(0, 6, smooth.shape, np.uint8)  # as of a real image
    smooth[40:60, 40:60] = (230, 159, 0)
    Image.fromarray(smooth).save(tmp_path / "a.png")
    before, after = shrink(tmp_path / "a.png")
    assert after == (tmp_path / "a.png").stat().st_size < before
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        difference = np.abs(np.asarray(image.convert("RGB")).astype(int) - smooth)
    assert difference.max() < 64 and difference.mean() < 12
    assert shrink(tmp_path / "a.png") == (after, after)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
