"""The losses of a Run, averaged over bins of steps."""

import polars as pl

from acclimate.errors import damaged
from acclimate.run_folder import RunFolder

MOST_NAMES = 256
"""Most losses that have a name of their own."""
BINS = 120
"""Most points of a curve; each is the mean over a bin of steps."""


def read_losses(run: RunFolder) -> pl.DataFrame:
    """Return means over bins of steps: ``step`` and ``value`` for each ``phase``, ``seed``, ``name`` and ``bin``."""
    if not run.file("losses.jsonl").is_file():
        return _none()
    noted = list(run.losses())
    trained = {(seed, phase) for seed in run.recipe.seeds for phase in run.recipe.trainings}
    if strange := {(line["seed"], line["phase"]) for line in noted} - trained:
        seed, phase = min(strange)
        raise damaged(run.path, "losses.jsonl", f"seed {seed}, phase {phase!r:.40} are not in the recipe")
    if len({name for line in noted for name in line}) > MOST_NAMES:
        raise damaged(run.path, "losses.jsonl", f"more than {MOST_NAMES} losses")
    lines = pl.DataFrame(noted, infer_schema_length=None)
    if not lines.height:
        return _none()
    long = lines.unpivot(index=["phase", "seed", "step"], variable_name="name", value_name="value")
    return thin(long.with_columns(pl.col("value").cast(pl.Float64)))


def _none() -> pl.DataFrame:
    return pl.DataFrame(schema={"phase": pl.String, "seed": pl.Int64, "name": pl.String, "bin": pl.Int64})


def thin(long: pl.DataFrame) -> pl.DataFrame:
    """Return each phase's curves as means over at most 120 bins of equal width, without values that are not finite."""
    width = (pl.col("step").max().over("phase") + BINS - 1) // BINS
    bins = ((pl.col("step") - 1) // width).alias("bin")
    return (
        long.with_columns(bins)
        .filter(pl.col("value").is_not_null() & pl.col("value").is_finite())
        .group_by("phase", "seed", "name", "bin", maintain_order=True)
        .agg(pl.col("step").mean().round(1), pl.col("value").mean())
        .sort("bin", maintain_order=True)
    )


def mean_curve(curves: pl.DataFrame) -> pl.DataFrame:
    """Return the mean over seeds of one phase's curves of one name."""
    return curves.group_by("bin").agg(pl.col("step").mean(), pl.col("value").mean()).sort("bin")
