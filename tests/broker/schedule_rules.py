"""Which rules of the lease protocol hold in a schedule: all of them, or all but one, to show that a schedule finds what it is for."""

from dataclasses import dataclass
from functools import cache

from broker import scripts

_source = cache(scripts.source)

#: What stands in a verb's script (exactly once), and what stands there when the rule is left out.
_PLANTED = {
    "gate": ("prelude", "if age < 0 or age >= tonumber(v[3]) then return nil end", ""),
    "grace": ("beat", "grace_until = at + lease + tonumber(ARGV[8])", ""),
    "run_id": ("beat", " or v[2] ~= ARGV[5]", ""),
    "first_holder": ("take_back", "if v[1] ~= 'queued' or v[3] ~= token then return {0, 0} end", ""),
    "own_token": ("claim", "if held then", "if false then"),
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
    #: Another process of the server is a gap (rule 7).
    run_id: bool = True
    #: The deadline counts from the sending of what was answered, not from the answer (rule 10).
    absolute: bool = True
    #: The guard looks at the deadline before it starts or thaws anything (rule 10).
    recheck: bool = True
    #: What was read of the heartbeat file counts only if this node's own file beside it could be written (rule 11).
    proof: bool = True
    #: The counter must have stood still for three times the freshness of a beat (rule 11).
    patience: bool = True
    #: What is frozen is not thawed because the broker stands still (rule 11).
    stays_frozen: bool = True
    #: The guard freezes by itself (rule 10).
    freezes: bool = True
    #: An answer means durable (rule 6).
    always: bool = True
    #: Who takes the broker over has watched its heartbeat for so long (rule 9).
    still_s: float = 200.0
    #: A supervisor that sees a later epoch stops its server (rule 9).
    superseded: bool = True
    #: Only who held it last takes a jobfile back, and only while nobody has started it (rules 3, 12).
    first_holder: bool = True
    #: A token that holds a claim gets the same one again (rule 1).
    own_token: bool = True

    def source(self, verb: str, major: int) -> str:
        """In the place of `broker.scripts.source`."""
        text = _source(verb, major)
        for rule, (where, right, wrong) in _PLANTED.items():
            if not getattr(self, rule) and where in (verb, "prelude"):
                assert text.count(right) == 1, f"{rule}: the script of {verb} no longer has this text once: {right}"
                text = text.replace(right, wrong)
        return text
