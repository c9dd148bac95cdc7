"""What every method promises, as checks of a class: `check_method` runs them on yours."""

import copy
import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.optim import AdamW, Optimizer
from torch.overrides import TorchFunctionMode

from acclimate.methods.base import Method
from acclimate.nn import Classifier, mlp
from acclimate.recipe import Options
from acclimate.types import Labeled, Turn, Unlabeled

FEATURES = "features"
"""The task of a method that learns no labels; it looks at images."""
TASK = "classification"
ROWS = (12, 9)
"""Rows of the source's and the target's batch."""

Build = Callable[[Classifier], Method]
"""A method's class, or a function that builds it on a model."""
Losses = dict[tuple[str, str], Tensor]
"""Losses by turn and name."""


def check_method(method: type[Method], *, task: str | None = None, documented: bool = False) -> None:
    """Check that a method keeps all promises: run it in a test of yours.

    Losses are finite named scalars; each domain that it ``needs`` sends a gradient to the backbone, and no other; the
    order in the batch does not matter; it resumes to the bit; ``progress`` is its only clock; stacked seeds agree with
    single ones, unless ``batched`` is false; the caller's model is left as it was; every part moves in some turn.

    Args:
        method: The class.
        task: What it learns; by default each of its ``tasks``.
        documented: Whether the docstring must have an equation, ``When to use:``, ``Shapes:`` and a reference.

    Raises:
        AssertionError: It breaks a promise.

    Example:
        >>> from acclimate.methods import DANN
        >>> check_method(DANN)
    """
    for one in (task,) if task else sorted(method.tasks) or (FEATURES,):
        for name, check in CHECKS.items():
            if documented or check is not check_says_what_it_is:
                try:
                    check(method, one)
                except AssertionError as error:
                    raise AssertionError(f"{method.__name__}, {one}: {name.replace('_', ' ')}: {error}") from error


def build(method: Build, seed: int = 0, task: str = TASK) -> Method:
    """A method on a small net with seeded weights."""
    torch.manual_seed(seed)
    k = 1 if task == "regression" else 3
    backbone = nn.Sequential(nn.Flatten(), mlp(192, 16, 8)) if task == FEATURES else mlp(5, 16, 8)
    return method(Classifier(backbone, mlp(8, k), n_features=8, n_classes=k))


def batches(
    n_source: int = ROWS[0], n_target: int = ROWS[1], shift: float = 2.0, seed: int = 0, task: str = TASK
) -> tuple[Labeled, Unlabeled]:
    """A batch of each domain, the target shifted."""
    g = torch.Generator().manual_seed(seed)
    if task == FEATURES:
        x = 255 * torch.rand(n_source + n_target, 3, 8, 8, generator=g)
        return Labeled(x[:n_source], torch.arange(n_source) % 3), Unlabeled(x[n_source:])
    x = torch.randn(n_source, 5, generator=g)
    labels = torch.arange(n_source) % 3 if task == TASK else x[:, 0] - x[:, 1]
    return Labeled(x, labels), Unlabeled(shift + torch.randn(n_target, 5, generator=g))


def ready(method: Build, seed: int = 0, task: str = TASK, sure: float = 20.0) -> Method:
    """A method after its look at the target; ``sure`` multiplies logits, for what learns from sure predictions."""

    def of_a_sure_one(model: Classifier) -> Method:
        with torch.no_grad():
            list(model.head.children())[-1].get_parameter("weight").mul_(sure)
        return method(model)

    built = build(of_a_sure_one, seed, task)
    with torch.no_grad():
        built.before_pass([built.model(batches(n_target=20, task=task)[1].inputs, "target")])
    return built


def turns(method: Method) -> list[str]:
    """The names of its turns; one without a name if it has none."""
    return [turn.name for turn in method.turns or (Turn("", ()),)]


def all_losses(method: Method, source: Labeled, target: Unlabeled, progress: float = 0.5) -> Losses:
    """Losses of all turns, with the same random numbers at every call."""
    torch.manual_seed(0)
    found: Losses = {}
    for turn in turns(method):
        found |= {(turn, name): loss for name, loss in method(source, target, progress, turn).items()}
    return found


