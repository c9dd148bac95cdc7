"""The course of the losses, thinned to what a curve can show."""

import polars as pl

from acclimate.run_folder import RunFolder

BINS = 120
"""Points of a curve at most; each is the mean over its steps."""


def read_losses(run: RunFolder) -> pl.DataFrame:
    """Means over stretches of steps: a row for each ``phase``, ``seed``, ``name`` and stretch (``step``, ``value``)."""
    if not run.file("losses.jsonl").is_file():
        return pl.DataFrame(schema={"phase": pl.String, "seed": pl.Int64, "name": pl.String, "stretch": pl.Int64})
    lines = pl.DataFrame(list(run.losses()), infer_schema_length=None)
    long = lines.unpivot(index=["phase", "seed", "step"], variable_name="name", value_name="value")
    return thin(long.with_columns(pl.col("value").cast(pl.Float64)))


def thin(long: pl.DataFrame) -> pl.DataFrame:
    """Each phase's curves as means over at most 120 equal stretches of it; what is not finite is left out."""
    width = (pl.col("step").max().over("phase") + BINS - 1) // BINS
    stretch = ((pl.col("step") - 1) // width).alias("stretch")
    return (
        long.with_columns(stretch)
        .filter(pl.col("value").is_not_null() & pl.col("value").is_finite())
        .group_by("phase", "seed", "name", "stretch", maintain_order=True)
        .agg(pl.col("step").mean().round(1), pl.col("value").mean())
        .sort("stretch", maintain_order=True)
    )


def mean_curve(curves: pl.DataFrame) -> pl.DataFrame:
    """The mean over the seeds of one phase's curves of one name."""
    return curves.group_by("stretch").agg(pl.col("step").mean(), pl.col("value").mean()).sort("stretch")
