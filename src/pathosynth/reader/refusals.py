"""What the server refuses: a status, and one plain sentence for the browser."""

from pathosynth.runs.errors import PathosynthError


class Refused(PathosynthError):
    """A request that is not granted; raised before anything of it is written.

    Attributes:
        status: of the HTTP response.
        retry_after: seconds until it is worth another try, where that is known.
    """

    def __init__(self, status: int, sentence: str, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.retry_after = retry_after


def unknown() -> Refused:
    """The refusal for what does not exist and for what belongs to somebody else: the two look the same."""
    return Refused(404, "There is nothing here.")
