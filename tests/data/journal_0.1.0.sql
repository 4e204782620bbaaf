BEGIN TRANSACTION;
CREATE TABLE attempts (
    attempt INTEGER PRIMARY KEY, run, key, at, level, identifier, sent, final, outcome, status, error, advice, error_comment, total, completed, failed, warning, remaining, expected, received, bytes, missing, failed_sop_instance_uids, attempts, started_at, finished_at, duration_s
);
INSERT INTO "attempts" VALUES(1,1,1,'2026-11-25T12:48:39.810777+00:00','STUDY','[["StudyInstanceUID", "2.25.160325497229957910656237560812202534620.1"]]',1,1,'complete','0x0000',NULL,NULL,NULL,2,2,0,0,NULL,2,NULL,NULL,NULL,NULL,1,'2026-11-25T12:48:39.783343+00:00','2026-11-25T12:48:39.795894+00:00',1.25552470003640337381e-02);
INSERT INTO "attempts" VALUES(2,2,2,'2026-11-25T12:48:39.962021+00:00','STUDY','[["StudyInstanceUID", "2.25.160325497229957910656237560812202534620.2"]]',1,1,'complete','0x0000',NULL,NULL,NULL,2,2,0,0,NULL,2,NULL,NULL,NULL,NULL,1,'2026-11-25T12:48:39.946752+00:00','2026-11-25T12:48:39.959978+00:00',1.32228309998936310876e-02);
CREATE TABLE instances (
    key, path, bytes, sha256, SOPClassUID, TransferSyntaxUID, StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID, calling_ae_title, address, move_originator_ae_title, move_originator_message_id, received_at, quarantine, times_received, run, attempt, PRIMARY KEY (key, path, sha256)
) WITHOUT ROWID;
CREATE TABLE keys (
    key INTEGER PRIMARY KEY, pacs, destination, level, query_model, identifier,
    UNIQUE (pacs, destination, level, query_model, identifier)
);
INSERT INTO "keys" VALUES(1,'{pacs}','REHEARSAL_STORE','STUDY','StudyRoot','[["StudyInstanceUID", "2.25.160325497229957910656237560812202534620.1"]]');
INSERT INTO "keys" VALUES(2,'{pacs}','REHEARSAL_STORE','STUDY','StudyRoot','[["StudyInstanceUID", "2.25.160325497229957910656237560812202534620.2"]]');
CREATE TABLE rows (
    run, position, key, label, cells, outcome, status, error, advice, error_comment, total, completed, failed, warning, remaining, expected, received, bytes, missing, failed_sop_instance_uids, attempts, started_at, finished_at, duration_s, PRIMARY KEY (run, position)
) WITHOUT ROWID;
INSERT INTO "rows" VALUES(1,0,1,'"x"','["2.25.160325497229957910656237560812202534620.1", "a"]',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "rows" VALUES(2,0,1,'"x"','["2.25.160325497229957910656237560812202534620.1", "a"]','skipped','0x0000',NULL,'An earlier run completed it, at 2026-11-25 12:48 UTC.',NULL,2,2,0,0,NULL,2,NULL,NULL,NULL,NULL,1,'2026-11-25T12:48:39.783343+00:00','2026-11-25T12:48:39.795894+00:00',1.25552470003640337381e-02);
INSERT INTO "rows" VALUES(2,1,2,'"y"','["2.25.160325497229957910656237560812202534620.2", "b"]',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "rows" VALUES(2,2,NULL,'"z"','["", "c"]','invalid',NULL,'invalid_row','There is no StudyInstanceUID (did C-FIND match nothing?). Correct the row; nothing was sent.',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL);
CREATE TABLE runs (
    run INTEGER PRIMARY KEY, started_at, ended_at, interrupted, host, pid, versions,
    pacs, destination, calling_ae_title, options, cohort_sha256,
    columns, dtypes, index_names, index_dtypes, folder
);
INSERT INTO "runs" VALUES(1,'2026-11-25T12:48:39.749149+00:00','2026-11-25T12:48:39.851090+00:00',0,'host',18468,'{"python": "3.11.7", "dicomove": "0.1.0", "pynetdicom": "3.0.4", "pydicom": "3.0.2", "pandas": "3.1.1"}','{pacs}','REHEARSAL_STORE','DICOMOVE','{"concurrency": 1, "delay": 0, "total_timeout": null, "verify": "auto", "retry": null, "hours": null, "max_instances_per_second": null, "outage_timeout": "auto", "on_failure": "continue", "max_failures": null}','e25fc692b788e0f3fd5978a2642ac1e78ca51b4140c298462caf030789fbe774','["StudyInstanceUID", "arm"]','["str", "str"]','[null]','["str"]',NULL);
INSERT INTO "runs" VALUES(2,'2026-11-25T12:48:39.910207+00:00','2026-11-25T12:48:39.974908+00:00',0,'host',18468,'{"python": "3.11.7", "dicomove": "0.1.0", "pynetdicom": "3.0.4", "pydicom": "3.0.2", "pandas": "3.1.1"}','{pacs}','REHEARSAL_STORE','DICOMOVE','{"concurrency": 1, "delay": 0, "total_timeout": null, "verify": "auto", "retry": null, "hours": null, "max_instances_per_second": null, "outage_timeout": "auto", "on_failure": "continue", "max_failures": null}','70be621696e0843eec081753d727336624b650fd4525b01498b71eac3f052b94','["StudyInstanceUID", "arm"]','["str", "str"]','[null]','["str"]',NULL);
CREATE INDEX attempts_by_key ON attempts (key, attempt);
COMMIT;
PRAGMA application_id = 1684237674;
PRAGMA user_version = 1;
