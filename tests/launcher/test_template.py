"""Templates: what is replaced, what is left alone, what is refused."""

import pytest

from launcher.errors import BadTemplate
from launcher.shipped import TEMPLATES_DIR
from launcher.template import render


def test_only_the_placeholder_is_replaced_and_the_shell_is_left_alone():
    text = 'echo "$@" ${A[@]} $$ @{name} mail@example.org %j\n'
    assert render("t.sh", text, {"name": "b1"}) == 'echo "$@" ${A[@]} $$ b1 mail@example.org %j\n'


def test_a_value_is_not_looked_into():
    assert render("t.sh", "@{a} @{b}", {"a": "@{b}", "b": r"\1 $x"}) == r"@{b} \1 $x"


def test_a_name_that_nobody_gives_is_refused_with_its_line():
    with pytest.raises(BadTemplate, match=r"t\.sh:2: unknown name @\{comand\}\. Did you mean 'command'\?"):
        render("t.sh", "x\n@{comand}\n", {"command": "c"})


def test_a_value_that_the_template_does_not_use_is_refused():
    with pytest.raises(BadTemplate, match=r"t\.sh:1: @\{node_init\} is missing"):
        render("t.sh", "@{command}", {"command": "c", "node_init": "n"})


def test_a_placeholder_that_is_not_closed_is_refused():
    with pytest.raises(BadTemplate, match=r"t\.sh:1: '@\{command' is not closed"):
        render("t.sh", "exec @{command\n", {"command": "c"})


def test_the_shipped_templates_end_in_exec_of_the_command():
    assert (TEMPLATES_DIR / "node.sh").read_text().rstrip().endswith("exec @{command}")
    assert (TEMPLATES_DIR / "block_local.sh").read_text().rstrip().endswith("@{node_part}")
