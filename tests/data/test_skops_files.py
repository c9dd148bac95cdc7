import pytest
import samples
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from acclimate.data import skops_files
from acclimate.errors import BadInput

PIPELINE = "sklearn.pipeline.Pipeline"
TYPES = skops_files.Types(frozenset({PIPELINE, "sklearn.preprocessing._data.StandardScaler"}))
WORDS = skops_files.Types(frozenset(f"sklearn.feature_extraction.text.Tfidf{s}" for s in ("Transformer", "Vectorizer")))


@pytest.mark.parametrize("compress", [False, True])
def test_what_is_listed_comes_back(compress, tmp_path):
    fitted = make_pipeline(StandardScaler()).fit([[1.0], [3.0]])
    skops_files.dump(fitted, tmp_path / "a.skops", TYPES, compress=compress)
    assert skops_files.load(tmp_path / "a.skops", TYPES).transform([[3.0]]) == [[1.0]]


def test_words_may_be_called_as_the_parts_of_a_file_are(tmp_path):
    fitted = TfidfVectorizer().fit(["__loader__ __class__ __module__ schema"])
    skops_files.dump(fitted, tmp_path / "a.skops", WORDS)
    assert skops_files.load(tmp_path / "a.skops", WORDS).vocabulary_ == fitted.vocabulary_


def test_what_skops_trusts_by_itself_is_refused_unless_it_is_listed(tmp_path):
    skops_files.dump(StandardScaler().fit([[1.0]]), tmp_path / "a.skops", TYPES)
    with pytest.raises(BadInput, match=r"contains sklearn\.preprocessing\._data\.StandardScaler \(as ObjectNode\)"):
        skops_files.load(tmp_path / "a.skops", WORDS)


@pytest.mark.parametrize("kind", ["ConstructorFromReduceNode", "DictNode", "FunctionNode", "ListNode", "TypeNode"])
def test_a_listed_class_is_not_called(kind, tmp_path):
    node = samples.skops_node(kind, PIPELINE, content=samples.skops_node("ListNode", "builtins.list", content=[]))
    with pytest.raises(BadInput, match=rf"contains {PIPELINE} \(as {kind}\)"):
        skops_files.load(samples.skops_file(tmp_path / "a.skops", node), TYPES)


def test_what_could_not_be_read_back_is_not_written(tmp_path):
    with pytest.raises(BadInput, match="FunctionTransformer"):
        skops_files.dump(make_pipeline(FunctionTransformer()), tmp_path / "a.skops", TYPES)
    assert not list(tmp_path.iterdir())
