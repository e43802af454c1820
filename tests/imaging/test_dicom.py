"""One DICOM series as a volume: the right values at the right places, or refused with what is wrong."""

import sys

import numpy as np
import pytest
from dicom_files import AXIAL, pydicom, volume, write_object, write_series
from monai.data import PydicomReader
from monai.transforms import LoadImage
from pydicom.uid import RLELossless

from ssl3d.imaging.dicom.headers import read_headers
from ssl3d.imaging.dicom.volume import read_series
from ssl3d.imaging.nifti import BadFileError

HU = volume().astype(np.float32) - 1024


def rotated(matrix: np.ndarray, *angles: float) -> np.ndarray:
    """An affine turned about x, y and z (radians)."""
    turned = matrix.copy()
    for axis, angle in enumerate(angles):
        first, second = [number for number in range(3) if number != axis]
        turn = np.eye(4)
        turn[[first, second], [first, second]] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        turned = turn @ turned
    return turned


CORONAL = np.array([[-0.7, 0, 0, 30], [0, 0, 2.5, 40], [0, -0.8, 0, -100], [0, 0, 0, 1.0]])  # slices from back to front
SAGITTAL = np.array([[0, 0, 1.5, 30], [-0.7, 0, 0, 40], [0, -0.8, 0, -100], [0, 0, 0, 1.0]])
AFFINES = {
    "axial": AXIAL,
    "coronal": CORONAL,
    "sagittal": SAGITTAL,
    "oblique": rotated(AXIAL, 0.3, -0.2, 0.5),
    "oblique sagittal": rotated(SAGITTAL, 0.1, 0.2, -0.1),
}


@pytest.mark.parametrize("name", AFFINES)
def test_a_volume_written_as_dicom_is_read_back(tmp_path, name):
    write_series(tmp_path, affine=AFFINES[name])
    read = read_series(tmp_path)
    grid = read.grid
    turned = (
        np.linalg.det(AFFINES[name]) * np.linalg.det(AXIAL) < 0
    )  # the normal points from the last slice to the first
    backwards = np.eye(4)
    if turned:
        backwards[2, 2:] = -1, HU.shape[2] - 1
    np.testing.assert_allclose(grid.affine, AFFINES[name] @ backwards, atol=1e-6)
    np.testing.assert_array_equal(read.array, HU[..., ::-1] if turned else HU)
    assert grid.shape == HU.shape
    assert read.array.dtype == np.float32


def test_each_voxel_is_where_its_own_header_puts_it(tmp_path):
    affine = rotated(AXIAL, 0.3, -0.2, 0.5)
    write_series(tmp_path, affine=affine)
    read = read_series(tmp_path)
    world = {}  # by the standard's equation, C.7.6.2.1.1-1, slice by slice
    for file in tmp_path.iterdir():
        data = pydicom.dcmread(file)
        position, row, column = (
            np.array(data.ImagePositionPatient, float),
            np.array(data.ImageOrientationPatient[:3], float),
            np.array(data.ImageOrientationPatient[3:], float),
        )
        for i, j in ((0, 0), (8, 0), (0, 7), (3, 5)):
            x, y, z = position + row * data.PixelSpacing[1] * i + column * data.PixelSpacing[0] * j
            world[-x, -y, z] = float(data.pixel_array[j, i]) - 1024
    assert len(world) == 28
    for point, value in world.items():
        i, j, k = np.linalg.solve(read.grid.affine, [*point, 1])[:3]
        np.testing.assert_allclose([i, j, k], np.rint([i, j, k]), atol=1e-4)
        assert read.array[round(i), round(j), round(k)] == value


def test_monais_reader_agrees_where_it_is_right(tmp_path):
    write_series(tmp_path, affine=rotated(AXIAL, 0.3, -0.2, 0.5))
    image = LoadImage()(tmp_path, reader=PydicomReader())
    read = read_series(tmp_path)
    np.testing.assert_array_equal(read.array, image.numpy())
    np.testing.assert_allclose(read.grid.affine, image.affine, atol=1e-6)


