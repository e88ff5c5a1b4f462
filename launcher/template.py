"""Fills a script template: `@{name}` becomes a value, everything else stays as it is.

`@{…}` and not `${…}`, because the templates are shell scripts whose own `$` must not need quoting. A name that nobody gives and a value
that nobody asks for are errors: a script with a hole in it would be found out only on a node.
"""

import re
from collections.abc import Mapping

from launcher.errors import BadTemplate, did_you_mean

_PLACEHOLDER = re.compile(r"@\{([^}\n]*)(\}?)")


def render(name: str, text: str, values: Mapping[str, str]) -> str:
    """The template's text with each `@{key}` replaced; the values are not looked into. Raises BadTemplate with the line."""
    used = set()

    def value_of(match: re.Match[str]) -> str:
        key, closed = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        if not closed:
            raise BadTemplate(name, line, f"'@{{{key}' is not closed", "Add the missing }")
        if key not in values:
            raise BadTemplate(name, line, f"unknown name @{{{key}}}", did_you_mean(key, values))
        used.add(key)
        return values[key]

    filled = _PLACEHOLDER.sub(value_of, text)
    if unused := sorted(set(values) - used):
        raise BadTemplate(name, 1, f"@{{{unused[0]}}} is missing", "A script without it would not do its work: add it")
    return filled
