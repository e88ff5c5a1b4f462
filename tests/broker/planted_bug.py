"""A bug planted in the script of a verb, to see whether a property test finds it."""

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, settings

from broker import scripts

#: Pieces that several verbs have, and a verb that has each.
_SHARED = {"prelude": "beat", "streak": "settle", "evidence": "settle"}


@dataclass(frozen=True, kw_only=True)
class Bug:
    """A change of one script, or of a piece that several share: what stands there (exactly once), and what is put in its place."""

    name: str
    verb: str
    right: str
    wrong: str

    def plant(self, verb: str, text: str) -> str:
        if self.verb != verb and (self.verb not in _SHARED or self.right not in text):
            return text
        assert text.count(self.right) == 1, f"{self.name}: the script of {verb} no longer has this text once: {self.right}"
        return text.replace(self.right, self.wrong)

    def plant_in_scripts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        right = scripts.source
        example = _SHARED.get(self.verb, self.verb)
        assert self.plant(example, right(example, 7)) != right(example, 7)
        monkeypatch.setattr(scripts, "source", lambda verb, major: self.plant(verb, right(verb, major)))


def hunting(steps: int, examples: int = 150) -> settings:
    """How a property test looks for bugs: the same schedules each time, and the first finding is enough, unshrunk."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        phases=(Phase.generate,),
        database=None,
        deadline=None,
        derandomize=True,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