@pytest.mark.parametrize(
    ("how", "options"),
    [
        ("file names in another order", {"names": ["d", "b.dcm", "g.ima", "a", "IM0", "f", "c"]}),
        ("numbers in another order", {"numbers": [3, 1, 4, 7, 5, 2, 6]}),
        ("no numbers", {"change": lambda data, number: delattr(data, "InstanceNumber")}),
        ("numbers and files backwards", {"numbers": range(7, 0, -1), "names": list("gfedcba")}),
        ("thickness in some slices", {"change": lambda data, k: k < 3 and setattr(data, "SliceThickness", "3")}),
        ("compressed", {"change": lambda data, number: data.compress(RLELossless)}),
    ],
)
def test_order_comes_from_positions_alone(tmp_path, how, options):
    write_series(tmp_path, **options)
    read = read_series(tmp_path)
    np.testing.assert_array_equal(read.array, HU)
    np.testing.assert_allclose(read.grid.affine, AXIAL, atol=1e-6)


def test_each_slice_is_rescaled_by_its_own_factors(tmp_path):
    write_series(tmp_path, modality="PT", rescale=lambda number: (0.25 * (number + 1), 2.0 * number))
    expected = volume() * (0.25 * np.arange(1, 8)) + 2.0 * np.arange(7)
    np.testing.assert_allclose(read_series(tmp_path).array, expected, rtol=1e-6)


def test_without_rescaling_values_are_as_stored(tmp_path):
    def bare(data, number):
        del data.RescaleSlope, data.RescaleIntercept

    write_series(tmp_path, modality="MR", change=bare)
    np.testing.assert_array_equal(read_series(tmp_path).array, volume())


def moved(x=0.0, y=0.0, z=0.0, slices=range(7)):
    """A change of the positions of some slices in mm, x to the left and y to the back."""

    def change(data, number):
        if number in slices:
            data.ImagePositionPatient = [a + b for a, b in zip(data.ImagePositionPatient, (x, y, z), strict=True)]

    return change


def set_in(slices, **tags):
    def change(data, number):
        if number in slices:
            for keyword, value in tags.items():
                setattr(data, keyword, value)

    return change


def without(keyword):
    return lambda data, number: number == 3 and delattr(data, keyword)


