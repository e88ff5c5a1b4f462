"""What a user wants of a site, and what launchers remember of it: the fields of `site:<name>` in the ledger, as values.

======================  ====================================================================================================
field                   meaning
======================  ====================================================================================================
source                  the file that the site was read from, by its absolute path
provider                who starts its blocks
target:<key>            one wish (JSON, see `Target`); the key is its campaign's name, several joined by `,`, or `*` for all
paused                  why nothing is submitted until a person says go; the ledger itself refuses intents then
paused_at               since when, Unix seconds
resumed_at              when a person last said go: failures before are forgiven
polled_at               when its scheduler was last asked
silence, silent_since   why the scheduler's last answer could not be used, and since when; absent: it could
held, held_since        why less is submitted than what waits could use, and since when; absent: nothing is held back
======================  ====================================================================================================
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Self

#: The key of the target that follows all campaigns.
ALL = "*"
_TARGET = "target:"


@dataclass(frozen=True, kw_only=True)
class Target:
    """How many blocks of a site shall follow the queue."""

    #: The campaigns that it follows and that its blocks work for, by name; empty: all.
    campaigns: tuple[str, ...] = ()
    #: Blocks that there shall be while anything of it waits.
    min_blocks: int = 0
    #: Blocks that there may be.
    max_blocks: int
    #: What all blocks submitted for it may cost together; None: no bound.
    max_su: float | None = None
    #: Since when it exists, Unix seconds: earlier blocks do not count against `max_su`.
    since: float
    #: It ends with its campaigns.
    until_ended: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.min_blocks <= self.max_blocks:
            raise ValueError(f"min_blocks={self.min_blocks}, max_blocks={self.max_blocks}: use 0 <= min <= max")

    @property
    def key(self) -> str:
        """Its name among the targets of its site."""
        return key_of(self.campaigns)

    def to_fields(self) -> dict[str, str]:
        """What the ledger keeps."""
        return {field_of(self.campaigns): json.dumps(asdict(self))}

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The target in a field's text."""
        said = json.loads(text)
        return cls(**{**said, "campaigns": tuple(said["campaigns"])})


@dataclass(frozen=True, kw_only=True)
class SiteState:
    """What launchers remember of a site; times are Unix seconds, 0: never."""

    source: str = ""
    targets: tuple[Target, ...] = ()
    paused: str = ""
    paused_at: float = 0.0
    resumed_at: float = 0.0
    polled_at: float = 0.0
    silence: str = ""
    silent_since: float = 0.0
    held: str = ""
    held_since: float = 0.0
    #: The fields themselves.
    fields: Mapping[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> Self:
        """The state that another launcher recorded; fields that are not known are passed over."""
        return cls(
            source=fields.get("source", ""),
            targets=tuple(Target.from_text(text) for name, text in sorted(fields.items()) if name.startswith(_TARGET)),
            paused=fields.get("paused", ""),
            silence=fields.get("silence", ""),
            held=fields.get("held", ""),
            fields=fields,
            **{name: float(fields.get(name) or 0.0) for name in ("paused_at", "resumed_at", "polled_at", "silent_since", "held_since")},
        )

    def target(self, campaigns: Iterable[str]) -> Target | None:
        """The one that follows exactly these campaigns."""
        return next((target for target in self.targets if target.key == key_of(campaigns)), None)

    def since(self, what: str, text: str, now: float) -> dict[str, str]:
        """The fields that change when `what` ("held", "silence", "paused") is `text` from now on; its time stays while it has a text."""
        time = {"held": "held_since", "silence": "silent_since", "paused": "paused_at"}[what]
        if text == self.fields.get(what, ""):
            return {}
        if not text:
            return {what: "", time: ""}
        return {what: text} | ({time: f"{now:.3f}"} if not self.fields.get(what) else {})


def key_of(campaigns: Iterable[str]) -> str:
    """The key of a target that follows these."""
    return ",".join(sorted(campaigns)) or ALL


def field_of(campaigns: Iterable[str]) -> str:
    """The field that keeps it."""
    return _TARGET + key_of(campaigns)
