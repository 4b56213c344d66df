"""A study that somebody else made can run no code here and writes nowhere else; what is wrong with it is told when it is opened."""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken_files import bounded

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.study.annotation_rows import NewAnnotation
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import SliceRef

MakeStudy = Callable[..., Study]
REF = SliceRef("case0", 0, 4)


@pytest.fixture
def stranger(make_study: MakeStudy) -> Path:
    """Folder of a study with a row in most tables, closed."""
    study = make_study(prepared=True)
    labels = np.ones((24, 20), np.uint16)
    study.start_round(strategy="random", budget=2, seed=0, unit="slice", settings={})
    (study.path / "models").mkdir()
    for name in ("m.safetensors", "m.json"):
        (study.path / "models" / name).write_text("{}")
    study.save_latents(study.path / "models" / "m.npz", [REF], np.zeros((1, 2), np.float32))
    files = {"path": study.path / "models" / "m.safetensors", "latents": study.path / "models" / "m.npz"}
    model = study.publish_model("manifold", **files, card={}, record_key=study.record.key, round_number=None)
    study.add_predictions(model.id, [(REF, labels)])
    (study.path / "predictions").mkdir()
    np.save(study.path / "predictions" / "a.npy", np.zeros((8, 24, 20), np.uint8))
    study.add_case_prediction("case0", model.id, study.path / "predictions" / "a.npy")
    study.accept([NewAnnotation(REF, labels, "corrected")], annotator="ann")
    study.save_draft(SliceRef("case1", 0, 2), labels, annotator="ann", prediction_id=None)
    study.close()
    return study.path


def change(folder: Path, *statements: str, values: tuple[Any, ...] = ()) -> None:
    with closing(sqlite3.connect(folder / "study.sqlite")) as connection:
        for statement in statements:
            connection.execute(statement, values)
        connection.commit()


def use(folder: Path) -> None:
    study = Study(folder)
    try:
        _ = study.name, study.schema, study.record, study.cases(), study.rounds(), study.suggestions(), study.events()
        for model in study.models():
            study.latents(model)
            study.case_prediction("case0", model.id)
        _ = [a.labels for a in study.all_annotations()], study.drafts(), study.prediction(REF)
    finally:
        study.close()


def test_the_study_is_sound_to_begin_with(stranger: Path) -> None:
    use(stranger)


