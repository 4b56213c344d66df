"""The database: transactions, refusals, locks."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from SuggestiveAnnotationLib.errors import InputError, StorageError, StudyError, StudyLockedError
from SuggestiveAnnotationLib.study import database, location
from SuggestiveAnnotationLib.study.annotation_rows import NewAnnotation
from SuggestiveAnnotationLib.study.case_rows import MADE_IN
from SuggestiveAnnotationLib.study.moved import place_now
from SuggestiveAnnotationLib.study.records import Metric
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import ModelKind, PreprocessingRecord, Rationale, SliceRef, Suggestion

MakeStudy = Callable[..., Study]


def labels(fill: int = 1) -> np.ndarray:
    out = np.zeros((24, 20), np.uint16)
    out[3:9, 4:11] = fill
    return out


def test_a_study_reads_back_what_it_was_created_with(make_study: MakeStudy) -> None:
    study = make_study(cases=2, roles=("pool", "test"), modalities=("t1", "flair"))
    again = Study(study.path)
    assert again.name == "study"
    assert again.modalities == ("t1", "flair")
    assert again.schema.classes == study.schema.classes
    assert again.schema.regions == {"both": (1, 2)}
    assert [c.role for c in again.cases()] == ["pool", "test"]
    assert again.cases()[0].geometry == study.cases()[0].geometry
    assert set(again.cases()[1].images) == {"t1", "flair"}


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study()
    with pytest.raises(StudyError, match="not empty"):
        Study.create(study.path, name="x", cases=[], schema=study.schema, modalities=("t1",), reference="t1")


def test_a_missing_study_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no study at"):
        Study(tmp_path / "nowhere")


def test_a_study_of_a_newer_version_is_refused_and_left_alone(make_study: MakeStudy) -> None:
    study = make_study()
    file = study.path / "study.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute(f"PRAGMA user_version = {database.SCHEMA_VERSION + 1}")
    before = file.read_bytes()
    with pytest.raises(StudyError, match="newer version"):
        Study(study.path)
    assert file.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "study.sqlite").write_bytes(b"not a database, really" * 100)
    with pytest.raises(StudyError, match="not a study database"):
        Study(folder)


def test_migrations_keep_a_backup(make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_study()
    now = database.SCHEMA_VERSION
    monkeypatch.setattr(database, "SCHEMA_VERSION", now + 1)
    monkeypatch.setitem(database.MIGRATIONS, now, lambda c: c.execute("CREATE TABLE added (x INTEGER)"))
    again = Study(study.path)
    assert len(again.cases()) == 3
    with sqlite3.connect(study.path / "study.sqlite") as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (now + 1,)
        assert connection.execute("SELECT count(*) FROM added").fetchone() == (0,)
    assert (study.path / f"study.v{now}.backup").exists()


def test_a_migration_that_fails_leaves_the_study_as_it_was(make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_study()

    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE suggestions")
        connection.execute("INSERT INTO nowhere VALUES (1)")

    now = database.SCHEMA_VERSION
    monkeypatch.setitem(database.MIGRATIONS, now, lambda c: c.execute("DROP TABLE drafts"))
    monkeypatch.setitem(database.MIGRATIONS, now + 1, broken)
    monkeypatch.setattr(database, "SCHEMA_VERSION", now + 2)
    for name in (f"study.v{now}.backup", f"study.v{now}-2.backup"):
        with pytest.raises(StudyError, match=r"is as it was: .* up to date [(]no such table: nowhere") as refused:
            Study(study.path)
        assert str(study.path / name) in refused.value.hint
        with sqlite3.connect(study.path / name) as connection:
            assert connection.execute("SELECT count(*) FROM cases").fetchone() == (3,)
    monkeypatch.undo()
    again = Study(study.path)
    assert (len(again.cases()), again.suggestions(), again.drafts()) == (3, (), ())


def test_one_model_is_read_without_the_others(make_study: MakeStudy) -> None:
    study = make_study()
    record = PreprocessingRecord("axial", ("t1",), "t1", (1.0, 1.0), (32, 32), study.schema.key)
    study.freeze_record(record)
    kinds: tuple[ModelKind, ...] = ("segmentation", "manifold", "segmentation")
    published = [
        study.publish_model(kind, path=study.path / "models" / f"{n}.safetensors", card={"n": n}, record_key=record.key, round_number=None)
        for n, kind in enumerate(kinds)
    ]
    assert [study.latest_model(kind) for kind in ("segmentation", "manifold", "committee")] == [published[2], published[1], None]
    with closing(sqlite3.connect(study.path / "study.sqlite")) as connection, connection:
        connection.execute("UPDATE models SET card = 'no card' WHERE id = ?", (published[0].id,))
    assert study.latest_model("segmentation") == study.model(published[2].id) == published[2]
    with pytest.raises(StudyError, match="There is no model 99"):
        study.model(99)


def test_settings_of_the_connection_are_the_safe_ones(make_study: MakeStudy) -> None:
    study = make_study()
    with study.database.read() as connection:
        pragma = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous", "foreign_keys")}
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_transaction_that_raises_leaves_nothing(make_study: MakeStudy) -> None:
    study = make_study()
    ref = SliceRef("case0", 0, 1)
    with pytest.raises(StudyError, match="different slices of one case"):
        study.accept(
            [NewAnnotation(ref, labels(), "from scratch"), NewAnnotation(SliceRef("case1", 0, 1), labels(), "from scratch")], annotator="a"
        )
    with pytest.raises(Exception, match="FOREIGN KEY"):
        study.accept(
            [NewAnnotation(ref, labels(), "from scratch"), NewAnnotation(SliceRef("case0", 0, 2), labels(), "corrected", prediction_id=99)],
            annotator="a",
        )
    assert study.all_annotations() == ()
    assert study.events() == ()


def test_accepting_again_supersedes_and_undo_restores(make_study: MakeStudy) -> None:
    study = make_study()
    ref = SliceRef("case0", 0, 4)
    study.accept([NewAnnotation(ref, labels(1), "from scratch")], annotator="a")
    second = study.accept([NewAnnotation(ref, labels(2), "corrected")], annotator="a")
    assert [a.state for a in study.all_annotations()] == ["superseded", "accepted"]
    study.undo_accept(second, annotator="a")
    assert [a.state for a in study.all_annotations()] == ["accepted", "undone"]
    (kept,) = study.annotations()
    np.testing.assert_array_equal(kept.labels, labels(1))
    (draft,) = study.drafts()
    np.testing.assert_array_equal(draft.labels, labels(2))
    with pytest.raises(StudyError, match="cannot be undone"):
        study.undo_accept(second, annotator="a")


def test_the_later_of_two_annotators_counts_and_neither_is_lost(make_study: MakeStudy) -> None:
    study = make_study()
    ref = SliceRef("case0", 0, 4)
    study.accept([NewAnnotation(ref, labels(1), "from scratch")], annotator="a")
    study.accept([NewAnnotation(ref, labels(2), "from scratch")], annotator="b")
    assert [a.annotator for a in study.annotations()] == ["b"]
    assert len([a for a in study.all_annotations() if a.state == "accepted"]) == 2


def test_slices_are_counted_by_what_became_of_them(make_study: MakeStudy) -> None:
    study = make_study()
    one, two = SliceRef("case0", 0, 4), SliceRef("case0", 0, 5)
    for ref, reader in ((one, "a"), (one, "b"), (two, "a"), (SliceRef("case1", 0, 2), "a")):
        study.accept([NewAnnotation(ref, labels(1), "from scratch")], annotator=reader)
    assert study.accepted_counts_by_state() == {"case0": {"accepted": 2}, "case1": {"accepted": 1}}
    drawn = {(a.ref, a.annotator): a.id for a in study.all_annotations()}
    study.review([drawn[one, "a"]], reviewer="c", verdict="approved")
    study.review([drawn[two, "a"]], reviewer="c", verdict="approved")
    study.review([drawn[two, "a"]], reviewer="b", verdict="returned")
    assert study.accepted_counts_by_state() == {"case0": {"accepted": 1, "reviewed": 1}, "case1": {"accepted": 1}}


def test_suggestions_of_a_round_appear_together_with_its_stage(make_study: MakeStudy) -> None:
    study = make_study()
    number = study.start_round(strategy="random", budget=2, seed=0, unit="slice", settings={}).number
    rationale = Rationale("random", "Drawn at random.", source=SliceRef("case1", 0, 2), projected=(0.5, 1.0))
    study.publish_suggestions(
        number, [Suggestion(SliceRef("case0", 0, k), k, rationale) for k in range(2)], notes=["a note"], seconds={"suggest": 1.5}
    )
    assert study.rounds()[0].stage == "predicting"
    assert study.rounds()[0].notes == ("a note",)
    assert study.rounds()[0].seconds == {"suggest": 1.5}
    assert [row.suggestion.rationale for row in study.suggestions(number)] == [rationale, rationale]


def test_what_people_settled_while_a_strategy_thought_is_not_suggested(make_study: MakeStudy) -> None:
    study = make_study()
    number = study.start_round(strategy="random", budget=4, seed=0, unit="slice", settings={}).number
    study.exclude_case("case1", "blurred")
    study.accept([NewAnnotation(SliceRef("case0", 0, 4), labels(1), "from scratch")], annotator="a")
    study.accept([NewAnnotation(SliceRef("case0", 0, 5), labels(1), "filled")], annotator="a")
    refs = [SliceRef("case0", 0, 4), SliceRef("case0", 0, 5), SliceRef("case1", 0, 2), SliceRef("case2", 0, 1)]
    suggestions = [Suggestion(ref, k, Rationale("random", "Drawn at random.")) for k, ref in enumerate(refs)]
    beside = Suggestion(SliceRef("case0", 0, 3), 0, Rationale("random", "Beside it."), kind="context", context_of=refs[0])
    study.publish_suggestions(number, [*suggestions, beside], notes=["a note"])
    assert [row.suggestion.ref for row in study.suggestions(number)] == [refs[1], refs[3]]
    assert study.rounds()[0].notes == (
        "a note", "2 suggested slices were left out: accepted, or the case excluded, while they were being chosen."
    )  # fmt: skip


def test_a_new_round_waits_for_the_one_before(make_study: MakeStudy) -> None:
    study = make_study()
    arguments = {"strategy": "random", "budget": 1, "seed": 0, "unit": "slice", "settings": {}}
    study.start_round(**arguments)
    with pytest.raises(StudyError, match="not finished"):
        study.start_round(**arguments)
    study.finish_round(0)
    assert study.start_round(**arguments).number == 1


def test_the_record_freezes_once(make_study: MakeStudy) -> None:
    study = make_study()
    record = PreprocessingRecord("axial", ("t1",), "t1", (1.0, 1.0), (32, 32), study.schema.key)
    study.freeze_record(record)
    study.freeze_record(record)
    assert study.record == record
    with pytest.raises(StudyError, match="frozen"):
        study.freeze_record(PreprocessingRecord("coronal", ("t1",), "t1", (1.0, 1.0), (32, 32), study.schema.key))


def test_metrics_are_replaced_not_doubled(make_study: MakeStudy) -> None:
    study = make_study()
    study.put_metrics([Metric(0, "dice_3d", "case0", "left lobe", 0.5)])
    study.put_metrics([Metric(0, "dice_3d", "case0", "left lobe", 0.6), Metric(0, "dice_3d", "case0", "right lobe", None)])
    assert [m.value for m in study.metrics(0)] == [0.6, None]


def test_one_worker_at_a_time(make_study: MakeStudy) -> None:
    study = make_study()
    code = (
        "import sys; from pathlib import Path; from SuggestiveAnnotationLib.study.location import WorkerLock\n"
        "lock = WorkerLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(study.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StudyLockedError, match=f"process {holder.pid}"):
        study.lock()
    holder.kill()
    holder.wait()
    with study.lock():
        pass


@pytest.mark.parametrize(
    ("mounts", "path", "kind"),
    [
        ("server:/data /mnt/share nfs4 rw 0 0\n/dev/sda / ext4 rw 0 0", "/mnt/share/study", "nfs4"),
        ("//pacs/x /mnt/with\\040space cifs rw 0 0", "/mnt/with space/a/b", "cifs"),
        ("server:/data /mnt nfs rw 0 0\n/dev/sdb /mnt/local ext4 rw 0 0", "/mnt/local/study", ""),
        ("/dev/sda / ext4 rw 0 0", "/data/study", ""),
        ("me@host: /mnt/ssh fuse.sshfs rw 0 0", "/mnt/ssh", "fuse.sshfs"),
        ("server:/x /mnt/Größe nfs4 rw 0 0", "/mnt/Größe/study", "nfs4"),
    ],
)
def test_network_shares_are_recognised(mounts: str, path: str, kind: str) -> None:
    assert location.network_filesystem(Path(path), mounts=mounts) == kind


def test_a_study_on_a_network_share_is_refused_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_study: MakeStudy) -> None:
    schema = make_study().schema
    monkeypatch.setattr(location, "_mounts", lambda: f"server:/x {tmp_path} nfs4 rw 0 0")
    with pytest.raises(StorageError, match=r"network share \(nfs4\).*local disk"):
        Study.create(tmp_path / "on-share", name="x", cases=[], schema=schema, modalities=("t1",), reference="t1")


def test_a_study_can_be_moved(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study()
    study.accept([NewAnnotation(SliceRef("case0", 0, 4), labels(), "from scratch")], annotator="a")
    study.close()
    moved = shutil.move(study.path, tmp_path / "elsewhere")
    assert len(Study(Path(moved)).annotations()) == 1


def test_images_that_are_moved_together_with_their_study_are_found(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(modalities=("t1", "t2"))
    before = study.case("case1")
    study.close()
    (tmp_path / "project").mkdir()
    for name in ("study", "study-cohort"):
        shutil.copytree(tmp_path / name, tmp_path / "project" / name)
    copied = Study(tmp_path / "project" / "study")
    # As long as they are where they were, nothing changes.
    assert copied.case("case1") == before
    shutil.rmtree(tmp_path / "study-cohort")
    found = copied.case("case1")
    assert found.images == {m: str(tmp_path / "project" / "study-cohort" / f"case1_{m}.nii.gz") for m in ("t1", "t2")}
    assert found.label == str(tmp_path / "project" / "study-cohort" / "case1_label.nii.gz")
    assert {Path(path).parent for case in copied.cases() for path in case.images.values()} == {tmp_path / "project" / "study-cohort"}
    # What is in neither place is named as it was, and is found once it is there.
    shutil.move(tmp_path / "project" / "study-cohort", tmp_path / "away")
    late = Study(tmp_path / "project" / "study")
    assert late.case("case1") == before
    shutil.move(tmp_path / "away", tmp_path / "project" / "study-cohort")
    assert late.case("case1") == found


@pytest.mark.parametrize("kept", [7, "", "relative/folder", "//server/share", "C:", "/\0"])
def test_a_study_that_tells_nonsense_of_where_it_was_made_names_its_images_as_they_are_kept(make_study: MakeStudy, kept: Any) -> None:
    study = make_study(cases=1)
    before = study.case("case0")
    study.set_property(MADE_IN, kept)
    shutil.rmtree(Path(before.images["t1"]).parent)
    assert Study(study.path).case("case0") == before


@pytest.mark.parametrize(
    ("path", "made_in"),
    [("D:\\data\\images\\a.nii", "D:\\data\\studies\\one"), ("/data/images/a.nii", "/data/studies/one")],
)
def test_a_study_comes_from_another_system(tmp_path: Path, path: str, made_in: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.nii").touch()
    assert place_now(path, made_in=made_in, folder=tmp_path / "studies" / "one") == str(tmp_path / "images" / "a.nii")
    assert place_now("E:\\a.nii", made_in="D:\\data", folder=tmp_path) == "E:\\a.nii"


def test_a_link_to_a_network_share_does_not_hide_it(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "share")
    mounts = f"server:/x {tmp_path}/share nfs4 rw 0 0"
    assert location.network_filesystem(tmp_path / "link" / "study", mounts=mounts) == "nfs4"


@pytest.mark.parametrize("name", ["a?b", "a%41b", "a b#c", "Größe"])
def test_a_study_may_have_any_name_a_folder_can_have(make_study: MakeStudy, name: str) -> None:
    study = make_study(name=name)
    assert Study(study.path).name == name


def test_the_next_worker_removes_what_a_killed_one_left_half_written(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    models = study.path / "models"
    models.mkdir()
    kept = models / "kept.safetensors"
    kept.write_bytes(b"x")
    study.publish_model("segmentation", path=kept, card={}, record_key=study.record.key, round_number=0)
    (models / "kept.json").write_text("{}")
    left = [models / "orphan.safetensors", models / ".part-abc.safetensors", study.slice_store.folder / ".case0-abc.npy"]
    for path in left:
        path.write_bytes(b"half")
    with study.lock():
        assert not any(path.exists() for path in left)
    assert kept.exists()
    assert (models / "kept.json").exists()
    assert study.slices("case0").images.shape[0] == 8
