"""``ssl3d study``."""

from collections.abc import Sequence

from .values import several


def study(
    bundle: str,
    dataset_dir: str,
    output_dir: str,
    labels: str | int | Sequence[str | int] = (4, 16, "all"),
    seeds: int | Sequence[int] = (0, 1, 2),
    pretrained: str | Sequence[str] = "none",
    section: str = "validation",
    folds: int | None = None,
    jobs: int = 2,
    **settings: object,
) -> None:
    """Train and evaluate a segmentation bundle with few and many labels, and write one table with intervals.

    Keys of the bundle's config can follow as further flags, such as --epochs 20, --label_names head,body,tail or
    --train#trainer#amp true; they hold for all runs. Stopped, the study goes on where it was when it is started again.

    Example: ssl3d study bundles/hippocampus_mri_segmentation Task04_Hippocampus my_study --labels 4,all --seeds 0,1

    Args:
        bundle: Folder of a segmentation bundle.
        dataset_dir: Folder of the data.
        output_dir: Folder of the study; it holds every run with its log, and the tables.
        labels: Numbers of labelled training cases, or all; comma-separated.
        seeds: Seeds of the runs; comma-separated.
        pretrained: Starting weights, which are none, names of bundles or paths; comma-separated.
        section: Cases to score, either validation, to choose settings, or test, once they are frozen.
        folds: Number of folds of a cross-validation, for few labels; the number of cases gives leave-one-out.
        jobs: Runs at a time, one thread each.
        settings: Keys of the bundle's config and their values.
    """
    from ..study.run import study as run_study
    from ..study.runs import settings_as_text

    table = run_study(
        str(bundle),
        str(dataset_dir),
        str(output_dir),
        labels=several(labels),
        seeds=[int(seed) for seed in several(seeds)],
        pretrained=[str(start) for start in several(pretrained)],
        section=section,
        folds=None if folds is None else int(folds),
        jobs=jobs,
        settings=settings_as_text(settings),
    )
    print(table.read_text())
    print(f"Table: {table}\nScores of each case: {table.with_suffix('.csv')}\nPicture: {table.with_suffix('.png')}")
