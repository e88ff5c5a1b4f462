"""What a file says of a site, with the place of each key: the step between reading a file and a checked Site."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.errors import BadSite, did_you_mean
from launcher.site import Site, is_site_name
from launcher.site_checks import CHECKS, first_complaint


@dataclass(frozen=True, kw_only=True)
class SiteValues:
    """The keys that a file gives, not yet checked."""

    #: The file.
    path: Path
    #: Key -> value, of those that it gives.
    values: Mapping[str, Any]
    #: The file and line of a key, or of the n-th line (from 0) of the text that it has.
    place_of: Callable[[str, int | None], tuple[Path, int]]
    #: What a person should know of how the file was read.
    notes: Sequence[str] = ()

    def to_site(self, *more_notes: str) -> Site:
        """The site. Raises BadSite with file, line and remedy."""
        name = self.path.stem
        if not is_site_name(name):
            reason = f"{name!r} is no site's name"
            raise BadSite(self.path, 1, reason, "Name the file with letters, digits, and . _ - between them")
        for key in self.values:
            if key not in CHECKS:
                raise BadSite(*self.place_of(key, None), f"unknown key {key!r}", did_you_mean(key, CHECKS))
        complaint = first_complaint(self.values)
        if complaint is not None:
            key = complaint.key if complaint.key in self.values else complaint.against
            raise BadSite(*self.place_of(key, complaint.line), complaint.reason, complaint.remedy)
        return Site(name=name, source=str(self.path.absolute()), notes=(*more_notes, *self.notes), **self.values)