# Files ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["models", "slices", "predictions", "cache", "converted", "logs", "models/inner", "slices/x"])
def test_a_folder_that_is_a_link_out_of_the_study_is_refused_and_nothing_there_is_touched(
    name: str, stranger: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("years of work")
    (home / ".secret").write_text("key")
    place = stranger / name
    if place.is_dir():
        place.rename(tmp_path / "away")
    place.symlink_to(home)
    with pytest.raises(StudyError, match="leads out of the study") as error:
        Study(stranger)
    assert str(place) in error.value.sentence
    assert {p.name for p in home.iterdir()} == {"thesis.txt", ".secret"}


@pytest.mark.parametrize("name", ["study.sqlite", "worker.lock", "worker.pid", "study.sqlite-wal", "models/m.npz", "worker.log"])
def test_a_file_that_is_a_link_out_of_the_study_is_refused(name: str, stranger: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_bytes((stranger / name).read_bytes() if (stranger / name).exists() else b"")
    before = target.read_bytes()
    (stranger / name).unlink(missing_ok=True)
    (stranger / name).symlink_to(target)
    with pytest.raises(StudyError, match="leads out of the study"):
        Study(stranger)
    assert target.read_bytes() == before


def test_a_link_that_is_put_in_while_the_study_is_open_is_seen_before_anything_is_swept(stranger: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("years of work")
    study = Study(stranger)
    (stranger / "models").rename(tmp_path / "away")
    (stranger / "models").symlink_to(home)
    with pytest.raises(StudyError, match="leads out"):
        study.lock()
    assert (home / "thesis.txt").exists()


def test_links_inside_the_study_are_fine(stranger: Path) -> None:
    (stranger / "models" / "again.npz").symlink_to("m.npz")
    use(stranger)


@pytest.mark.parametrize("name", ["study.sqlite", "worker.lock", "models/m.json", "slices/x.json"])
def test_a_pipe_in_the_study_is_refused_at_once(name: str, stranger: Path) -> None:
    (stranger / name).unlink(missing_ok=True)
    os.mkfifo(stranger / name)
    with pytest.raises(StudyError, match="is a pipe"):
        Study(stranger)


def test_a_journal_that_names_another_file_is_refused_and_that_file_stays(stranger: Path, tmp_path: Path) -> None:
    victim = tmp_path / "thesis.txt"
    victim.write_text("years of work")
    name = str(victim).encode()
    # Header, no page, and the name of a journal of several databases: SQLite deletes that when it rolls back.
    magic = bytes.fromhex("d9d505f920a163d7")
    header = magic + (0).to_bytes(4, "big") * 2 + (10).to_bytes(4, "big") + (512).to_bytes(4, "big") + (4096).to_bytes(4, "big")
    tail = (0).to_bytes(4, "big") + name + len(name).to_bytes(4, "big") + sum(name).to_bytes(4, "big") + magic
    for journal in ("study.sqlite-journal", "worker.lock-journal"):
        (stranger / journal).write_bytes(header.ljust(512, b"\0") + tail)
        with pytest.raises(StudyError, match="names a file outside"):
            Study(stranger)
        (stranger / journal).unlink()
    assert victim.exists()


def test_a_journal_that_is_gone_when_it_is_looked_at_is_no_obstacle(stranger: Path) -> None:
    # As when another process lets go of the study between two steps; here a link that leads nowhere inside it.
    (stranger / "worker.lock-journal").symlink_to(stranger / "gone")
    Study(stranger).close()


# The database ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON annotations BEGIN UPDATE annotations SET annotator = 'somebody else'; END",
        "CREATE TRIGGER t BEFORE UPDATE ON drafts BEGIN SELECT load_extension('x'); END",
        "CREATE VIEW v AS SELECT * FROM annotations",
        "CREATE VIRTUAL TABLE v USING fts5(x)",
        "CREATE UNIQUE INDEX u ON annotations (annotator)",
        "CREATE INDEX u ON annotations (abs(rows))",
        "CREATE TABLE x (y INTEGER CHECK (load_extension('x')))",
        "CREATE TABLE x (y INTEGER, z GENERATED ALWAYS AS (y + 1))",
        "CREATE TABLE x (y UNIQUE ON CONFLICT REPLACE)",
        "CREATE TABLE x (y REFERENCES annotations (id) ON DELETE CASCADE)",
        "ALTER TABLE annotations RENAME COLUMN labels TO label",
    ],
)
def test_a_database_with_more_than_plain_tables_is_refused(statement: str, stranger: Path) -> None:
    change(stranger, statement)
    with pytest.raises(StudyError, match="not a study database of this program"):
        Study(stranger)


def test_what_a_connection_may_do_is_restricted(stranger: Path) -> None:
    study = Study(stranger)
    with study.database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA trusted_schema").scalar() == 0
        with pytest.raises(Exception, match="too many attached databases"):
            connection.exec_driver_sql("ATTACH DATABASE ':memory:' AS other")
        with pytest.raises(Exception, match=r"not authorized|no such function"):
            connection.exec_driver_sql("SELECT load_extension('x')")


@pytest.mark.parametrize("path", ["/etc/passwd", "../../x", "models/../../x", "..", "C:\\x", "\\\\server\\x", "", "a\0b"])
@pytest.mark.parametrize(
    "statement", ["UPDATE models SET path = ?", "UPDATE models SET latents = ?", "UPDATE case_predictions SET path = ?"]
)
def test_a_row_that_names_a_file_outside_is_refused(statement: str, path: str, stranger: Path) -> None:
    change(stranger, statement, values=(path,))
    with pytest.raises(StudyError, match="not inside it"):
        use(stranger)


def test_a_file_outside_is_not_written_into_a_row(stranger: Path, tmp_path: Path) -> None:
    study = Study(stranger)
    (tmp_path / "x.npy").write_bytes(b"x")
    with pytest.raises(StudyError, match="outside the study"):
        study.add_case_prediction("case0", 1, tmp_path / "x.npy")
    with pytest.raises(StudyError, match="outside the study"):
        study.publish_model("manifold", path=stranger / ".." / "x.npy", card={}, record_key=study.record.key, round_number=None)


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("statement", "value", "says"),
    [
        ("UPDATE cases SET geometry = ?", "{", "no JSON"),
        ("UPDATE cases SET geometry = ?", DEEP, "nested too deep"),
        ("UPDATE cases SET geometry = ?", "[]", "voxel grid of case case0"),
        ("UPDATE cases SET geometry = ?", '{"size": [0, 1, 1]}', "voxel grid of case case0"),
        ("UPDATE cases SET geometry = replace(geometry, '24', ?)", "99999999999", "voxel grid of case case0"),
        ("UPDATE cases SET geometry = replace(geometry, '1.0', ?)", "NaN", "voxel grid of case case0"),
        ("UPDATE cases SET problems = ?", "{}", "remarks on case case0"),
        ("UPDATE cases SET role = ?", "king", "role 'king'"),
        ("UPDATE cases SET position = ?", "first", "'first' stands where int"),
        ("UPDATE cases SET label = ?", "../../x", "not inside it"),
        ("UPDATE images SET path = ?", "../../x", "not inside it"),
        ("UPDATE preprocessing SET record = ?", "[1]", "preprocessing cannot be read"),
        ("UPDATE preprocessing SET record = replace(record, '32', ?)", "1000000", "preprocessing cannot be read"),
        ("UPDATE properties SET value = ? WHERE name = 'schema'", "{}", "label schema cannot be read"),
        ("UPDATE properties SET value = ? WHERE name = 'modalities'", "7", "modalities are missing"),
        ("UPDATE properties SET value = ? WHERE name = 'settings'", '"x"', "settings are missing"),
        ("UPDATE rounds SET notes = ?", "7", "round 0"),
        ("UPDATE rounds SET stage = ?", "painting", "round 0"),
        ("UPDATE annotations SET rows = ?", -24, "labels of case case0, slice 5"),
        ("UPDATE annotations SET rows = ?", 2**40, "labels of case case0, slice 5"),
        ("UPDATE annotations SET labels = ?", zlib.compress(b""), "labels of case case0, slice 5"),
        ("UPDATE annotations SET labels = ?", 10**12, "stands where bytes"),
        ("UPDATE annotations SET axis = ?", 7, "no slice"),
        ("UPDATE annotations SET native_index = ?", -1, "no slice"),
        ("UPDATE drafts SET labels = ?", b"no zlib", "labels of case case1, slice 3"),
    ],
)
def test_rows_that_cannot_be_are_told(statement: str, value: Any, says: str, stranger: Path) -> None:
    change(stranger, statement, values=(value,))
    with pytest.raises(StudyError, match=says) as error:
        use(stranger)
    assert error.value.hint
    assert len(error.value.sentence) < 1000