def state_of(model: nn.Module) -> dict[str, object]:
    """All of a caller's model that a method could change."""
    return {
        "values": {name: value.tolist() for name, value in model.state_dict().items()},
        "flags": {name: parameter.requires_grad for name, parameter in model.named_parameters()},
        "tree": [(name, id(part), part.training) for name, part in model.named_modules()],
        "attributes": {name: value for name, value in vars(model).items() if not name.startswith("_")},
    }


def step(method: Method, optimizer: Optimizer, progress: float = 0.5, seed: int = 0, task: str = TASK) -> None:
    """One step with all its turns."""
    torch.manual_seed(seed)  # a checkpoint has the generator's state
    for turn in turns(method):
        optimizer.zero_grad()
        torch.autograd.backward(_total(method(*batches(seed=seed, task=task), progress, turn)))
        optimizer.step()
    method.after_step(progress)


class FlippedDraws(TorchFunctionMode):
    """Random numbers with a row for each example of a batch come last row first."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Flip what is drawn."""
        drawn = func(*args, **kwargs or {})
        draws = func in {torch.rand, torch.randn, torch.rand_like, torch.randn_like}
        return drawn.flip(0) if draws and isinstance(drawn, Tensor) and len(drawn) in ROWS else drawn


def check_losses_are_named_finite_scalars(method: type[Method], task: str = TASK) -> None:
    """Each loss has a name, no shape, and a finite value."""
    losses = all_losses(ready(method, task=task), *batches(task=task))
    assert losses, "there is no loss"
    for (_, name), loss in losses.items():
        assert isinstance(name, str), f"{name!r} is not a name"
        assert loss.shape == (), f"loss {name!r} has shape {tuple(loss.shape)}"
        assert loss.isfinite(), f"loss {name!r} is {loss}"


def check_what_it_needs_reaches_the_backbone(method: type[Method], task: str = TASK) -> None:
    """Only what a method says it needs sends a gradient, and each of that does."""
    built, reached = ready(method, task=task), set()
    for turn in turns(built):
        source, target = batches(task=task)
        for name, inputs in (("source", source.inputs), ("target", target.inputs)):
            inputs.requires_grad_()
            [gradient] = torch.autograd.grad(_total(built(source, target, 0.5, turn)), inputs, allow_unused=True)
            if gradient is not None and gradient.abs().sum() > 0:
                reached.add(name)
    needs = {"source" if need == "target_labels" else need for need in method.needs}
    assert reached == needs, f"gradients come from {sorted(reached)}, and it needs {sorted(needs)}"


def check_order_in_the_batch_does_not_matter(method: type[Method], task: str = TASK) -> None:
    """The batch in another order gives the same losses."""
    source, target = batches(task=task)
    flipped = Labeled(source.inputs.flip(0), source.labels.flip(0)), Unlabeled(target.inputs.flip(0))
    straight = all_losses(ready(method, task=task), source, target)
    with FlippedDraws():
        torch.testing.assert_close(all_losses(ready(method, task=task), *flipped), straight, rtol=1e-4, atol=1e-6)


def check_resumes_where_it_stopped(method: type[Method], task: str = TASK) -> None:
    """All that a step changes is in ``state_dict``."""
    straight, resumed = ready(method, task=task), build(method, 1, task)
    a, b = (AdamW(m.parameters()) for m in (straight, resumed))
    step(straight, a, 0.1, task=task)
    resumed.load_state_dict(straight.state_dict())
    b.load_state_dict(copy.deepcopy(a.state_dict()))
    step(straight, a, 0.2, 1, task)
    step(resumed, b, 0.2, 1, task)
    torch.testing.assert_close(resumed.state_dict(), straight.state_dict(), rtol=0, atol=0)


