"""A function of tensors as the list of operations it comes to, run without the Python around them.

On small networks dispatching costs several times what the arithmetic does, above all under `torch.func.vmap`. Traced
once, simplified and replayed, the same operations take half the time. Unlike `torch.compile` this needs no compiler,
and only a fraction of a second.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor
from torch._guards import TracingContext, tracing
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functionalize
from torch.fx import Graph, GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.node import Argument, map_arg

aten = torch.ops.aten

COPIES = {
    aten.alias.default, aten.detach.default, aten.view.default, aten._unsafe_view.default, aten.expand.default,
    aten._to_copy.default,
}  # fmt: skip
"""Give their first argument's numbers, in another shape or type at most."""
SHAPE_ALONE = {
    aten.zeros_like.default, aten.ones_like.default, aten.full_like.default, aten.new_zeros.default,
    aten.new_ones.default, aten.new_full.default,
}  # fmt: skip
"""Read nothing but the shape of their first argument."""
NEUTRAL = {aten.mul.Scalar: 1, aten.mul.Tensor: 1, aten.div.Tensor: 1, aten.add.Tensor: 0, aten.sub.Tensor: 0}
"""The second argument that changes nothing."""
CHANGING = {aten.native_batch_norm.default, aten._native_batch_norm_legit.default}
"""Change an argument without saying so in their schema."""

BOUND: dict[str, Callable[..., object]] = {"view": Tensor.view, "_unsafe_view": Tensor.view, "expand": Tensor.expand}
"""Methods of tensors that are no functions in ``torch``."""


def traced(function: Callable[..., object], *example: object) -> Callable[..., object]:
    """The operations of ``function`` for arguments of these shapes; other shapes need another trace.

    Args:
        function: Of tensors in tuples and dicts, whose Python does the same whatever their values are. Arguments that
            are not tensors become constants.
        example: Arguments; what the function changes in place changes in them too.

    Raises:
        RuntimeError: The function depends on the values of its tensors.
    """
    # without a context each operation would note the shape of its result in a mode of its own, half of the work
    with torch.no_grad(), tracing(TracingContext(FakeTensorMode(allow_fallback_kernels=True))):
        module = make_fx(functionalize(function))(*example)
    simplify(module)
    return cast("Callable[..., object]", module.forward)  # a module's call costs as much as an operation


def simplify(module: GraphModule) -> None:
    """Drop what changes nothing, what is computed twice or is always the same, and what nobody uses; in place."""
    graph = module.graph
    for node in graph.nodes:
        if (same := _same_as(node)) is not None:
            node.replace_all_uses_with(same)
    _fold(module)
    _merge_equal(graph)
    graph.eliminate_dead_code()
    for node in graph.nodes:
        _transpose_factors(graph, node)
    graph.eliminate_dead_code()
    for node in graph.nodes:
        _add_within_product(graph, node)
    graph.eliminate_dead_code()
    for node in graph.nodes:
        _bind(node)
    module.recompile()


def _same_as(node: Node) -> Node | None:
    """The node whose tensor this one is again."""
    if node.target is aten.cat.default:
        return _whole(node)
    first = _node(node.args[0]) if node.args else None
    if first is not None and _swaps(node) and _swaps(first):
        return _node(first.args[0])
    if first is None or not _alike(node, first):
        return None
    if node.target in COPIES:
        return first
    second = node.args[1] if len(node.args) > 1 else None
    return first if node.target in NEUTRAL and second == NEUTRAL[node.target] else None


def _whole(node: Node) -> Node | None:
    """The tensor whose two slices are joined again."""
    parts, dim = node.args[0], node.args[1] if len(node.args) > 1 else 0
    slices = [p for p in parts if isinstance(p, Node)] if isinstance(parts, Sequence) else []
    if len(slices) != 2 or any(p.target is not aten.slice.Tensor or len(p.args) != 4 for p in slices):
        return None
    (base, *first), (other, *second) = (p.args for p in slices)
    adjacent = first[:2] == [dim, 0] and second[:2] == [dim, first[2]]
    return base if base is other and isinstance(base, Node) and adjacent and _alike(node, base) else None


