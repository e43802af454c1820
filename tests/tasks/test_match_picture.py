"""The picture of points found in scans: which scans and points, where they are drawn, what is said about them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread
from monai.data import MetaTensor

from ssl3d.matching.points import Matches
from ssl3d.tasks.landmarks import picture as match_picture
from ssl3d.tasks.landmarks.picture import FILE, POINTS, SCANS, MatchPictures, Panel, draw
from ssl3d.tasks.landmarks.templates import Template
from ssl3d.tasks.point_files import write_points

SIZE, SPACING = (12, 8, 20), (2.0, 3.0, 4.0)
AFFINE = torch.diag(torch.tensor([*SPACING, 1.0], dtype=torch.float64))
AFFINE[:3, 3] = torch.tensor([-10.0, 5.0, 100.0])
POINTS_OF = {"a": (1.0, 2.0, 3.0), "b": (9.0, 5.0, 15.0), "c": (4.0, 4.0, 10.0)}  # voxels


def world(voxel):
    return torch.tensor(voxel, dtype=torch.float64) * torch.tensor(SPACING).double() + AFFINE[:3, 3]


def image():
    return MetaTensor(torch.rand(1, *SIZE, generator=torch.Generator().manual_seed(0)), affine=AFFINE)


def template(points=POINTS_OF, synthetic=False):
    return Template("atlas", None, image(), {name: world(place) for name, place in points.items()}, synthetic)


def scan(name, shift=(0.0, 0.0, 0.0), scores=(0.9, 0.8, 0.7), **more):
    """Batch and output of a scan in which each point was found ``shift`` voxels away from where the template has it."""
    places = torch.tensor(list(POINTS_OF.values()), dtype=torch.float64) + torch.tensor(shift)
    found = torch.stack([world(place.tolist()) for place in places])
    return {"name": name, **more}, {"image": image(), "matches": [Matches(found, places, torch.tensor(scores))]}


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Runs an evaluation of scans; gives what was drawn, the arguments of ``draw`` and the figure, None if nothing."""
    calls, figures = [], []
    plainly, save = match_picture.draw, Figure.savefig
    monkeypatch.setattr(match_picture, "draw", lambda *given: calls.append(given) or plainly(*given))
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kw: figures.append(self) or save(self, *args, **kw))

    def run(*scans, **options):
        handler = MatchPictures(tmp_path, options.pop("template", template()), **options)
        for batch, output in scans:
            handler._collect(SimpleNamespace(state=SimpleNamespace(batch=[batch], output=[output])))
        handler._draw(None)
        return (calls[0][1], calls[0][2], figures[0]) if calls else None

    return run


def panels_of(figure):
    return [axes for axes in figure.axes if axes.images]


def test_the_template_and_the_first_five_other_scans(drawn, tmp_path):
    panels, names, figure = drawn(scan("atlas"), *(scan(f"s{number}") for number in range(SCANS + 2)))
    assert [panel.title for panel in panels] == ["atlas\ntemplate", *(f"s{number}" for number in range(SCANS))]
    assert sorted(names) == ["a", "b", "c"] and len(panels_of(figure)) == 1 + SCANS
    height, width, _ = imread(tmp_path / FILE).shape
    assert 1000 < width < 1400 and 1000 < height < 1500