def test_labels_that_unpack_to_any_size_take_no_more_memory_than_the_slice(stranger: Path) -> None:
    pack = zlib.compressobj(9)
    packed = b"".join(pack.compress(bytes(1 << 24)) for _ in range(30)) + pack.flush()
    change(stranger, "UPDATE annotations SET labels = ?", values=(packed,))
    code = """
from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.study.study import Study
study = Study(Path(sys.argv[1]))
try:
    study.all_annotations()[0].labels
except StudyError as error:
    print(error.sentence)
"""
    ran = bounded(code, stranger, extra_mib=200)
    assert ran.returncode == 0, ran.stderr
    assert "labels of case case0, slice 5" in ran.stdout


@pytest.mark.parametrize("spoil", ["bomb", "claims", "objects", "shape", "nan", "other slices"])
def test_latents_of_a_stranger_take_no_more_memory_than_the_file_and_hold_no_objects(spoil: str, stranger: Path) -> None:
    path = stranger / "models" / "m.npz"
    columns = {"case": np.array(["case0"]), "axis": np.zeros(1, np.int8), "native_index": np.zeros(1, np.int32)}
    latents: Any = np.zeros((1, 2), np.float32)
    if spoil == "bomb":
        np.savez_compressed(path, **columns, latents=np.zeros((1 << 16, 256), np.float32))
    elif spoil == "claims":
        np.savez(path, **columns, latents=latents)
        data = path.read_bytes()
        path.write_bytes(
            data.replace(b"'shape': (1, 2), }  ", b"'shape': (10**9,2),}")[: len(data)].replace(b"(10**9,2)", b"(999999,2)"[:9])
        )
    else:
        latents = {
            "objects": np.array([[print, print]], object),
            "shape": np.zeros((1, 2, 3), np.float32),
            "nan": np.full((1, 2), np.nan, np.float32),
            "other slices": np.zeros((5, 2), np.float32),
        }[spoil]
        np.savez(path, **columns, latents=latents)
    study = Study(stranger)
    with pytest.raises(StudyError, match=r"latents .* damaged or gone"):
        study.latents()


