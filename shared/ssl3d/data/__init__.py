"""Data sets: datalists and pairs, sections, validation, the cache of prepared volumes, draws."""

from ..files.content import content_key
from ..files.folders import cache_dir
from ..imaging.organs import LabelMap, label_map
from ..synthetic import synthesize
from .cache import PreparedDataset
from .checks import Fault, check_item
from .datalist import Datalist
from .draws import DrawDataset, DrawSampler, draw_seed
from .label_names import as_names, data_set_names, same_names
from .matched_pairs import Match, MatchedPairDataset
from .pair_list import PairList
from .pairs import PairDataset
from .splits import hippocampus_split, labelled_subset, positional_split
from .validation import DataError, validate

__all__ = [
    "DataError",
    "Datalist",
    "DrawDataset",
    "DrawSampler",
    "Fault",
    "LabelMap",
    "Match",
    "MatchedPairDataset",
    "PairDataset",
    "PairList",
    "PreparedDataset",
    "as_names",
    "cache_dir",
    "check_item",
    "content_key",
    "data_set_names",
    "draw_seed",
    "hippocampus_split",
    "label_map",
    "labelled_subset",
    "positional_split",
    "same_names",
    "synthesize",
    "validate",
]