def check_progress_alone_decides_the_schedule(method: type[Method], task: str = TASK) -> None:
    """The same weights, batch and progress give the same losses, however often it was called before."""
    built = ready(method, task=task)
    first = all_losses(built, *batches(task=task), 0.5)
    for _ in range(3):
        all_losses(built, *batches(seed=1, task=task), 0.9)
    torch.testing.assert_close(all_losses(built, *batches(task=task), 0.5), first, rtol=0, atol=0)


def check_batched_seeds_agree_with_single_ones(method: type[Method], task: str = TASK) -> None:
    """Seeds stacked into one model give the losses and gradients of each alone, or the method says that they cannot."""
    built = [ready(method, seed, task) for seed in (0, 1)]
    batch, stacked = batches(task=task), stack_module_state(built)
    for turn in turns(built[0]):

        def losses(p: dict[str, Tensor], b: dict[str, Tensor], turn: str = turn) -> tuple[Tensor, Mapping[str, Tensor]]:
            found: Mapping[str, Tensor] = functional_call(built[0], (p, b), (*batch, 0.5, turn))
            return _total(found), found

        torch.manual_seed(0)
        try:
            gradients, (_, together) = vmap(grad_and_value(losses, has_aux=True), randomness="same")(*stacked)
        except RuntimeError as error:
            if method.batched:
                raise AssertionError("it cannot be stacked; set batched = False") from error
            return
        for i, single in enumerate(built):
            torch.manual_seed(0)
            alone = single(*batch, 0.5, turn)
            for name, loss in alone.items():
                torch.testing.assert_close(together[name][i], loss, rtol=1e-4, atol=1e-6)
            torch.autograd.backward(_total(alone))
            for name, p in single.named_parameters():
                if p.grad is not None:
                    torch.testing.assert_close(gradients[name][i], p.grad, rtol=1e-3, atol=1e-5)
                p.grad = None
    assert method.batched, "it can be stacked, and says that it cannot"


def check_the_callers_model_stays_as_it_was(method: type[Method], task: str = TASK) -> None:
    """Building a method, and its losses, change neither weights nor flags nor modes nor parts of the model."""
    tapped: Options = {"layers": {"0": 1.0}} if "layers" in inspect.signature(method).parameters else {}
    given: list[tuple[Classifier, dict[str, object]]] = []

    def construct(model: Classifier) -> Method:
        list(model.backbone.children())[1].eval()
        given.append((model, state_of(model)))
        return method(model, **tapped)

    all_losses(ready(construct, task=task), *batches(task=task))
    [(model, before)] = given
    assert state_of(model) == before, "the model has changed"


def check_turns_move_all_parts(method: type[Method], task: str = TASK) -> None:
    """Every parameter that learns moves in some turn, and the parts that turns name exist."""
    built = build(method, task=task)
    if built.turns:
        named = set(itertools.chain.from_iterable(t.moves for t in built.turns))
        moving = {id(p) for name in named for p in built.get_submodule(name).parameters()}
        assert moving == {id(p) for p in built.trainable()}, "some parameters move in no turn, or in one they must not"


def check_says_what_it_is(method: type[Method], task: str = TASK) -> None:
    """The docstring has all parts, and each option is in it."""
    doc = inspect.getdoc(method) or ""
    assert task in (method.tasks or {FEATURES}), f"{task} is not among its tasks"
    assert method.tasks <= {TASK, "regression"}, f"unknown tasks: {sorted(method.tasks)}"
    for part in (".. math::", "When to use:\n", "Shapes:", "Reference:", "arXiv:"):
        assert part in doc, f"the docstring has no {part!r}"
    parameters = inspect.signature(method).parameters.values()
    for option in (p for p in parameters if p.kind is p.KEYWORD_ONLY):
        assert f"{option.name}:" in doc, f"the docstring does not describe {option.name}"
        assert option.default is not option.empty, f"{option.name} has no default"


def _total(losses: Mapping[str, Tensor]) -> Tensor:
    return torch.stack(list(losses.values())).sum()


CHECKS: dict[str, Callable[[type[Method], str], None]] = {
    name.removeprefix("check_"): value
    for name, value in dict(globals()).items()
    if name.startswith("check_") and name != "check_method"
}
"""All checks by name; each takes a class and a task."""
