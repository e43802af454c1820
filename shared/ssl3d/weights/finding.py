"""Find the weights file that a bundle names."""

import difflib
import os
from pathlib import Path

PLACES = ("model.pt", "demo/model.pt", "models/model.pt")  # of a run, of a run on synthetic items, of a bundle


def resolve(name_or_path: str | Path | None, bundle_root: str | Path) -> Path | None:
    """Return the weights file that a bundle's ``pretrained`` names.

    Args:
        name_or_path: ``none`` in any case, or None: no weights. A bundle's name: ``models/model.pt`` of that bundle
            beside ``bundle_root``, else below the folder in the environment variable ``SSL3D_BUNDLES``. Anything else:
            a path, relative to the working directory. For a folder, such as the output folder of a run, its
            ``model.pt`` is taken.
        bundle_root: Folder of the bundle that loads the weights.

    Returns:
        An existing file, or None for no weights.

    Raises:
        FileNotFoundError: no such file; the message lists the places searched and similar names.
    """
    text = str(name_or_path)
    if text.lower() == "none":
        return None
    folders = [Path(os.path.abspath(bundle_root)).parent]  # not resolve(): a linked bundle has siblings at the link
    if os.environ.get("SSL3D_BUNDLES"):
        folders.append(Path(os.environ["SSL3D_BUNDLES"]).expanduser())
    path = Path(text).expanduser()
    candidates = (
        [folder / text / "models" / "model.pt" for folder in folders] if "/" not in text and os.sep not in text else []
    )
    candidates += [path / place for place in PLACES] if path.is_dir() else [path]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    bundles = {file.parent.parent.name for folder in folders for file in folder.glob("*/models/model.pt")}
    files = {str(file) for ending in ("*.pt", "*.pth") for file in path.parent.glob(ending)}
    near = difflib.get_close_matches(text, sorted(bundles | files), n=3, cutoff=0.5)
    raise FileNotFoundError(
        f"No weights for {text!r}. Looked for {', '.join(map(os.path.abspath, candidates))}. "
        + (f"Similar names: {', '.join(near)}. " if near else "")
        + "Give a bundle's name, a file, the output folder of a run, or the word none."
    )
