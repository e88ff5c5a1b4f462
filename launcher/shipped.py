"""Where the templates and site files that we ship lie."""

from pathlib import Path

import slurm_templates

#: The script templates, `*.sh`.
TEMPLATES_DIR = Path(slurm_templates.__file__).parent
#: The site files, `*.toml`.
SITES_DIR = TEMPLATES_DIR / "sites"


def read_template(name: str) -> str:
    """The text of one of our script templates."""
    return (TEMPLATES_DIR / name).read_text(encoding="utf-8")
