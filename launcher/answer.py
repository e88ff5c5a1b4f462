"""What schedulers answered at one look at all blocks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from launcher.block import Block
from launcher.sighting import Sighting


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What one provider's scheduler said."""

    #: Block id -> what was seen of it; a block that is not in it stays as it was.
    sightings: Mapping[str, Sighting] = field(default_factory=dict)
    #: Why it said nothing that can be used; empty: it did.
    silence: str = ""
    #: Partition -> this user's jobs there that are none of the blocks: (running, waiting).
    others: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What all of them said."""

    #: The blocks as they are now; the same object where nothing has changed.
    blocks: tuple[Block, ...] = ()
    #: Provider -> why its scheduler said nothing usable; empty: all are healthy.
    silence: Mapping[str, str] = field(default_factory=dict)
    #: Partition -> this user's jobs there that are none of the blocks: (running, waiting).
    others: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def with_said(self, provider: str, heard: Heard) -> Self:
        """This answer, and what one more provider said."""
        silence = {provider: heard.silence} if heard.silence else {}
        return replace(self, silence={**self.silence, **silence}, others={**self.others, **heard.others})
