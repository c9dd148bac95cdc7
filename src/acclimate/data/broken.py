"""Images in files that cannot be decoded: a few are left out, more are refused."""

import logging
import math

import numpy as np

from acclimate.data.domain import Domain, ImagesAndTexts
from acclimate.data.images import FileImages
from acclimate.errors import BadInput

log = logging.getLogger("acclimate")

SHOWN = 5
"""Most broken images that a warning names."""


def readable(domain: Domain, max_bad: float) -> Domain:
    """Return the domain without the images that cannot be decoded, which a warning names.

    Images in memory, and domains of other kinds, are returned as they are.

    Args:
        domain: Any domain.
        max_bad: The share of images that may be left out.

    Raises:
        BadInput: More are broken, or a file cannot be read at all.
    """
    images = domain.examples.images if isinstance(domain.examples, ImagesAndTexts) else domain.examples
    if not isinstance(images, FileImages):
        return domain
    reasons = {i: file.broken for i, file in enumerate(images.stored()) if file.broken}
    if not reasons:
        return domain
    if len(reasons) > math.floor(max_bad * len(domain)):
        raise BadInput(_refused(list(reasons.values()), len(domain), max_bad))
    named = ", ".join(str(domain.names[i]) for i in list(reasons)[:SHOWN])
    more = f" and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
    log.warning(
        "%s: left out %d of %d images, which cannot be read: %s%s", domain.name, len(reasons), len(domain), named, more
    )
    return domain.take(np.array([i for i in range(len(domain)) if i not in reasons], dtype=np.int64))


def _refused(reasons: list[str], n: int, max_bad: float) -> str:
    if len(reasons) == 1:
        return reasons[0]
    return f"{reasons[0]}; {len(reasons)} of {n} images are like that, and --max-bad allows {max_bad:.3g} of them"
