import inspect
import math

import pytest

from acclimate import finetune
from acclimate.errors import BadInput
from acclimate.finetune import FROZEN, Pace
from acclimate.finetune.feature_extraction import paces as feature_extraction
from acclimate.finetune.gradual import paces as gradual
from acclimate.finetune.llrd import paces as llrd
from acclimate.finetune.lp_ft import paces as lp_ft
from acclimate.finetune.partial import paces as partial


@pytest.mark.parametrize(
    ("decay", "rates"),
    [(0.3, [8.1e-6, 2.7e-5, 9e-5, 3e-4, 1e-3]), (0.1, [1e-7, 1e-6, 1e-5, 1e-4, 1e-3])],
)
def test_llrd_golden_example(decay, rates):
    assert [0.001 * pace.rate for pace in llrd(5, decay=decay)] == pytest.approx(rates)


def test_llrd_bottom_at_a_half():
    assert 0.001 * llrd(5, decay=0.5)[0].rate == pytest.approx(6.25e-5)


def test_gradual_unfreezes_one_layer_after_the_other_from_the_top():
    assert [pace.start for pace in gradual(5, span=0.8)] == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.0])


def test_feature_extraction_trains_the_head_alone():
    assert feature_extraction(3) == [FROZEN, FROZEN, Pace()]


@pytest.mark.parametrize(("layers", "frozen"), [(0, 4), (1, 3), (9, 0)])
def test_partial_trains_the_uppermost(layers, frozen):
    assert [pace == FROZEN for pace in partial(5, layers=layers)] == [True] * frozen + [False] * (5 - frozen)


def test_lp_ft_probes_first():
    assert [pace.start for pace in lp_ft(3, probe=0.25)] == [0.25, 0.25, 0.0]


@pytest.mark.parametrize("name", finetune.names())
@pytest.mark.parametrize("n", [1, 2, 12])
def test_every_strategy_gives_each_layer_a_pace_and_trains_the_head(name, n):
    found = finetune.paces_of(name)(n)
    assert len(found) == n
    assert found[-1] == Pace()
    assert all(0 < pace.rate <= 1 and (0 <= pace.start <= 1 or math.isinf(pace.start)) for pace in found)


@pytest.mark.parametrize("name", finetune.names())
def test_every_strategy_documents_each_option(name):
    doc = inspect.getdoc(finetune.paces_of(name))
    assert all(f"{option}:" in doc for option in ["n_layers", *finetune.options(name)])


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("llrd", {"decay": 0.0}),
        ("llrd", {"decay": 1.5}),
        ("gradual", {"span": -0.1}),
        ("lp_ft", {"probe": 2.0}),
        ("partial", {"layers": -1}),
        ("lora", {"rank": 0}),
    ],
)
def test_an_option_out_of_range_is_refused(name, wrong):
    with pytest.raises(BadInput, match=rf"finetune.{next(iter(wrong))}="):
        finetune.paces_of(name)(5, **wrong)
