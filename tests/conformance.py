"""What every method promises, as checks of a class: the suite runs them on all that the folder holds."""

import copy
import inspect
import itertools

import torch
from processes import in_two_processes
from torch.func import functional_call, stack_module_state, vmap
from torch.overrides import TorchFunctionMode

from acclimate.nn import Classifier, mlp
from acclimate.nn.replicas import current_replica
from acclimate.types import Labeled, Turn, Unlabeled

FEATURES = "features"
"""The task of a method that learns no labels; it looks at images."""


def build(method, seed=0, task="classification"):
    torch.manual_seed(seed)
    k = 1 if task == "regression" else 3
    backbone = torch.nn.Sequential(torch.nn.Flatten(), mlp(192, 16, 8)) if task == FEATURES else mlp(5, 16, 8)
    return method(Classifier(backbone, mlp(8, k), n_features=8, n_classes=k))


def batches(n_source=12, n_target=9, shift=2.0, seed=0, task="classification"):
    g = torch.Generator().manual_seed(seed)
    if task == FEATURES:
        x = 255 * torch.rand(n_source + n_target, 3, 8, 8, generator=g)
        return Labeled(x[:n_source], torch.arange(n_source) % 3), Unlabeled(x[n_source:])
    x = torch.randn(n_source, 5, generator=g)
    labels = torch.arange(n_source) % 3 if task == "classification" else x[:, 0] - x[:, 1]
    return Labeled(x, labels), Unlabeled(shift + torch.randn(n_target, 5, generator=g))


def ready(method, seed=0, task="classification", sure=20.0):
    """As it is after its look at the target; a model can be made surer of itself, for what learns from sure ones."""

    def of_a_sure_one(model):
        with torch.no_grad():
            model.head[-1].weight.mul_(sure)
        return method(model)

    built = build(of_a_sure_one, seed, task)
    with torch.no_grad():
        built.before_pass([built.model(batches(n_target=20, task=task)[1].inputs, "target")])
    return built


def turns(method):
    return [turn.name for turn in method.turns or (Turn("", ()),)]


def all_losses(method, source, target, progress=0.5):
    """Of all turns, with the same random numbers whenever it is called."""
    torch.manual_seed(0)
    found = {}
    for turn in turns(method):
        found |= {(turn, name): loss for name, loss in method(source, target, progress, turn).items()}
    return found


def state_of(model):
    """All of a caller's model that a method could change."""
    return {
        "values": {name: value.tolist() for name, value in model.state_dict().items()},
        "flags": {name: parameter.requires_grad for name, parameter in model.named_parameters()},
        "tree": [(name, id(part), part.training) for name, part in model.named_modules()],
        "attributes": {name: value for name, value in vars(model).items() if not name.startswith("_")},
    }


def step(method, optimizer, progress=0.5, seed=0, task="classification"):
    torch.manual_seed(seed)  # a checkpoint has the generator's state
    for turn in turns(method):
        optimizer.zero_grad()
        sum(method(*batches(seed=seed, task=task), progress, turn).values()).backward()
        optimizer.step()
    method.after_step(progress)


def losses_and_gradients(method, task="classification"):
    """Of each turn, for a batch of 64 rows; means over the processes, each of which has its rows, as DDP takes them."""
    replica, built = current_replica(), ready(method, task=task)
    source, target = batches(64, 64, task=task)
    own = Labeled(*map(replica.own, source)), Unlabeled(replica.own(target.inputs))
    found = {}
    for turn in turns(built):
        built.zero_grad()
        torch.manual_seed(0)
        losses = built(*own, 0.5, turn)
        sum(losses.values()).backward()
        found |= {f"{turn} {name}": loss.detach() for name, loss in losses.items()}
        found |= {f"{turn} {name}": p.grad for name, p in built.named_parameters() if p.grad is not None}
    return {name: replica.gather(value[None]).mean(0) for name, value in found.items()}


def of_each(named):
    return {name: losses_and_gradients(*of) for name, of in named.items()}


def differ_in_two_processes(folder, named):
    """The names of those methods whose losses or gradients in two processes with half the rows each are others.

    Args:
        folder: An empty one.
        named: Method and task by name.
    """
    one, (two, _) = of_each(named), in_two_processes(folder, of_each, named)
    return {name for name in named if not _close(one[name], two[name])}


def _close(one, two):
    assert one.keys() == two.keys()
    return all(torch.allclose(two[name], value, rtol=1e-5, atol=1e-6) for name, value in one.items())