@pytest.mark.parametrize("note", [b"[]", b"{}", b"NaN", DEEP.encode(), b'{"hashes": {"/../../../x": "0"}, "content": "", "stamps": 0}'])
def test_a_note_beside_prepared_slices_that_is_none_means_not_prepared(note: bytes, stranger: Path) -> None:
    study = Study(stranger)
    next(stranger.glob("slices/*/case0.json")).write_bytes(note)
    assert not study.slice_store.is_current(study.case("case0"))
    with pytest.raises(Exception, match="has not been prepared"):
        study.slices("case0")


def test_opening_a_large_study_stays_quick(stranger: Path) -> None:
    import time

    folder = next(stranger.glob("slices/*"))
    for number in range(6000):
        (folder / f"x{number}.json").touch()
    since = time.process_time()
    Study(stranger).close()
    assert time.process_time() - since < 1.0


def test_nothing_in_the_library_reads_pickles_or_runs_text() -> None:
    import re

    library = Path(__file__).resolve().parents[3] / "SuggestiveAnnotationLib"
    forbidden = re.compile(
        r"\bpickle\b(?!\s*=)|\btorch\.load\b|(?<![.\w])eval\(|(?<![.\w])exec\(|\byaml\b|\bjoblib\.load\b|\bmarshal\b|\bshelve\b"
    )
    found = []
    for file in library.rglob("*.py"):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            code = line.replace("allow_pickle=False", "")
            unsafe = "np.load(" in line and "allow_pickle=False" not in line
            if (forbidden.search(code) and not code.strip().startswith(("#", '"""'))) or unsafe:
                found.append(f"{file.relative_to(library)}:{number}: {line.strip()}")
    assert not found


def test_a_note_of_the_last_worker_may_be_anything(stranger: Path) -> None:
    (stranger / "worker.pid").write_bytes(b"\xff\xfe\x1b[31m" * 1000)
    study = Study(stranger)
    with study.lock(), closing(sqlite3.connect(stranger / "worker.lock", timeout=0)):
        (stranger / "worker.pid").write_bytes(b"\xff\x1b[31m" * 1000)
        with pytest.raises(StudyError, match="process unknown"):
            Study(stranger).lock()


def test_a_card_in_the_database_is_data(stranger: Path) -> None:
    change(stranger, "UPDATE models SET card = ?", values=(json.dumps({"__class__": "os.system"}),))
    assert Study(stranger).models()[0].card == {"__class__": "os.system"}
