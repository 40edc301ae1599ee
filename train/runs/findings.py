"""What a check or a curve shows, in words."""

from typing import NamedTuple

PASS, SUSPICIOUS, SKIPPED, ADVICE = "pass", "suspicious", "skipped", "advice"


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
      name: what was looked at, such as "initial loss".
      verdict: `pass`, `suspicious`, `skipped` (nothing to see) or `advice`.
      shown: what was measured, a sentence without its full stop.
      remedy: what to do; empty if nothing.
    """

    name: str
    verdict: str
    shown: str
    remedy: str = ""

    def __str__(self) -> str:
        """One line."""
        remedy = f". {self.remedy}" if self.remedy else ""
        return f"{self.name:13} {self.verdict:11} {self.shown}{remedy}."
