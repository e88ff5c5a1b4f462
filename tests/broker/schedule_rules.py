"""Which rules of the lease protocol hold in a schedule: all of them, or all but one, to show that a schedule finds what it is for."""

from dataclasses import dataclass
from functools import cache

from broker import scripts

_source = cache(scripts.source)

#: What stands in a verb's script (exactly once), and what stands there when the rule is left out.
_PLANTED = {
    "gate": ("prelude", "if age < 0 or age >= tonumber(v[3]) then return nil end", ""),
    "grace": ("beat", "grace_until = at + lease + tonumber(ARGV[8])", ""),
}


@dataclass(frozen=True, kw_only=True)
class Rules:
    """All true: as shipped."""

    #: A server without a fresh beat refuses every verb (rule 8).
    gate: bool = True
    #: A beat counts from the ping before the heartbeat file was written, not from its arrival (rule 7).
    anchor: bool = True
    #: A gap between beats sets the grace (rule 7).
    grace: bool = True
    #: The deadline counts from the sending of what was answered, not from the answer (rule 10).
    absolute: bool = True
    #: What was read of the heartbeat file counts only if this node's own file beside it could be written (rule 11).
    proof: bool = True
    #: The counter must have stood still for three times the freshness of a beat (rule 11).
    patience: bool = True
    #: An answer means durable (rule 6).
    always: bool = True
    #: A supervisor that sees a later epoch stops its server (rule 9).
    superseded: bool = True

    def source(self, verb: str, major: int) -> str:
        """In the place of `broker.scripts.source`."""
        text = _source(verb, major)
        for rule, (where, right, wrong) in _PLANTED.items():
            if not getattr(self, rule) and where in (verb, "prelude"):
                assert text.count(right) == 1, f"{rule}: the script of {verb} no longer has this text once: {right}"
                text = text.replace(right, wrong)
        return text
