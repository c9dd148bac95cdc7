"""What a monitor finds, as typed values that print and become JSON."""

from dataclasses import asdict, dataclass
from typing import Literal

AlarmKind = Literal["column", "missing", "prediction", "features", "labels", "error"]


@dataclass(frozen=True)
class Alarm:
    """Something in a stream moved by more than the tolerance.

    Attributes:
        where: What moved: values of a column, its missing values, predictions, features, labels, or errors.
        name: The column or part.
        row: Rows of the stream that had been seen when the alarm was raised.
        since: The row from which it has most likely been so, counted from 0.
        effect: How far it moved, in standard deviations; see `acclimate.shift.effects`. Of errors, the rise of the
            error rate.
        p: The p-value of a move within the tolerance, corrected over all columns and the whole stream; of errors, that
            of a rise by less than two points after the detector found one.
        text: A sentence in a person's terms.
    """

    where: AlarmKind
    name: str
    row: int
    since: int
    effect: float
    p: float
    text: str

    def __str__(self) -> str:
        """One line."""
        size = f"error rate +{self.effect:.1%}" if self.where == "error" else f"effect {self.effect:.2g}"
        return f"row {self.row:,}: {self.text} ({size}) since about row {self.since:,}"

    def to_dict(self) -> dict[str, object]:
        """Everything as JSON can hold it."""
        return asdict(self)
