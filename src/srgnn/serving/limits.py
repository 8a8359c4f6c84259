"""The limits of the service: what a request may hold, how many may wait, and how long one may take."""

from dataclasses import dataclass, fields

from srgnn.errors import check_float, check_int


@dataclass(frozen=True)
class Limits:
    """How much of everything the service accepts; more is refused with one sentence.

    Args:
        clicks: Clicks of a session. Sessions that the service itself keeps are trimmed to the latest ones.
        k: Items in an answer.
        items: Items to leave out, and items to choose from.
        sessions: Sessions in a request.
        body: Bytes of a request.
        batch: Sessions that are answered together.
        waiting: Sessions that wait for their turn.
        seconds: Time for a request.

    Raises:
        ArgumentError: if one is not a positive number.
    """

    clicks: int = 200
    k: int = 100
    items: int = 1000
    sessions: int = 100
    body: int = 1_000_000
    batch: int = 128
    waiting: int = 1024
    seconds: float = 5.0

    def __post_init__(self) -> None:
        for each in fields(self):
            if each.name != "seconds":
                check_int(each.name, getattr(self, each.name), 1)
        check_float("seconds", self.seconds, 0, exclusive=True)
        check_int("waiting", self.waiting, self.sessions)  # else the largest request never found room
