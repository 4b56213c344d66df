"""What a study keeps: the database, checkpoints, latents, prepared slices."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from documents import STRANGE, spoil_json
from formats import Format, each
from images import volume, written
from mutations import BINARY, spoil

DDL = [
    "CREATE TRIGGER t AFTER INSERT ON annotations BEGIN DELETE FROM annotations; END",
    "CREATE TRIGGER t AFTER INSERT ON events BEGIN SELECT load_extension('/tmp/x'); END",
    "CREATE VIEW v AS SELECT * FROM cases",
    "CREATE VIRTUAL TABLE v USING fts5(x)",
    "CREATE UNIQUE INDEX u ON events (annotator)",
    "DROP TABLE reviews",
    "DROP TABLE cases",
    "ALTER TABLE cases RENAME COLUMN role TO roll",
    "CREATE TABLE other (x)",
    "PRAGMA user_version = 1",
    "PRAGMA user_version = -5",
    "PRAGMA journal_mode = DELETE",
]


def make_study(folder: Path) -> Any:
    """A small study with a row in every table."""
    from documents import SCHEMA

    from SuggestiveAnnotationLib.cohort.files.read import read_geometry
    from SuggestiveAnnotationLib.cohort.labels.schema import schema_from_json
    from SuggestiveAnnotationLib.study.annotation_rows import NewAnnotation
    from SuggestiveAnnotationLib.study.records import Metric
    from SuggestiveAnnotationLib.study.study import Study
    from SuggestiveAnnotationLib.types import Case, PreprocessingRecord, Rationale, SliceRef, Suggestion

    written(folder, "a.nii")
    grid = read_geometry(folder / "a.nii")
    images = {"T1": str(folder / "a.nii")}
    cases = [Case(f"a{n}", f"p{n}", "pool", images, label=images["T1"], geometry=grid, problems=("a remark",)) for n in (1, 2)]
    schema = schema_from_json(SCHEMA)
    study = Study.create(folder / "study", name="study", cases=cases, schema=schema, modalities=["T1"], reference="T1")
    record = PreprocessingRecord("axial", ("T1",), "T1", (1.0, 1.0), (32, 32), schema.key)
    study.freeze_record(record)
    refs = [SliceRef("a1", 0, k) for k in range(3)]
    number = study.start_round(strategy="random", budget=3, seed=0, unit="slice", settings={"a": 1}).number
    why = Rationale("random", "Drawn at random.", score=0.5, source=refs[1], source_latent=(0.1, 0.2), projected=(0.5, 1.0))
    study.publish_suggestions(number, [Suggestion(ref, k, why) for k, ref in enumerate(refs)], notes=["a note"], seconds={"suggest": 1.5})
    models = study.path / "models"
    models.mkdir()
    (models / "m.safetensors").write_bytes(b"x")
    study.save_latents(models / "m.npz", refs, np.eye(3, 2, dtype=np.float32))
    model = study.publish_model(
        "manifold", path=models / "m.safetensors", latents=models / "m.npz", card={"seed": 1}, record_key=record.key, round_number=0
    )
    labels = np.ones((5, 6), np.uint16)
    study.add_predictions(model.id, [(refs[0], labels)])
    predicted = study.path / "predictions" / "a1.npy"
    predicted.parent.mkdir()
    np.save(predicted, np.zeros(grid.shape, np.uint8))
    study.add_case_prediction("a1", model.id, predicted)
    shown = study.prediction(refs[0])
    study.accept([NewAnnotation(refs[0], labels, "corrected", prediction_id=shown.id, effort={"retained": 3})], annotator="ann")
    study.save_draft(refs[1], labels, annotator="ann", prediction_id=None)
    study.review([1], reviewer="bob", verdict="approved", note="good")
    study.put_metrics([Metric(0, "dice", "a1", "left", 0.5)])
    study.record_command("study create")
    return study


def read_study(path: Path) -> None:
    """Everything that is kept, once."""
    from SuggestiveAnnotationLib.session import Session
    from SuggestiveAnnotationLib.study.study import Study

    study = Study(path)
    try:
        study.lock().release()
        _ = study.name, study.modalities, study.reference_modality, study.settings, study.schema, study.record, study.commands()
        for case in study.cases():
            study.case(case.name)
            if case.geometry is not None:
                study.frame(case.name)
        study.cases_to_retry(), study.pool_refs(), study.rounds(), study.suggestions(), study.metrics()
        for model in study.models():
            study.case_prediction("a1", model.id)
            study.prediction_ids(model.id)
            if model.latents is not None:
                study.latents(model)
        for annotation in study.all_annotations():
            _ = annotation.labels
            if annotation.prediction_id is not None:
                study.prediction_by_id(annotation.prediction_id)
        study.drafts(), study.reviews(), study.events(), study.event_times("ann"), study.annotated_refs(), study.work_notes()
        session = Session(study, annotator="ann")
        session.case_status(), session.slice_status(), session.case_labels("a1")
    finally:
        study.close()


class StudyDatabase(Format):
    """Bytes of the file, values in rows, and what else can be in a database."""

    share = 0.4

    def prepare(self, folder: Path) -> None:
        study = make_study(folder)
        study.close()
        self.study = folder / "study"

    def write(self, folder: Path, draw: random.Random) -> Path:
        target = folder / "study"
        shutil.copytree(self.study, target)
        database = target / "study.sqlite"
        what = draw.random()
        if what < 0.35:
            data = database.read_bytes()
            header = draw.choice((100, 4096, len(data)))
            database.write_bytes(spoil(data, draw, header=header, ways=BINARY))
            if draw.random() < 0.1:
                (target / draw.choice(("study.sqlite-journal", "study.sqlite-wal", "worker.lock"))).write_bytes(draw.randbytes(2000))
        elif what < 0.93:
            self._rows(database, draw)
        else:
            with closing(sqlite3.connect(database)) as connection:
                connection.execute(draw.choice(DDL))
                connection.commit()
        return target

    @staticmethod
    def _rows(database: Path, draw: random.Random) -> None:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
            for _ in range(draw.choice((1, 1, 2))):
                table = draw.choice(tables)
                columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
                column = draw.choice(columns)
                value = strange_value(connection.execute(f'SELECT "{column}" FROM {table} LIMIT 1').fetchone(), draw)
                try:
                    connection.execute(f'UPDATE {table} SET "{column}" = ? WHERE rowid IN (SELECT rowid FROM {table} LIMIT 1)', (value,))
                except (sqlite3.IntegrityError, OverflowError, UnicodeEncodeError):
                    continue
            connection.commit()

    def read(self, path: Path) -> list[str]:
        return each([read_study], path)


def strange_value(row: Any, draw: random.Random) -> Any:
    """Another value for a column: of another type, out of range, or its JSON spoilt."""
    kept = row[0] if row else None
    if isinstance(kept, str) and draw.random() < 0.6:
        try:
            content = json.loads(kept)
        except ValueError:
            content = None
        if content and isinstance(content, (dict, list)):
            return spoil_json(content, draw).decode("utf-8", errors="replace")
    if isinstance(kept, bytes) and draw.random() < 0.6:
        import zlib

        return draw.choice((spoil(kept, draw, header=len(kept), ways=BINARY), zlib.compress(bytes(10**8), 9), zlib.compress(b""), b""))
    value = draw.choice(
        [*STRANGE, b"", b"x" * 100, 10**15, -(10**15), "[" * 100_000, "{}", "null", "NaN", "[1", '"x"', "x\0y", "a/../../b"]
    )
    return (
        json.dumps(value) if isinstance(value, (list, dict)) else value if not isinstance(value, int) or abs(value) < 2**63 else str(value)
    )


class Checkpoint(Format):
    """Weights, their card, or both; half of the spoilt weights are signed anew, as who means harm would."""

    def prepare(self, folder: Path) -> None:
        from SuggestiveAnnotationLib.models.checkpoint import save_checkpoint
        from SuggestiveAnnotationLib.models.registry import build_network

        specs: list[dict[str, Any]] = [
            {"network": "unet", "size": "tiny", "channels": 1, "classes": 3},
            {"network": "vae", "size": "tiny", "channels": 1, "latent_size": 2, "grid_size": [32, 32], "input_size": [16, 16]},
        ]
        self.kept: list[tuple[bytes, Any]] = []
        for number, spec in enumerate(specs):
            path = folder / f"m{number}.safetensors"
            save_checkpoint(path, build_network(spec), {"record_key": "abc", "seed": 1, "metrics": {"dice": 0.5}})
            self.kept.append((path.read_bytes(), json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))))

    def write(self, folder: Path, draw: random.Random) -> Path:
        import hashlib

        weights, card = draw.choice(self.kept)
        path = folder / "m.safetensors"
        text = json.dumps(card).encode()
        if draw.random() < 0.5:
            length = int.from_bytes(weights[:8], "little")
            weights = spoil(weights, draw, header=length + 8, ways=BINARY)
            if draw.random() < 0.7:
                text = json.dumps({**card, "weights_sha256": hashlib.sha256(weights).hexdigest()}).encode()
        else:
            text = spoil_json(card if draw.random() < 0.5 else {**card, "network": dict(card["network"])}, draw)
        path.write_bytes(weights)
        path.with_suffix(".json").write_bytes(text)
        return path

    def read(self, path: Path) -> list[str]:
        from SuggestiveAnnotationLib.models.checkpoint import load_checkpoint

        return each([lambda file: load_checkpoint(file)], path)


class Latents(Format):
    def prepare(self, folder: Path) -> None:
        self.study = make_study(folder)
        self.file = folder / "study" / "models" / "m.npz"
        self.seeds = [self.file.read_bytes()]

    def write(self, folder: Path, draw: random.Random) -> Path:
        # In place: the study that was made once is asked for them.
        self.file.write_bytes(spoil(self.seeds[0], draw, header=10**6, ways=BINARY))
        shutil.copy(self.file, folder)
        return folder / "m.npz"

    def read(self, path: Path) -> list[str]:
        return each([lambda _: self.study.latents()], path)


class Slices(Format):
    """Prepared slices and the note beside them."""

    def prepare(self, folder: Path) -> None:
        import SimpleITK as sitk

        from SuggestiveAnnotationLib.study.slice_store import SliceStore

        study = make_study(folder)
        sitk.WriteImage(volume(np.uint8) > 3, str(folder / "l.nii"))
        self.settings = study.store_for(_settings(study)).settings
        from dataclasses import replace

        self.case = replace(study.case("a1"), label=str(folder / "l.nii"), mask=None)
        store = SliceStore(folder / "store", self.settings)
        store.build(self.case)
        self.files = {p.name: p.read_bytes() for p in store.folder.iterdir()}
        study.close()

    def write(self, folder: Path, draw: random.Random) -> Path:
        name = draw.choice(sorted(self.files))
        target = folder / self.settings.key
        target.mkdir()
        for file, data in self.files.items():
            (target / file).write_bytes(data)
        data = self.files[name]
        spoilt = spoil_json(json.loads(data), draw) if name.endswith(".json") else spoil(data, draw, header=160, ways=BINARY)
        (target / name).write_bytes(spoilt)
        return folder

    def read(self, path: Path) -> list[str]:
        from SuggestiveAnnotationLib.study.slice_store import SliceStore

        store = SliceStore(path, self.settings)
        return each([lambda _: (store.is_current(self.case), store.open("a1"), store.open_labels("a1"))], path)


def _settings(study: Any) -> Any:
    from SuggestiveAnnotationLib.study.slice_store import StoreSettings

    return StoreSettings("axial", study.modalities, study.reference_modality, study.schema)


def study_formats() -> list[Format]:
    return [StudyDatabase("study database"), Checkpoint("safetensors and card"), Latents("latents .npz"), Slices("prepared slices")]