def test_points_are_drawn_where_they_were_found_and_where_they_are(drawn, tmp_path):
    """Seen from the front: the second axis, along which the shift is largest, is left out of sight and is measured."""
    truth = {"a": world((1, 2, 3)).tolist(), "b": world((9, 5, 15)).tolist(), "c": (999, 0, 0)}  # c outside
    write_points(tmp_path / "truth.csv", truth)
    panels, names, figure = drawn(scan("one", (1.0, 2.0, -1.0), landmarks=str(tmp_path / "truth.csv")))
    expected = np.array([SIZE[0] - 1, SIZE[2] - 1]) - np.array([POINTS_OF[name] for name in names])[:, [0, 2]]
    np.testing.assert_allclose(panels[0].true, expected, atol=1e-9)
    assert np.isnan(panels[0].found).all()
    moved = expected - np.array([1, -1])  # columns and rows run against right and up
    np.testing.assert_allclose(panels[1].found, moved, atol=1e-9)
    known = [name != "c" for name in names]
    np.testing.assert_allclose(panels[1].true[known], expected[known], atol=1e-9)
    assert np.isnan(panels[1].true[names.index("c")]).all()
    error = np.linalg.norm([2.0, 6.0, -4.0])
    assert panels[1].title == f"one\nmedian error {error:.1f} mm (2 points)"
    axes = panels_of(figure)[1]
    assert not axes.xaxis_inverted() and axes.yaxis_inverted(), "row 0 is at the top"
    for marker, places in (("o", moved), ("x", panels[1].true)):
        marks = [line.get_xydata()[0] for line in axes.lines if line.get_marker() == marker]
        np.testing.assert_allclose(marks, places, atol=1e-9)


def test_a_pixel_has_its_size_in_mm(drawn):
    _, _, figure = drawn(scan("one"))
    for axes in panels_of(figure):
        box = axes.get_window_extent()
        assert box.height / box.width == pytest.approx(20 * 4 / (12 * 2), rel=0.01)
        np.testing.assert_allclose(axes.images[0].get_array(), image()[0].mean(dim=1).numpy().T[::-1, ::-1], rtol=1e-5)


def test_points_below_the_score_are_left_out_and_scans_without_any(drawn):
    panels, names, _ = drawn(scan("low", scores=(0.1, 0.2, 0.3)), scan("one"), min_score=0.75)
    assert [panel.title for panel in panels] == [
        "atlas\ntemplate\nscans without a kept point, not shown: 1",
        "one",
    ]
    assert np.isnan(panels[1].found).any(axis=1).tolist() == [name == "c" for name in names]


def test_without_another_scan_nothing_is_drawn_and_the_log_says_so(drawn, tmp_path, caplog):
    left_out = ({"name": "empty"}, {"image": image(), "matches": []})
    assert drawn(scan("atlas"), left_out) is None and not (tmp_path / FILE).exists()
    assert "not drawn" in caplog.text


@pytest.mark.parametrize("which", ["template", "scan", "neither"])
def test_synthetic_anatomy_is_named(drawn, which):
    given = scan("one", synthetic=True) if which == "scan" else scan("one")
    _, _, figure = drawn(given, template=template(synthetic=which == "template"))
    assert figure.get_suptitle().startswith("mechanics only: synthetic anatomy") == (which != "neither")


def test_of_many_points_those_that_lie_apart_in_the_view(tmp_path):
    """Twenty points behind one another are one in this view."""
    crowd = {f"behind {number}": (5.0, 0.3 * number, 10.0) for number in range(20)}
    handler = MatchPictures(tmp_path, template(POINTS_OF | crowd))
    assert len(handler.shown) == POINTS and {"a", "b", "c"} <= set(handler.shown[:4])


def test_bad_input_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"min_score .* got 2"):
        MatchPictures(tmp_path, template(), min_score=2)
    panel = Panel("one", np.zeros((4, 5)), [1, 1, 1], np.zeros((2, 2)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="got 0 and 2"):
        draw(tmp_path / FILE, [], ["a", "b"], False)
    with pytest.raises(ValueError, match="got 1 and 99"):
        draw(tmp_path / FILE, [panel], ["a"] * 99, False)
    for wrong in (panel._replace(image=np.zeros((1, 4, 5))), panel._replace(found=np.zeros((3, 2)))):
        with pytest.raises(ValueError, match=r"'one': .*\(2, 2\)"):
            draw(tmp_path / FILE, [wrong], ["a", "b"], False)
    assert not list(tmp_path.iterdir())
