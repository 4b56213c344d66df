-- A study of schema version 1, as `sqlite3 study.sqlite .dump` wrote it out.
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE annotations (
	id INTEGER NOT NULL,
	batch TEXT NOT NULL,
	"case" TEXT NOT NULL,
	axis INTEGER NOT NULL,
	native_index INTEGER NOT NULL,
	annotator TEXT NOT NULL,
	provenance TEXT NOT NULL,
	state TEXT NOT NULL,
	round INTEGER,
	prediction_id INTEGER,
	supersedes INTEGER,
	effort JSON,
	minutes FLOAT,
	accepted_at TEXT NOT NULL,
	labels BLOB NOT NULL,
	rows INTEGER NOT NULL,
	columns INTEGER NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY("case") REFERENCES cases (name),
	FOREIGN KEY(prediction_id) REFERENCES predictions (id)
);
INSERT INTO "annotations" VALUES(1,'84d5507d6ce04b428f15ba8d1724ddf8','case0',0,2,'Dr A','corrected','accepted',0,1,NULL,'{"quantity": "retained contour", "slices": 1, "classes": [{"value": 1, "reference_mm": 16.0, "prediction_mm": 16.0, "shared_mm": 6.0, "shared_within_pixels_mm": 16.0, "shared_within_millimetres_mm": 16.0, "false_components": 0, "added_pixels": 4, "removed_pixels": 4, "added_mm2": 4.0, "removed_mm2": 4.0}, {"value": 2, "reference_mm": 0.0, "prediction_mm": 0.0, "shared_mm": 0.0, "shared_within_pixels_mm": 0.0, "shared_within_millimetres_mm": 0.0, "false_components": 0, "added_pixels": 0, "removed_pixels": 0, "added_mm2": 0.0, "removed_mm2": 0.0}], "interfaces": {"reference_mm": 16.0, "prediction_mm": 16.0, "shared_mm": 6.0}, "tolerances": {"pixels": 1.0, "millimetres": 1.0}}',1.5,'2026-11-21T07:24:35.986+00:00',X'78016360200F30324020BA6E6A89A39B4B2D3E000A000011',10,12);
CREATE TABLE case_predictions (
	"case" TEXT NOT NULL,
	model_id INTEGER NOT NULL,
	path TEXT NOT NULL,
	PRIMARY KEY ("case", model_id),
	FOREIGN KEY("case") REFERENCES cases (name),
	FOREIGN KEY(model_id) REFERENCES models (id)
);
CREATE TABLE cases (
	name TEXT NOT NULL,
	position INTEGER NOT NULL,
	patient TEXT NOT NULL,
	site TEXT NOT NULL,
	role TEXT NOT NULL,
	label TEXT,
	mask TEXT,
	geometry JSON,
	excluded_reason TEXT NOT NULL,
	problems JSON NOT NULL,
	PRIMARY KEY (name)
);
INSERT INTO "cases" VALUES('case0',0,'p0','here','pool','/data/case0_label.nii.gz',NULL,'{"size": [12, 10, 6], "spacing": [1.0, 1.0, 2.0], "origin_lps": [-10.0, 5.0, 3.0], "direction_lps": [1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0]}','','[]');
INSERT INTO "cases" VALUES('case1',1,'p1','here','pool','/data/case1_label.nii.gz',NULL,'{"size": [12, 10, 6], "spacing": [1.0, 1.0, 2.0], "origin_lps": [-10.0, 5.0, 3.0], "direction_lps": [1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0]}','','[]');
INSERT INTO "cases" VALUES('case2',2,'p2','here','test','/data/case2_label.nii.gz',NULL,'{"size": [12, 10, 6], "spacing": [1.0, 1.0, 2.0], "origin_lps": [-10.0, 5.0, 3.0], "direction_lps": [1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0]}','','[]');
CREATE TABLE drafts (
	"case" TEXT NOT NULL,
	axis INTEGER NOT NULL,
	native_index INTEGER NOT NULL,
	annotator TEXT NOT NULL,
	prediction_id INTEGER,
	updated TEXT NOT NULL,
	labels BLOB NOT NULL,
	rows INTEGER NOT NULL,
	columns INTEGER NOT NULL,
	UNIQUE ("case", axis, native_index, annotator),
	FOREIGN KEY("case") REFERENCES cases (name),
	FOREIGN KEY(prediction_id) REFERENCES predictions (id)
);
INSERT INTO "drafts" VALUES('case0',0,4,'Dr A',2,'2026-11-21T07:24:35.996+00:00',X'78016360200730314020BA5E6A89A39B4B3D3E0013500021',10,12);
CREATE TABLE events (
	id INTEGER NOT NULL,
	at TEXT NOT NULL,
	annotator TEXT NOT NULL,
	"case" TEXT,
	axis INTEGER,
	native_index INTEGER,
	kind TEXT NOT NULL,
	payload JSON NOT NULL,
	PRIMARY KEY (id)
);
INSERT INTO "events" VALUES(1,'2026-11-21T07:24:35.980+00:00','Dr A','case0',0,2,'shown','{"prediction_id": 1, "round": 0}');
INSERT INTO "events" VALUES(2,'2026-11-21T07:24:35.989+00:00','Dr A','case0',0,2,'accepted','{"batch": "84d5507d6ce04b428f15ba8d1724ddf8", "provenance": "corrected"}');
INSERT INTO "events" VALUES(3,'2026-11-21T07:24:35.993+00:00','Dr A','case0',0,4,'shown','{"prediction_id": 2, "round": 0}');
INSERT INTO "events" VALUES(4,'2026-11-21T07:24:35.999+00:00','Dr A','case1',0,1,'skipped','{"reason": "motion"}');
CREATE TABLE images (
	"case" TEXT NOT NULL,
	modality TEXT NOT NULL,
	path TEXT NOT NULL,
	PRIMARY KEY ("case", modality),
	FOREIGN KEY("case") REFERENCES cases (name)
);
INSERT INTO "images" VALUES('case0','t1','/data/case0_t1.nii.gz');
INSERT INTO "images" VALUES('case1','t1','/data/case1_t1.nii.gz');
INSERT INTO "images" VALUES('case2','t1','/data/case2_t1.nii.gz');
CREATE TABLE metrics (
	round INTEGER NOT NULL,
	name TEXT NOT NULL,
	"case" TEXT NOT NULL,
	label TEXT NOT NULL,
	value FLOAT,
	PRIMARY KEY (round, name, "case", label)
);
INSERT INTO "metrics" VALUES(0,'dice_3d','case2','left lobe',0.5);
CREATE TABLE models (
	id INTEGER NOT NULL,
	kind TEXT NOT NULL,
	round INTEGER,
	record_key TEXT NOT NULL,
	path TEXT NOT NULL,
	latents TEXT,
	card JSON NOT NULL,
	created TEXT NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(record_key) REFERENCES preprocessing ("key")
);
INSERT INTO "models" VALUES(1,'segmentation',0,'263990418135','models/m.safetensors',NULL,'{"metrics": {}}','2026-11-21T07:24:35.969+00:00');
CREATE TABLE predictions (
	id INTEGER NOT NULL,
	"case" TEXT NOT NULL,
	axis INTEGER NOT NULL,
	native_index INTEGER NOT NULL,
	model_id INTEGER NOT NULL,
	labels BLOB NOT NULL,
	rows INTEGER NOT NULL,
	columns INTEGER NOT NULL,
	PRIMARY KEY (id),
	UNIQUE ("case", axis, native_index, model_id),
	FOREIGN KEY("case") REFERENCES cases (name),
	FOREIGN KEY(model_id) REFERENCES models (id)
);
INSERT INTO "predictions" VALUES(1,'case0',0,2,1,X'78016360200730324020BA5E6A89A39B4B3D3E000A200011',10,12);
INSERT INTO "predictions" VALUES(2,'case0',0,4,1,X'78016360200730324020BA5E6A89A39B4B3D3E000A200011',10,12);
INSERT INTO "predictions" VALUES(3,'case1',0,1,1,X'78016360200730324020BA5E6A89A39B4B3D3E000A200011',10,12);
CREATE TABLE preprocessing (
	"key" TEXT NOT NULL,
	record JSON NOT NULL,
	created TEXT NOT NULL,
	PRIMARY KEY ("key")
);
INSERT INTO "preprocessing" VALUES('263990418135','{"plane": "axial", "modalities": ["t1"], "reference": "t1", "spacing": [1.0, 1.0], "size": [16, 16], "schema_key": "e91209e839c3", "normalisation": "z-score inside the foreground, clipped to [-5, 5]", "foreground": "mask file, else not the constant background, else Otsu", "version": 1}','2026-11-21T07:24:35.958+00:00');
CREATE TABLE properties (
	name TEXT NOT NULL,
	value JSON NOT NULL,
	PRIMARY KEY (name)
);
INSERT INTO "properties" VALUES('name','"kept study"');
INSERT INTO "properties" VALUES('created','"2026-11-21T07:24:35.950+00:00"');
INSERT INTO "properties" VALUES('library_version','"0.1.0"');
INSERT INTO "properties" VALUES('modalities','["t1"]');
INSERT INTO "properties" VALUES('reference','"t1"');
INSERT INTO "properties" VALUES('schema','{"format": "suggestive-annotation label schema", "version": 1, "name": "two lobes", "notes": [], "classes": [{"value": 1, "name": "left lobe", "colour": [230, 159, 0], "partner": 2}, {"value": 2, "name": "right lobe", "colour": [86, 180, 233], "partner": 1}], "regions": {"both": [1, 2]}, "ignore_value": 255, "ignore_unlabelled_in_mask": false, "exclude_mask_edge": false}');
INSERT INTO "properties" VALUES('settings','{"seed": 3}');
INSERT INTO "properties" VALUES('commands','["suggestive-annotation prepare kept"]');
CREATE TABLE rounds (
	number INTEGER NOT NULL,
	stage TEXT NOT NULL,
	strategy TEXT NOT NULL,
	unit TEXT NOT NULL,
	budget INTEGER NOT NULL,
	seed INTEGER NOT NULL,
	settings JSON NOT NULL,
	seconds JSON NOT NULL,
	notes JSON NOT NULL,
	started TEXT NOT NULL,
	finished TEXT,
	PRIMARY KEY (number)
);
INSERT INTO "rounds" VALUES(0,'annotating','random','slice',3,0,'{"budget": 3}','{}','["a note"]','2026-11-21T07:24:35.964+00:00',NULL);
CREATE TABLE suggestions (
	id INTEGER NOT NULL,
	round INTEGER NOT NULL,
	rank INTEGER NOT NULL,
	"case" TEXT NOT NULL,
	axis INTEGER NOT NULL,
	native_index INTEGER NOT NULL,
	kind TEXT NOT NULL,
	context_of INTEGER,
	state TEXT NOT NULL,
	reason TEXT NOT NULL,
	rationale JSON NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (round, "case", axis, native_index),
	FOREIGN KEY(round) REFERENCES rounds (number),
	FOREIGN KEY("case") REFERENCES cases (name)
);
INSERT INTO "suggestions" VALUES(1,0,0,'case0',0,2,'suggested',NULL,'accepted','','{"strategy": "random", "sentence": "Drawn at random.", "score": null, "source": null, "source_latent": null, "projected": null, "chosen_latent": null, "details": {}}');
INSERT INTO "suggestions" VALUES(2,0,1,'case0',0,4,'suggested',NULL,'draft','','{"strategy": "random", "sentence": "Drawn at random.", "score": null, "source": null, "source_latent": null, "projected": null, "chosen_latent": null, "details": {}}');
INSERT INTO "suggestions" VALUES(3,0,2,'case1',0,1,'suggested',NULL,'skipped','motion','{"strategy": "random", "sentence": "Drawn at random.", "score": null, "source": null, "source_latent": null, "projected": null, "chosen_latent": null, "details": {}}');
CREATE INDEX events_by_slice ON events ("case", native_index, kind);
CREATE INDEX suggestions_by_slice ON suggestions ("case", axis, native_index);
CREATE UNIQUE INDEX one_accepted_annotation ON annotations ("case", axis, native_index, annotator) WHERE state = 'accepted';
CREATE INDEX annotations_by_batch ON annotations (batch);
CREATE INDEX annotations_by_state ON annotations (state, "case");
COMMIT;
