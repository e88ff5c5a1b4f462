"""Result records: where they lie, and that only a whole one of this very attempt is believed."""

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import CannotLook
from tasks.record import Record, parse_record, read_record, record_path

SAID = {
    "id": "ab12",
    "attempt": 3,
    "token": "t",
    "exit_code": 0,
    "signal": None,
    "elapsed_s": 1.5,
    "cpu_s": 1,
    "max_rss_mb": 20.5,
    "ended_for": None,
    "ended_unix": 1.7e9,
}
RECORD = Record(**{("job_id" if key == "id" else key): value for key, value in SAID.items()})  # type: ignore[arg-type]
WHOLE = json.dumps(SAID).encode()


def write(records_dir: Path, text: bytes) -> None:
    path = record_path(records_dir, "ab12", 3)
    path.parent.mkdir(parents=True)
    path.write_bytes(text)


def test_records_lie_in_folders_by_the_first_two_characters(tmp_path: Path) -> None:
    assert record_path(tmp_path, "ab12", 3) == tmp_path / "ab" / "ab12.3.json"


@pytest.mark.parametrize(("job_id", "attempt"), [("../x", 1), ("a", 1), ("", 1), ("a/b", 1), ("ab\n", 1), ("ab12", -1)])
def test_an_id_that_could_lead_elsewhere_names_no_record(tmp_path: Path, job_id: str, attempt: int) -> None:
    with pytest.raises(ValueError, match="no record can be named"):
        record_path(tmp_path, job_id, attempt)


def test_a_whole_record_is_read(tmp_path: Path) -> None:
    write(tmp_path, WHOLE)
    assert read_record(tmp_path, "ab12", 3) == RECORD


def test_no_record_is_none(tmp_path: Path) -> None:
    assert read_record(tmp_path, "ab12", 3) is None
    (tmp_path / "ab").touch()
    assert read_record(tmp_path, "ab12", 3) is None


def test_a_half_written_record_is_none(tmp_path: Path) -> None:
    write(tmp_path, b"")
    for size in range(len(WHOLE)):
        record_path(tmp_path, "ab12", 3).write_bytes(WHOLE[:size])
        assert read_record(tmp_path, "ab12", 3) is None


@pytest.mark.parametrize("change", [{"id": "ab13"}, {"attempt": 2}, {"exit_code": "0"}, {"exit_code": True}, {"token": None}])
def test_another_attempts_or_a_garbled_record_is_none(tmp_path: Path, change: dict[str, object]) -> None:
    write(tmp_path, json.dumps({**SAID, **change}).encode())
    assert read_record(tmp_path, "ab12", 3) is None


def test_keys_of_a_newer_version_do_no_harm() -> None:
    assert parse_record(json.dumps({**SAID, "newer": 1}).encode()) == RECORD


def test_a_filesystem_that_does_not_answer_is_not_taken_for_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(CannotLook, match="Input/output error"):
        read_record(tmp_path, "ab12", 3)


@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:0', max_size=60).map(str.encode))
def test_any_content_is_a_record_or_none(text: bytes) -> None:
    assert parse_record(text) is None