TILTED = AXIAL + np.array([[0] * 4, [0, 0, 0.5, 0], [0] * 4, [0] * 4])
HALF = volume(shape=(9, 8, 4))
REFUSED = {
    "tilt": ({"affine": TILTED}, r"gantry tilt of 11\.3 degrees"),
    "irregular": ({"change": moved(z=1.0, slices=[2])}, r"irregular.*at -94\.00 mm"),
    "sideways": ({"change": moved(x=0.5, slices=[2])}, r"irregular.*at -95\.00 mm"),
    "duplicates": ({"change": moved(z=-2.5, slices=[3])}, r"1 slices share their position .* at -95\.00 mm"),
    "orientations": (
        {"change": set_in([4], ImageOrientationPatient=[1, 0, 0, 0, 0, -1])},
        "1 of 7 slices have another",
    ),
    "not at right angles": (
        {"change": set_in(range(7), ImageOrientationPatient=[1, 0, 0, 0.5, 1, 0])},
        "no right angle",
    ),
    "pixel spacings": (
        {"change": set_in([4], PixelSpacing=[0.9, 0.9])},
        r"different pixel spacings.*\(0\.9, 0\.9\) in 1",
    ),
    "sizes": ({"change": set_in([4], Rows=4, Columns=18)}, r"different sizes.*\(8, 9\) in 6.*\(4, 18\) in 1"),
    "no position": ({"change": without("ImagePositionPatient")}, r"0003\.dcm has no valid ImagePositionPatient"),
    "no orientation": ({"change": without("ImageOrientationPatient")}, r"0003\.dcm has no valid ImageOrientation"),
    "no spacing": ({"change": set_in(range(7), PixelSpacing=None)}, r"0000\.dcm has no valid PixelSpacing"),
    "one slice": ({"array": volume(shape=(9, 8, 1))}, "2D: 1 slice"),
    "micrometres": ({"affine": AXIAL * [1e-3, 1e-3, 1, 1]}, "is outside 0.01 to 100 mm"),
    "inverted": ({"PhotometricInterpretation": "MONOCHROME1"}, "no plain grey images: MONOCHROME1"),
    "colours": ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "no plain grey images: RGB, 3"),
    "frames": ({"NumberOfFrames": 4}, "multi-frame DICOM"),
    "enhanced": ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1"}, r"multi-frame DICOM \(Enhanced CT"),
    "secondary capture": ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "no volume .*Secondary Capture Image Storage"),
    "less pixels": ({"change": set_in([4], PixelData=b"\0" * 100)}, r"0004\.dcm cannot be decoded"),
    "no pixels": ({"change": without("PixelData")}, r"0003\.dcm cannot be decoded"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_regular_volume_is_refused(tmp_path, name):
    options, problem = REFUSED[name]
    write_series(tmp_path, **options)
    with pytest.raises(BadFileError, match=f"(?s){problem}") as refused:
        read_series(tmp_path)
    assert len(refused.value.remedy) > 10


@pytest.mark.parametrize(
    ("lost", "places"), [([3], "-95.00 and -90.00 mm"), ([1, 2, 4], "-100.00 and -92.50 mm, -92.50")]
)
def test_missing_slices_are_named_by_position(tmp_path, lost, places):
    write_series(tmp_path, volume(shape=(9, 8, 12)))
    for number in lost:
        (tmp_path / f"{number:04d}.dcm").unlink()
    with pytest.raises(BadFileError, match=f"about {len(lost)} slice.s. of 2.5 mm missing between {places}"):
        read_series(tmp_path)


def test_rounded_positions_are_regular(tmp_path):
    affine = rotated(AXIAL, 0.3, -0.2, 0.5)
    write_series(
        tmp_path,
        affine=affine,
        change=lambda data, number: setattr(
            data, "ImagePositionPatient", [round(value, 1) for value in data.ImagePositionPatient]
        ),
    )
    assert read_series(tmp_path).grid.shift(affine) < 0.1


def test_truncated_files_are_named(tmp_path):
    write_series(tmp_path)
    whole = (tmp_path / "0004.dcm").read_bytes()
    (tmp_path / "0004.dcm").write_bytes(whole[:-60])
    with pytest.raises(BadFileError, match=r"0004\.dcm cannot be decoded") as refused:
        read_series(tmp_path)
    assert refused.value.remedy == "Copy or export it again"
    last = (tmp_path / "0006.dcm").read_bytes()  # which leaves no gap
    cut = {"empty file": 0, "not a DICOM file": 100, "no SeriesInstanceUID": 250, "no Rows": 600}
    damaged = {problem: last[:size] for problem, size in cut.items()}
    damaged["unreadable header"] = last.replace(b"-85.00", b"-85;00")
    for problem, content in damaged.items():
        (tmp_path / "0006.dcm").write_bytes(content)
        with pytest.raises(BadFileError, match=rf"1 damaged file.*\n.*0006\.dcm: .*{problem}"):
            read_series(tmp_path)


def test_a_decoder_that_is_not_installed_is_named(tmp_path):
    write_series(tmp_path, change=lambda data, number: data.compress(RLELossless))
    syntax = pydicom.uid.JPEGLSNearLossless
    if pydicom.pixels.get_decoder(syntax).is_available:
        pytest.skip("a decoder of JPEG-LS is installed")
    for file in tmp_path.iterdir():
        data = pydicom.dcmread(file)
        data.file_meta.TransferSyntaxUID = syntax
        data.save_as(file)
    with pytest.raises(ImportError, match=r"compressed as JPEG-LS Lossy .*`pip install python-gdcm`"):
        read_series(tmp_path)


def test_pydicom_is_asked_for_where_it_is_needed_alone(tmp_path, monkeypatch):
    (tmp_path / "notes.txt").write_text("no image" * 100)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert read_headers(tmp_path) == []
    write_object(tmp_path / "sr", "1.2.840.10008.5.1.4.1.1.88.11")
    with pytest.raises(ImportError, match="pip install 'pydicom>=3'"):
        read_headers(tmp_path)


def test_headers_are_kept_until_a_file_changes(tmp_path, monkeypatch):
    write_series(tmp_path / "a", affine=rotated(AXIAL, 0.3, -0.2, 0.5))
    first = read_headers(tmp_path)
    assert len(first) == 7
    with monkeypatch.context() as patch:
        patch.setattr("ssl3d.imaging.dicom.headers._header", lambda file: pytest.fail("a file was read again"))
        assert read_headers(tmp_path) == first
    write_series(tmp_path / "a", names=[f"{number:04d}.dcm" for number in range(7)], SeriesDescription="another")
    assert {header.description for header in read_headers(tmp_path)} == {"another"}


def test_links_hidden_files_and_foreign_ones(tmp_path):
    write_series(tmp_path / "real", names=[f"IM{number}" for number in range(7)])
    (tmp_path / "real" / "._IM0").write_bytes(b"\0\5\26\7 from macOS")
    (tmp_path / "real" / ".hidden.dcm").write_bytes(b"")
    (tmp_path / "real" / "thumbs.db").write_bytes(b"x" * 500)
    write_object(tmp_path / "real", "1.2.840.10008.1.3.10", "DICOMDIR")
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "scan").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "up").symlink_to(tmp_path / "case")  # a loop
    assert read_series(tmp_path / "case").grid.shape == HU.shape