class FlippedDraws(TorchFunctionMode):
    """What is drawn for a batch, a row for each example, comes last row first."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        drawn = func(*args, **kwargs or {})
        draws = func in {torch.rand, torch.randn, torch.rand_like, torch.randn_like}
        return drawn.flip(0) if draws and len(drawn) in {12, 9} else drawn


def check_losses_are_named_finite_scalars(method, task="classification"):
    losses = all_losses(ready(method, task=task), *batches(task=task))
    assert losses
    for (_, name), loss in losses.items():
        assert isinstance(name, str)
        assert loss.shape == ()
        assert loss.isfinite()


def check_what_it_needs_reaches_the_backbone(method, task="classification"):
    """Only what a method says it needs sends a gradient, and each of that does."""
    built, reached = ready(method, task=task), set()
    for turn in turns(built):
        source, target = batches(task=task)
        for name, batch in (("source", source), ("target", target)):
            batch.inputs.requires_grad_()
            total = sum(built(source, target, 0.5, turn).values())
            [gradient] = torch.autograd.grad(total, batch.inputs, allow_unused=True)
            if gradient is not None and gradient.abs().sum() > 0:
                reached.add(name)
    assert reached == {"source" if need == "target_labels" else need for need in method.needs}


def check_order_in_the_batch_does_not_matter(method, task="classification"):
    source, target = batches(task=task)
    flipped = Labeled(source.inputs.flip(0), source.labels.flip(0)), Unlabeled(target.inputs.flip(0))
    straight = all_losses(ready(method, task=task), source, target)
    with FlippedDraws():
        torch.testing.assert_close(all_losses(ready(method, task=task), *flipped), straight, rtol=1e-4, atol=1e-6)


def check_resumes_where_it_stopped(method, task="classification"):
    straight, resumed = ready(method, task=task), build(method, 1, task)
    a, b = (torch.optim.AdamW(m.parameters()) for m in (straight, resumed))
    step(straight, a, 0.1, task=task)
    resumed.load_state_dict(straight.state_dict())
    b.load_state_dict(copy.deepcopy(a.state_dict()))
    step(straight, a, 0.2, 1, task)
    step(resumed, b, 0.2, 1, task)
    torch.testing.assert_close(resumed.state_dict(), straight.state_dict(), rtol=0, atol=0)


def check_progress_alone_decides_the_schedule(method, task="classification"):
    """The same weights, batch and progress give the same losses, however often it was called before."""
    built = ready(method, task=task)
    first = all_losses(built, *batches(task=task), 0.5)
    for _ in range(3):
        all_losses(built, *batches(seed=1, task=task), 0.9)
    torch.testing.assert_close(all_losses(built, *batches(task=task), 0.5), first, rtol=0, atol=0)


def check_batched_seeds_agree_with_single_ones(method, task="classification"):
    """Seeds stacked into one model give what each gives alone; a method that says it cannot be stacked cannot."""
    built = [ready(method, seed, task) for seed in (0, 1)]
    batch, stacked = batches(task=task), stack_module_state(built)
    for turn in turns(built[0]):

        def losses(p, b, turn=turn):
            return functional_call(built[0], (p, b), (*batch, 0.5, turn))

        torch.manual_seed(0)
        try:
            together = vmap(losses, randomness="same")(*stacked)
        except RuntimeError:
            assert not method.batched
            return
        for i, single in enumerate(built):
            torch.manual_seed(0)
            for name, loss in single(*batch, 0.5, turn).items():
                torch.testing.assert_close(together[name][i], loss, rtol=1e-4, atol=1e-6)
    assert method.batched


def check_the_callers_model_stays_as_it_was(method, task="classification"):
    """Building a method, and its losses, change neither weights nor flags nor modes nor parts of the model."""
    tapped = {"layers": {"0": 1.0}} if "layers" in inspect.signature(method).parameters else {}
    given, before = [], []

    def construct(model):
        model.backbone[1].eval()
        given.append(model)
        before.append(state_of(model))
        return method(model, **tapped)

    built = ready(construct, task=task)
    all_losses(built, *batches(task=task))
    assert state_of(given[0]) == before[0]


def check_turns_move_all_parts(method, task="classification"):
    """Every parameter that learns moves in some turn, and the parts that turns name exist."""
    built = build(method, task=task)
    if built.turns:
        named = set(itertools.chain.from_iterable(t.moves for t in built.turns))
        moving = {id(p) for name in named for p in built.get_submodule(name).parameters()}
        assert moving == {id(p) for p in built.trainable()}


def check_says_what_it_is(method, task="classification"):
    doc = inspect.getdoc(method)
    assert task in (method.tasks or {FEATURES})
    assert method.tasks <= {"classification", "regression"}
    for part in (".. math::", "When to use:\n", "Shapes:", "Reference:", "arXiv:"):
        assert part in doc
    parameters = inspect.signature(method).parameters.values()
    for option in (p for p in parameters if p.kind is p.KEYWORD_ONLY):
        assert f"{option.name}:" in doc
        assert option.default is not option.empty


CHECKS = {name.removeprefix("check_"): value for name, value in dict(globals()).items() if name.startswith("check_")}
