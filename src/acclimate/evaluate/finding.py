"""What a Run found, in one sentence."""

from acclimate.run import RunFolder


def finding(run: RunFolder) -> str:
    """The result as a person would say it, the baseline beside it."""
    scores, recipe = run.scores, run.recipe
    seeds = len(scores["seeds"])
    over = f"mean of {seeds} seeds" if seeds > 1 else "one seed"
    not_kept = f" It is not kept: {scores['why']}." if scores["why"] else ""
    before = scores["source_only"]
    if "target" not in scores:
        return (
            f"Trained on {recipe.source.path} with {before['source_val']['accuracy']:.1%} on held-out source; how well "
            f"{recipe.method} works on {recipe.target.path} was not scored: no labels given ({over}).{not_kept}"
        )
    after = scores["target"]["accuracy"]
    if recipe.method == "source_only":
        return f"On {recipe.target.path} {after:.1%} are right without adaptation ({over})."
    gain = after - before["target"]["accuracy"]
    verb = "raises" if gain > 0 else "lowers" if gain < 0 else "leaves"
    return (
        f"{recipe.method} {verb} accuracy on {recipe.target.path} from {before['target']['accuracy']:.1%} to "
        f"{after:.1%} ({over}).{not_kept}"
    )