@pytest.mark.parametrize("kind", ["implicit", "explicit", "with file information"])
@pytest.mark.parametrize("name", ["IM{}", "{}.dcm"])
def test_files_without_their_preamble_are_read(tmp_path, kind, name):
    names = [name.format(number) for number in range(7)]
    write_series(tmp_path / "whole", names=names)
    expected = read_series(tmp_path / "whole")
    for file in (tmp_path / "whole").iterdir():
        target = tmp_path / "bare" / file.name
        target.parent.mkdir(exist_ok=True)
        if kind == "with file information":
            target.write_bytes(file.read_bytes()[132:])
            continue
        bare = pydicom.Dataset(pydicom.dcmread(file))
        pydicom.dcmwrite(target, bare, implicit_vr=kind == "implicit", little_endian=True, enforce_file_format=False)
        assert target.read_bytes()[128:132] != b"DICM"
    found = read_series(tmp_path / "bare")
    np.testing.assert_array_equal(found.array, expected.array)
    np.testing.assert_array_equal(found.grid.affine, expected.grid.affine)


def test_compressed_files_without_their_preamble_say_what_to_do(tmp_path):
    def compress(data, number):
        data.compress(RLELossless)

    write_series(tmp_path / "whole", change=compress)
    for file in (tmp_path / "whole").iterdir():
        data = pydicom.Dataset(pydicom.dcmread(file))
        (tmp_path / "bare").mkdir(exist_ok=True)
        pydicom.dcmwrite(
            tmp_path / "bare" / file.name, data, implicit_vr=False, little_endian=True, enforce_file_format=False
        )
    with pytest.raises(BadFileError, match=r"cannot be decoded") as refused:
        read_series(tmp_path / "bare")
    assert "dcmconv" in refused.value.remedy


def test_other_files_are_not_taken_for_dicom_without_preamble(tmp_path):
    random = np.random.default_rng(0)
    for number in range(200):
        (tmp_path / f"{number}").write_bytes(b"\x08\x00" + random.bytes(300))
    for number, start in enumerate((b"\x08\x00\x05\x00CS", b"\x02\x00\x00\x00UL\x04\x00", b"\x08\x00\x08\x00")):
        (tmp_path / f"near_{number}").write_bytes(start + random.bytes(300))
    assert read_headers(tmp_path) == []
