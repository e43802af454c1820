"""Translate what MONAI Label asks of a training into the terms of our configs."""

import sys

from monai.bundle import ConfigParser

HANDLERS = "train#handlers"


def adopt_monai_label(parser: ConfigParser) -> None:
    """Start from the weights that MONAI Label asks for, and publish the new ones where its server looks for them.

    MONAI Label (0.8.5) names the weights to start from by a ``CheckpointLoader`` before the handlers of ``train.json``.
    That handler stops at a head of another shape, checks no hash and does not say what fitted, and the passport of the
    new weights would not name the corpus and licence of the old. So it is taken out of the config, and its file goes
    the way of ``--pretrained FILE --pretrained_part network``. A config of any other origin stays as it is.

    Args:
        parser: The merged config of the running workflow, before the components of the run are made.
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
    """Return whether it is the handler that MONAI Label's ``BundleTrainTask`` writes, word for word."""
    return (
        isinstance(handler, dict)
        and handler.get("_target_") == "CheckpointLoader"
        and handler.get("load_dict") == {"model": "$@network"}
    )
