"""What MONAI Label asks of a training, in the terms of our configs."""

from monai.bundle import ConfigParser

HANDLERS = "train#handlers"


def adopt_checkpoint_loader(parser: ConfigParser) -> None:
    """Make the starting weights that MONAI Label asks for the run's ``pretrained``, all of the network included.

    MONAI Label (0.8.5) says what to start from by a ``CheckpointLoader`` before the handlers of ``train.json``. That
    one stops at a head of another shape, checks no hash and says nothing of what fitted, and the new weights' passport
    would not name the corpus and licence of the old. So the handler is taken out of the config, and its file goes the
    way of ``--pretrained FILE --pretrained_part network``. A config without such a handler stays as it is.

    Args:
        parser: of the running workflow, before the components of the run are made.
    """
    if HANDLERS not in parser or "pretrained_part" not in parser:
        return
    handlers = parser[HANDLERS]
    loaders = [entry for entry in handlers if _is_from_monai_label(entry)]
    if not loaders:
        return
    parser[HANDLERS] = [entry for entry in handlers if entry not in loaders]
    parser["pretrained"] = loaders[0]["load_path"]
    parser["pretrained_part"] = "network"


def _is_from_monai_label(handler: object) -> bool:
    """Whether it is the handler that MONAI Label's ``BundleTrainTask`` writes, word for word."""
    return (
        isinstance(handler, dict)
        and handler.get("_target_") == "CheckpointLoader"
        and handler.get("load_dict") == {"model": "$@network"}
    )
