"""Translate the settings that MONAI Label adds to a training into those of this package."""

import sys

from monai.bundle import ConfigParser

HANDLERS = "train#handlers"


def adopt_monai_label(parser: ConfigParser) -> None:
    """Start from the weights that MONAI Label requests, and publish the new weights where its server looks for them.

    MONAI Label (0.8.5) requests weights by a ``CheckpointLoader`` before the handlers of ``train.json``. That handler
    fails on a head of another shape, checks no hash and does not report what fits. The passport of the new weights
    would also lack corpus and licence of the old ones. So the handler is removed from the config, and its file is
    loaded as with ``--pretrained FILE --pretrained_part network``. Configs of any other origin stay unchanged.

    Args:
        parser: Merged config of the running workflow, before the components of the run are made.
    """
    if HANDLERS not in parser:
        return
    loaders = [entry for entry in parser[HANDLERS] if _is_from_monai_label(entry)]
    if loaders and "pretrained_part" in parser:
        parser[HANDLERS] = [entry for entry in parser[HANDLERS] if entry not in loaders]
        parser["pretrained"] = loaders[0]["load_path"]
        parser["pretrained_part"] = "network"
    if "publish" in parser and (loaders or _runs_in_monai_label()):
        parser["publish"] = True


def _runs_in_monai_label() -> bool:
    """Return whether MONAI Label trains in this process, or started it to train on several GPUs."""
    return "monailabel" in sys.modules or any("monailabel_train" in word for word in sys.argv)


def _is_from_monai_label(handler: object) -> bool:
    """Return whether a handler is exactly the one that MONAI Label's ``BundleTrainTask`` writes."""
    return (
        isinstance(handler, dict)
        and handler.get("_target_") == "CheckpointLoader"
        and handler.get("load_dict") == {"model": "$@network"}
    )
