"""What a Run found, in one sentence."""

from acclimate.run import RunFolder


def finding(run: RunFolder) -> str:
    """The result as a person would say it, the baseline beside it."""
    scores, recipe = run.scores, run.recipe
    before, seeds = scores["source_only"], len(scores["seeds"])
    over = f" (mean of {seeds} seeds)" if seeds > 1 else " (one seed)"
    if "target" not in scores:
        return (
            f"Trained on {recipe.source.path} with {before['source_val']['accuracy']:.1%} on held-out source; "
            f"how well {recipe.method} works on {recipe.target.path} was not scored: no labels given{over}."
        )
    after = f"{scores['target']['accuracy']:.1%}"
    if recipe.method == "source_only":
        return f"On {recipe.target.path}: {after} right without adaptation{over}."
    gain = scores["target"]["accuracy"] - before["target"]["accuracy"]
    verb = "raises" if gain > 0 else "lowers" if gain < 0 else "leaves"
    line = (
        f"{recipe.method} {verb} accuracy on {recipe.target.path} from {before['target']['accuracy']:.1%} "
        f"to {after}{over}."
    )
    return line if not scores["why"] else f"{line} It is not kept: {scores['why']}."
