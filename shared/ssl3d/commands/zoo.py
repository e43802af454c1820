"""``ssl3d zoo``."""

import os
from pathlib import Path

from .values import several


class Zoo:
    """A zoo is a folder of packed bundles with an index, on a web server or a disk.

    Example: ssl3d zoo get gvsl_pretraining --from http://127.0.0.1:8000
    """

    def index(self, folder: str, url: str = "") -> None:
        """Write SHA256SUMS and model_info.json for a folder of packed bundles, and list these.

        Example: ssl3d zoo index dist --url https://example.org/zoo

        Args:
            folder: Folder of the zip files.
            url: Address where the folder will be found.
        """
        from ..release import index

        for release in index(Path(folder), str(url)):
            print(f"{release.name} {release.version}")

    def serve(self, folder: str, port: int = 8000) -> None:
        """Serve an indexed folder on this computer, until Ctrl+C.

        Example: ssl3d zoo serve dist --port 8000

        Args:
            folder: Folder of the zip files.
            port: Port of 127.0.0.1; 0 takes a free one.
        """
        from ..release import server

        with server(Path(folder), port) as serving:
            try:
                print(f"{folder}: http://127.0.0.1:{serving.server_port}  (Ctrl+C ends it)", flush=True)
                serving.serve_forever()
            except KeyboardInterrupt:
                print()

    def get(self, name: str, version: str | None = None, from_: str | None = None, output_dir: str = ".") -> None:
        """Download a bundle into a folder of its name, checked before it is unpacked; goes on where it was stopped.

        An earlier version in that folder is kept whole beside it, under its version.

        Example: ssl3d zoo get gvsl_pretraining --version 0.1.0 --from http://127.0.0.1:8000,/media/usb/zoo

        Args:
            name: Name of the bundle.
            version: Version of the bundle; the latest when not given.
            from_: URLs or folders of zoos (write --from), comma-separated, tried in turn; else those in the variable
                SSL3D_ZOO.
            output_dir: Folder for the bundle's folder.
        """
        from ..release import get

        sources = several(from_ or os.environ.get("SSL3D_ZOO", ""))
        if not sources:
            raise ValueError("Where is the zoo? Give --from URL (or a folder), or set the variable SSL3D_ZOO.")
        print(get(str(name), Path(output_dir), sources, None if version is None else str(version)))


zoo = Zoo()
