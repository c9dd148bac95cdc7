import numpy as np
import torch
from conformance import batches, build

from acclimate.methods.align.deep_coral import DeepCORAL


def numpy_coral(a, b):
    a, b = (np.cov(x.detach().numpy(), rowvar=False) for x in (a, b))
    return np.linalg.norm(a - b, "fro") ** 2 / (4 * len(a) ** 2)


def test_each_chosen_layer_has_its_weight():
    method = build(lambda model: DeepCORAL(model, layers={"features": 2.0, "logits": 0.5, "0": 3.0}))
    source, target = batches()
    found = method(source, target, 0.5)
    out_source, out_target = method.model(source.inputs), method.model(target.inputs)
    first = [method.model.backbone[0](b.inputs) for b in (source, target)]
    np.testing.assert_allclose(
        found["coral features"].item(), 2 * numpy_coral(out_source.features, out_target.features), rtol=1e-4
    )
    np.testing.assert_allclose(
        found["coral logits"].item(), numpy_coral(out_source.logits, out_target.logits) / 2, rtol=1e-4
    )
    np.testing.assert_allclose(found["coral 0"].item(), 3 * numpy_coral(*first), rtol=1e-4)


def test_intermediate_layers_are_pooled_over_space():
    from acclimate.nn import Classifier

    convolution = torch.nn.Conv2d(3, 4, 3)
    backbone = torch.nn.Sequential(convolution, torch.nn.Flatten())
    model = Classifier(backbone, torch.nn.Linear(16, 2), n_features=16, n_classes=2)
    x = torch.rand(5, 3, 4, 4)
    torch.testing.assert_close(model(x, layers=["0"]).layers["0"], convolution(x).mean((2, 3)))
