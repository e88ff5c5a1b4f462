"""What a starter hands to a supervisor on its command line, and the one line that comes back."""

import contextlib
import enum
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from broker.home import Home
from broker.settings import LeaseSettings, ServerSettings


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A supervisor's orders. Everybody on the host can read them: no secrets (an external server's URL is in the address file)."""

    home: Home
    server: ServerSettings
    lease: LeaseSettings
    #: The heartbeat's counter that was seen to stand still; None: nothing may be taken over from another host.
    still_at: int | None = None

    def to_json(self) -> str:
        return json.dumps({
            "home": str(self.home.root), "server": asdict(self.server) | {"url": ""}, "lease": asdict(self.lease),
            "still_at": self.still_at,
        })

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        fields = json.loads(text)
        return cls(
            home=Home(Path(fields["home"])), server=ServerSettings(**fields["server"]), lease=LeaseSettings(**fields["lease"]),
            still_at=fields["still_at"],
        )


class Word(enum.Enum):
    """How a supervisor's start went."""

    #: It minds a server; its first beat follows.
    UP = "up"
    #: Another supervisor of this home runs on this host.
    BUSY = "busy"
    #: It cannot or must not start a server; the text says why.
    REFUSED = "refused"
    #: A fault of ours; the text and the log say more.
    FAILED = "failed"


def say(word: Word, text: str, error: str = "") -> None:
    """Tell the starter, who may have gone, and then hold on to nothing of its."""
    line = json.dumps({"word": word.value, "text": text, "error": error}) + "\n"
    null = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError):  # nobody reads any more
        os.write(1, line.encode())
    os.dup2(null, 1)
    os.close(null)
