"""Cache the results of deterministic transforms on disk, keyed by the content of the files and the settings."""

import hashlib
import io
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import monai
import torch
from monai.data import PersistentDataset
from monai.transforms import Compose, Transform
from monai.transforms.traits import RandomizableTrait
from monai.utils import convert_to_tensor

from ..files import folders
from ..files.atomic import replacing
from ..files.content import content_key
from ..version import __version__
from .describe import describe

logger = logging.getLogger(__name__)


class PreparedDataset(PersistentDataset):
    """MONAI's ``PersistentDataset`` with a cache that is never stale, mixed up or damaged unnoticed.

    The transforms before the first random one run once per item. The result is stored in
    ``<cache_dir>/prepared/<settings>/<item>.pt``. ``settings`` is a hash of these transforms with all their arguments
    and of the versions of monai and ssl3d (listed in ``settings.json`` beside the files). ``item`` is a hash of the
    item's files and its other entries. So data may be moved, and changed files or arguments are detected. Files are
    written atomically, and damaged files are made again. Items hold plain tensors (no metadata), numbers and strings,
    whether they come from the cache or not.

    Args:
        data: Items; each string or path (also in lists) that names an existing file counts by the file's content.
        transform: A transform, a list of them, or a ``Compose``, nested or not.
        cache_dir: See ``ssl3d.data.cache_dir``.

    Raises:
        OSError: the cache folder cannot be used.
        TypeError: a deterministic transform has an attribute without stable description (see ``describe``).
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Sequence[Callable] | Callable,
        cache_dir: str | Path | None = None,
    ) -> None:
        # flattened, because MONAI treats a nested Compose as random and caches none of it
        flat = (transform if type(transform) is Compose else Compose(transform)).flatten()
        root = folders.cache_dir(cache_dir)
        self.full = False  # whether the warning about an unwritable cache has been logged
        text = json.dumps(
            {"monai": monai.__version__, "ssl3d": __version__, "transforms": describe(_deterministic(flat))}, indent=1
        )
        folder = root / "prepared" / hashlib.sha256(text.encode()).hexdigest()[:20]
        self.folder = folder
        # without cache_dir, because MONAI would end the run if the folder cannot be made
        super().__init__(
            data, flat, None, hash_func=partial(item_key, cache_dir=root), track_meta=False, weights_only=True
        )
        self.cache_dir = folder
        self._write(folder / "settings.json", text.encode)

    def set_data(self, data: Sequence[Mapping[str, Any]]) -> None:
        """Replace the items. No cache file is deleted, because the cache identifies items by their content."""
        self.data = data

    def _cachecheck(self, item_transformed: Mapping[str, Any]) -> Any:
        file = self.folder / f"{self.hash_func(item_transformed).decode()}.pt"
        prepared = _load(file)
        if prepared is None:
            prepared = plain(self._pre_transform(deepcopy(item_transformed)))
            self._write(file, partial(_saved, prepared))
        return prepared

    def _write(self, file: Path, make: Callable[[], bytes | memoryview]) -> None:
        """Write a cache file atomically. A full disk only slows the run down, it does not end it."""
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            content = make()
            with replacing(file) as temporary, temporary.open("wb") as stream:
                stream.write(content)
                os.fsync(stream.fileno())  # else a power cut may leave the file name without its content
        except OSError as error:
            if not self.full:
                logger.warning(
                    "Cannot write the cache %s (%s): items are prepared again each time. Free space there, or set "
                    "SSL3D_CACHE to another folder.",
                    file.parent,
                    error.strerror or error,
                )
            self.full = True


def item_key(item: Any, cache_dir: str | Path | None = None) -> bytes:
    """Return the first 40 hexadecimal digits of the SHA-256 of an item, in which files count by their content.

    Raises:
        TypeError: an entry is neither a file, a number, a text nor a list or dictionary of those.
    """

    def content(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(key): content(element) for key, element in value.items()}
        if isinstance(value, (list, tuple)):
            return [content(element) for element in value]
        folder = isinstance(value, (str, Path)) and os.path.isabs(value) and os.path.isdir(value)  # of a DICOM series
        if folder or (isinstance(value, (str, Path)) and os.path.isfile(value)):
            return {"sha256": content_key(value, cache_dir)}
        return str(value) if isinstance(value, Path) else value

    return hashlib.sha256(json.dumps(content(item), sort_keys=True).encode()).hexdigest()[:40].encode()


def _deterministic(transform: Compose) -> list[Transform]:
    first = transform.get_index_of_first(lambda t: isinstance(t, RandomizableTrait) or not isinstance(t, Transform))
    return list(transform.transforms[:first])


def _saved(item: Any) -> memoryview:
    """Return an item as the bytes of a file. Writing bytes to a full disk raises OSError, ``torch.save`` does not."""
    buffer = io.BytesIO()
    torch.save(item, buffer)
    return buffer.getbuffer()


def _load(file: Path) -> Mapping[Any, Any] | None:
    """Return the item in a cache file; None if the file is missing or damaged in any way.

    Torch's own message on a damaged file is not shown, because it advises loading without ``weights_only``.
    """
    try:
        content = file.read_bytes()
        with ZipFile(io.BytesIO(content)) as archive:
            if archive.testzip() is not None:  # torch does not verify checksums
                raise BadZipFile
        prepared = torch.load(io.BytesIO(content), weights_only=True)
    except FileNotFoundError:
        return None
    except Exception as error:  # RuntimeError, UnpicklingError, EOFError, ValueError, MemoryError for a false size ...
        reason = type(error).__name__
    else:
        if isinstance(prepared, Mapping):
            return prepared
        reason = f"it holds a {type(prepared).__name__}"
    logger.warning("Damaged cache file %s is made again (%s).", file, reason)
    return None


def plain(value: Any) -> Any:
    """Strip metadata from tensors and copy views, which torch would save together with their whole base tensor."""
    value = convert_to_tensor(value, convert_numeric=False, track_meta=False)
    if isinstance(value, torch.Tensor):
        return value.clone() if value.untyped_storage().nbytes() > value.nbytes else value
    if isinstance(value, Mapping):
        return {key: plain(element) for key, element in value.items()}
    return [plain(element) for element in value] if isinstance(value, (list, tuple)) else value
