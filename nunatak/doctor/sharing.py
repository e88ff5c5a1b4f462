"""Whether compute nodes see one of our folders: by what the test job saw, else by the kind of filesystem."""

from nunatak.doctor.finding import Finding, bad, ok, warning
from nunatak.doctor.mount import Kind
from nunatak.doctor.place import Place

_ASK_A_NODE = "ask a node: nunatak doctor -f SITE --job"


def judge_sharing(check: str, place: Place, *, on_cluster: bool, seen_by: str = "", missing_on: str = "", move: str) -> Finding:
    """`seen_by`, `missing_on`: the node of the test job that saw the folder, or did not; `move`: how the folder is put elsewhere."""
    if place.trouble:
        return bad(check, f"{place.path}: {place.trouble}", move)
    if seen_by:
        return ok(check, f"{place.path}, seen by node {seen_by}")
    if missing_on:
        return bad(check, f"{place.path} is not there on node {missing_on}", move)
    if not on_cluster:
        return ok(check, f"{place.path}, on this machine")
    if place.is_of_one_host:
        return bad(check, f"{place.path}: each host has a {place.real} of its own; a node sees nothing of this one", move)
    return _by_kind(check, place)


def _by_kind(check: str, place: Place) -> Finding:
    if place.kind is Kind.SHARED:
        return ok(check, f"{place.path}, on {place.fstype}, which hosts share")
    if place.kind is Kind.LOCAL:
        return warning(check, f"{place.path} is on {place.fstype}, mostly a machine's own disk; nodes may not see it", _ASK_A_NODE)
    return warning(check, f"{place.path} is on {place.fstype or 'an unknown filesystem'}; nobody can say whether nodes see it", _ASK_A_NODE)
