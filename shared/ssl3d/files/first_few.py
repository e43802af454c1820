"""Log the first few of many."""

import logging


class FirstFew:
    """Log a sentence for the first few things of a kind, each once, and then one sentence for all others.

    Each object counts for itself, so that a second workflow in one process, as in a label server, is not silent.

    Args:
        logger: Logger of the module that has something to say.
        rest: Sentence in place of all others.
        limit: Number of things that are named.
    """

    __slots__ = ("limit", "logger", "rest", "seen")  # no attributes that a description of its owner would hold

    def __init__(self, logger: logging.Logger, rest: str, limit: int = 3) -> None:
        self.logger, self.rest, self.limit = logger, rest, limit
        self.seen: set[str] = set()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.rest!r})"

    def __call__(self, sentence: str) -> None:
        """Log a sentence, unless it was logged before or there were too many."""
        if sentence in self.seen or len(self.seen) > self.limit:
            return
        self.seen.add(sentence)
        self.logger.info(sentence if len(self.seen) <= self.limit else self.rest)