def _fold(module: GraphModule) -> None:
    """Compute now what does not depend on the arguments."""
    known: dict[Node, object] = {
        node: operator.attrgetter(str(node.target))(module) for node in module.graph.nodes if node.op == "get_attr"
    }
    for node in module.graph.nodes:
        if node.op != "call_function" or _changes(node):
            continue
        if node.target in SHAPE_ALONE and (first := _node(node.args[0])) is not None:
            like = _meta(first)
            known[node] = _call(node, {first: torch.zeros(like.shape, dtype=like.dtype, device=like.device)})
        elif all(n in known for n in node.all_input_nodes):
            known[node] = _call(node, known)
        elif node.target in NEUTRAL and (second := _node(node.args[1])) in known:
            first = _node(node.args[0])
            if first and second and _alike(node, first) and _equals(known[second], NEUTRAL[node.target]):
                node.replace_all_uses_with(first)
    for node, value in known.items():
        if node.op == "call_function" and isinstance(value, Tensor) and any(user not in known for user in node.users):
            _hold(module, node, value)


def _merge_equal(graph: Graph) -> None:
    """Compute once what is computed several times."""
    seen: dict[str, Node] = {}
    for node in graph.nodes:
        if node.op == "call_function" and not _changes(node):
            earlier = seen.setdefault(repr((str(node.target), node.args, node.kwargs)), node)
            if earlier is not node:
                node.replace_all_uses_with(earlier)


def _transpose_factors(graph: Graph, node: Node) -> None:
    """Write ``(AᵀB)ᵀ`` as ``BᵀA``, so that the gradient of a weight has the weight's memory layout."""
    product = _node(node.args[0]) if _swaps(node) else None
    if product is None or product.target is not aten.bmm.default or len(product.users) > 1:
        return
    a, b = (_node(factor) for factor in product.args)
    if a is None or b is None or not _swaps(a):
        return
    with graph.inserting_before(node):
        turned = b.args[0] if _swaps(b) else graph.call_function(aten.transpose.int, (b, 1, 2))
        swapped = graph.call_function(aten.bmm.default, (turned, a.args[0]))
    swapped.meta = node.meta
    node.replace_all_uses_with(swapped)


def _add_within_product(graph: Graph, node: Node) -> None:
    """Write ``A B + c`` as one operation."""
    if node.target is not aten.add.Tensor or node.kwargs:
        return
    for product, other in (node.args, node.args[::-1]):
        if not isinstance(product, Node) or not isinstance(other, Node) or product.target is not aten.bmm.default:
            continue
        if len(product.users) == 1 and _meta(other).dim() == 3 and _alike(node, product):
            with graph.inserting_before(node):
                fused = graph.call_function(aten.baddbmm.default, (other, *product.args))
            fused.meta = node.meta
            node.replace_all_uses_with(fused)
            return


def _bind(node: Node) -> None:
    """Call an operation by its function in ``torch``, which reads its arguments in half the time."""
    name = getattr(getattr(node.target, "overloadpacket", None), "__name__", "")
    function: Callable[..., object] | None = BOUND.get(name) or getattr(torch, name or "-", None)
    takes_all = not any(isinstance(argument, list | tuple) and None in argument for argument in node.args)
    if function is not None and takes_all:
        node.target = function


def _swaps(node: Node) -> bool:
    return node.target is aten.transpose.int and set(node.args[1:]) == {1, 2} and _meta(node).dim() == 3


def _changes(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return node.target in CHANGING or bool(schema and schema.is_mutable)


def _alike(a: Node, b: Node) -> bool:
    x, y = a.meta.get("val"), b.meta.get("val")
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        return False
    return x.shape == y.shape and x.stride() == y.stride() and x.dtype == y.dtype and x.device == y.device


def _meta(node: Node) -> Tensor:
    return cast("Tensor", node.meta["val"])


def _node(argument: Argument) -> Node | None:
    return argument if isinstance(argument, Node) else None


def _equals(value: object, number: int) -> bool:
    return isinstance(value, Tensor) and value.numel() == 1 and value.item() == number


def _call(node: Node, known: Mapping[Node, object]) -> object:
    def value(one: Node) -> Argument:
        return cast("Argument", known[one])

    function = cast("Callable[..., object]", node.target)
    return function(
        *cast("tuple[object, ...]", map_arg(node.args, value)),
        **{name: map_arg(argument, value) for name, argument in node.kwargs.items()},
    )


def _hold(module: GraphModule, node: Node, value: Tensor) -> None:
    """Put a constant in a node's place."""
    name = f"constant_{node.name}"
    module.register_buffer(name, value, persistent=False)
    with module.graph.inserting_before(node):
        held = module.graph.get_attr(name)
    held.meta = node.meta
    node.replace_all_uses_with(held)
