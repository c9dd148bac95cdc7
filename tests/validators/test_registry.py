import inspect
import subprocess
import sys

import numpy as np
import pytest
from candidates import healthy, task

from acclimate import methods, validators
from acclimate.errors import BadInput
from acclimate.methods import shallow, testtime
from acclimate.validators.base import PARTS
from acclimate.validators.candidate import Candidate

P = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])


def test_every_file_with_a_validator_is_found():
    assert {"acm", "class_ami", "dev", "devn", "ensv", "entropy", "mixval", "snd"} <= set(validators.names())
    assert not {"atc", "base", "candidate", "collapse", "gates", "ranks", "selection"} & set(validators.names())


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(BadInput, match="no validator 'entropie'; did you mean entropy"):
        validators.get("entropie")


@pytest.mark.parametrize("name", validators.names())
def test_a_validator_says_what_it_measures_on_which_shapes_and_where_it_comes_from(name):
    doc = inspect.getdoc(validators.get(name))
    assert all(part in doc for part in (".. math::", "Shapes: ", "\nReference:\n"))


@pytest.mark.parametrize("name", validators.names())
def test_a_validator_names_methods_and_parts_that_exist(name):
    found = validators.get(name)()
    assert found.shares <= {*methods.names(), *shallow.names(), *testtime.names()}
    assert set(found.needs) <= set(PARTS)
    assert found.name == name


@pytest.mark.parametrize("name", [n for n in validators.names() if validators.get(n).needs])
def test_a_missing_part_is_named(name):
    [score] = validators.get(name)().scores([Candidate("dann", P, np.array([0, 1, 1]), P)])
    assert np.isnan(score.value)
    assert score.refused.startswith(f"{name}: needs ")
    assert "which candidate dann lacks" in score.refused


@pytest.mark.parametrize("name", validators.names())
def test_a_score_is_the_same_every_time(name):
    pool = [healthy(task(n=120))]
    first, again = (validators.get(name)().scores(pool) for _ in range(2))
    assert first == again
    assert np.isfinite(first[0].value)


def test_an_ensemble_shares_the_losses_of_its_members():
    ensemble = Candidate("ensemble", P, np.array([0, 1, 1]), P, members=("dann", "mcc"))
    assert not validators.get("entropy")().may_judge(ensemble)


@pytest.mark.slow
def test_validators_import_no_torch():
    code = "from acclimate import validators; from acclimate.validators import selection; import sys\n"
    code += "[validators.get(name) for name in validators.names()]; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
