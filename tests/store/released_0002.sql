BEGIN TRANSACTION;
CREATE TABLE action (
	seq INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	attempt INTEGER NOT NULL, 
	step VARCHAR NOT NULL, 
	level INTEGER NOT NULL, 
	slot VARCHAR NOT NULL, 
	failed BOOLEAN NOT NULL, 
	CONSTRAINT pk_action PRIMARY KEY (seq), 
	CONSTRAINT uq_action_id_attempt UNIQUE (id, attempt)
);
INSERT INTO "action" VALUES(1,'a',1,'propose',0,'node-1',0);
INSERT INTO "action" VALUES(2,'b',1,'propose',0,'node-1',1);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE cache (
	table_name VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	value BLOB NOT NULL, 
	CONSTRAINT pk_cache PRIMARY KEY (table_name, "key")
);
INSERT INTO "cache" VALUES('calls','a',X'00FF');
CREATE TABLE event (
	seq INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	kind VARCHAR NOT NULL, 
	data JSON NOT NULL, 
	CONSTRAINT pk_event PRIMARY KEY (seq)
);
INSERT INTO "event" VALUES(1,1.79563110749361944194e+09,'started','{}');
CREATE TABLE failure (
	seq INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	step VARCHAR NOT NULL, 
	error VARCHAR NOT NULL, 
	cause VARCHAR NOT NULL, 
	CONSTRAINT pk_failure PRIMARY KEY (seq), 
	CONSTRAINT uq_failure_id UNIQUE (id)
);
INSERT INTO "failure" VALUES(1,'failure-45d63212850fde7e5947','node-1','propose','AssistantError','quotes "'' two lines
end, 漢字, 🦊');
INSERT INTO "failure" VALUES(2,'failure-890446e59b63b82966fd','node-2','propose','E','c');
CREATE TABLE feedback (
	seq INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	request VARCHAR NOT NULL, 
	rater VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	answer JSON NOT NULL, 
	seconds FLOAT, confidence FLOAT, 
	CONSTRAINT pk_feedback PRIMARY KEY (seq), 
	CONSTRAINT uq_feedback_id UNIQUE (id)
);
INSERT INTO "feedback" VALUES(1,'feedback-0d7d879d6a636a773e1f','request-0','Ann','comparison','{"better":0,"strength":null}',0.0,NULL);
INSERT INTO "feedback" VALUES(2,'feedback-627c02f4f6581785df15','request-1','Ann','comparison','{"better":1,"strength":0.3333333333333333}',0.1,NULL);
INSERT INTO "feedback" VALUES(3,'feedback-b20b1930f04bdb230982','request-2','Ann','comparison','{"better":null,"strength":0.0}',0.2,NULL);
INSERT INTO "feedback" VALUES(4,'feedback-816025694ab1180e5915','request-3','Ann','ranking','{"best_first":[2,0,1]}',3.00000000000000044408e-01,NULL);
INSERT INTO "feedback" VALUES(5,'feedback-d5569afbb366455a30d0','request-4','Ann','rating','{"value":6,"points":9}',0.4,NULL);
INSERT INTO "feedback" VALUES(6,'feedback-6cabfc2ef704abca4061','request-5','Ann','rating','{"value":2.3333333333333335,"points":5}',0.5,NULL);
INSERT INTO "feedback" VALUES(7,'feedback-fba5e5dfdb36279620ed','request-6','Ann','label','{"good":true}',6.00000000000000088817e-01,NULL);
INSERT INTO "feedback" VALUES(8,'feedback-62415bbd576a389e9334','request-7','Ann','label','{"good":false}',7.00000000000000066613e-01,NULL);
INSERT INTO "feedback" VALUES(9,'feedback-1e1273d8bc6e39f3933a','request-8','Ann','correction','{"text":"quotes \"'' two lines\nend, 漢字, 🦊"}',0.8,NULL);
INSERT INTO "feedback" VALUES(10,'feedback-6523d65390b4dc494161','request-9','Ann','demonstration','{"text":""}',0.9,NULL);
INSERT INTO "feedback" VALUES(11,'feedback-5587ce09085b127d89ed','request-10','Ann','critique','{"text":"names swapped","spans":[[0,4],[9,12]],"consistent":null}',1.0,NULL);
INSERT INTO "feedback" VALUES(12,'feedback-799c9dad0f7d27a25432','request-11','Ann','critique','{"text":"the second is shorter","spans":[],"consistent":[1]}',1.1,NULL);
INSERT INTO "feedback" VALUES(13,'feedback-05067ebe702038ecb1b2','request-12','Ann','reject','{"reason":"not English"}',1.20000000000000017763e+00,NULL);
INSERT INTO "feedback" VALUES(14,'feedback-7758a4fa426dbf826ce6','request-0','Bob','comparison','{"better":1,"strength":null}',NULL,NULL);
INSERT INTO "feedback" VALUES(15,'feedback-d879bb0bef511e95d633','request-1','Bob','comparison','{"better":1,"strength":null}',NULL,3.33333333333333314829e-01);
CREATE TABLE fitted (
	seq INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	level INTEGER NOT NULL, 
	path VARCHAR NOT NULL, 
	digest VARCHAR NOT NULL, 
	ratings INTEGER NOT NULL, 
	CONSTRAINT pk_fitted PRIMARY KEY (seq), 
	CONSTRAINT uq_fitted_id UNIQUE (id)
);
INSERT INTO "fitted" VALUES(1,'fitted-58b0229264311e284006',1,'models/level-1','ab12',400);
CREATE TABLE link (
	action INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	value VARCHAR NOT NULL, 
	CONSTRAINT pk_link PRIMARY KEY (action, position), 
	CONSTRAINT fk_link_action_action FOREIGN KEY(action) REFERENCES action (seq)
);
INSERT INTO "link" VALUES(1,0,'output','output-6f08d0a31113ebac7ff1');
INSERT INTO "link" VALUES(1,1,'request','request-4cf3308f6ff80e04294e');
INSERT INTO "link" VALUES(2,0,'failure','failure-890446e59b63b82966fd');
CREATE TABLE meta (
	name VARCHAR NOT NULL, 
	value JSON NOT NULL, 
	CONSTRAINT pk_meta PRIMARY KEY (name)
);
INSERT INTO "meta" VALUES('run','{"seed":1}');
CREATE TABLE output (
	seq INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	node VARCHAR NOT NULL, 
	text VARCHAR NOT NULL, 
	policy VARCHAR NOT NULL, 
	seed BIGINT NOT NULL, 
	inputs JSON NOT NULL, 
	context JSON NOT NULL, 
	log_prob FLOAT, 
	truncated BOOLEAN NOT NULL, 
	CONSTRAINT pk_output PRIMARY KEY (seq), 
	CONSTRAINT uq_output_id UNIQUE (id)
);
INSERT INTO "output" VALUES(1,'output-65489833d39daa3316a8','node-1','quotes "'' two lines
end, 漢字, 🦊','extractive',9223372036854775807,'["output-8","output-9"]','["output-7"]',-4.94065645841247e-324,1);
INSERT INTO "output" VALUES(2,'output-ffa1abf59e0bf9032dfe','node-2','','extractive',0,'[]','[]',-1.79769313486231562234e+308,0);
INSERT INTO "output" VALUES(3,'output-6da246094fd46f489329','node-3','x','extractive',-1,'[]','[]',NULL,0);
INSERT INTO "output" VALUES(4,'output-6f08d0a31113ebac7ff1','node-1','text 1','test',1,'[]','[]',NULL,0);
CREATE TABLE request (
	seq INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	node VARCHAR NOT NULL, 
	source VARCHAR NOT NULL, 
	level INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	"view" VARCHAR NOT NULL, 
	shown JSON NOT NULL, 
	guideline VARCHAR NOT NULL, 
	copy INTEGER NOT NULL, 
	CONSTRAINT pk_request PRIMARY KEY (seq), 
	CONSTRAINT uq_request_id UNIQUE (id), 
	CONSTRAINT fk_request_view_view FOREIGN KEY("view") REFERENCES "view" (id)
);
INSERT INTO "request" VALUES(1,'request-4cf3308f6ff80e04294e','node-1','source-b9091e573e75f7f369bd',2,'comparison','view-d344d014115ac49db0cc','[{"output":"output-1","text":"quotes \"'' two lines\nend, 漢字, 🦊"},{"output":"output-2","text":""}]','v2',4);
INSERT INTO "request" VALUES(2,'request-51f2e0672bf12b903a88','node-1','source-b9091e573e75f7f369bd',2,'comparison','view-d344d014115ac49db0cc','[{"output":"output-1","text":"quotes \"'' two lines\nend, 漢字, 🦊"},{"output":"output-2","text":""}]','v2',5);
INSERT INTO "request" VALUES(3,'request-cce9630f1f492918bf72','node-2','source-b9091e573e75f7f369bd',0,'demonstration','view-2b9f4d5a86a3c99c8273','[]','v1',0);
CREATE TABLE scored (
	seq INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	output VARCHAR NOT NULL, 
	model VARCHAR NOT NULL, 
	rewards JSON NOT NULL, 
	acceptance JSON NOT NULL, 
	CONSTRAINT pk_scored PRIMARY KEY (seq), 
	CONSTRAINT uq_scored_id UNIQUE (id)
);
INSERT INTO "scored" VALUES(1,'scored-6cd32db93181cf8ba09f','output-1','fitted-1','[0.1,-2.5e-17,1e+300]','[0.25,0.3333333333333333,1.0]');
INSERT INTO "scored" VALUES(2,'scored-eed980bce67d8c52e211','o','m','[]','[]');
CREATE TABLE source (
	seq INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	title VARCHAR NOT NULL, 
	text VARCHAR NOT NULL, 
	breaks JSON NOT NULL, 
	skipped JSON NOT NULL, 
	CONSTRAINT pk_source PRIMARY KEY (seq), 
	CONSTRAINT uq_source_id UNIQUE (id)
);
INSERT INTO "source" VALUES(1,'source-b9091e573e75f7f369bd','A title','One. Two. Three.quotes "'' two lines
end, 漢字, 🦊','[5,10]','[[0,4],[12,14]]');
INSERT INTO "source" VALUES(2,'source-c0c2c43b17588b9a5859','','','[]','[]');
CREATE TABLE spent (
	seq INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	kind VARCHAR NOT NULL, 
	amount FLOAT NOT NULL, 
	CONSTRAINT pk_spent PRIMARY KEY (seq)
);
INSERT INTO "spent" VALUES(1,1.79563110748540830608e+09,'calls',2.5);
CREATE TABLE tree (
	seq INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	root VARCHAR NOT NULL, 
	source VARCHAR, 
	graph JSON NOT NULL, 
	CONSTRAINT pk_tree PRIMARY KEY (seq), 
	CONSTRAINT uq_tree_id UNIQUE (id)
);
INSERT INTO "tree" VALUES(1,'tree-056cbe67d21d53637e2d','node-8d767e62e27a84c95d89','source-b9091e573e75f7f369bd','{"root":"node-8d767e62e27a84c95d89","open":[],"refusals":[["node-521bd6d363e7119e0b67","too small"]],"nodes":[{"id":"node-8d767e62e27a84c95d89","index":0,"task":{"instruction":"Summarise.","source":"source-b9091e573e75f7f369bd","span":[0,16],"max_tokens":50,"context_tokens":7,"rank":16},"children":["node-521bd6d363e7119e0b67","node-c40a92c53571d12c9523"],"skipped":[[15,16]],"note":"quotes \"'' two lines\nend, 漢字, 🦊"},{"id":"node-521bd6d363e7119e0b67","index":0,"task":{"instruction":"Summarise.","source":"source-b9091e573e75f7f369bd","span":[0,8],"max_tokens":50,"context_tokens":7,"rank":8},"children":[],"skipped":[],"note":""},{"id":"node-c40a92c53571d12c9523","index":1,"task":{"instruction":"Summarise.","source":"source-b9091e573e75f7f369bd","span":[8,15],"max_tokens":50,"context_tokens":7,"rank":8},"children":[],"skipped":[],"note":""}],"context":[["node-521bd6d363e7119e0b67","node-c40a92c53571d12c9523"]]}');
INSERT INTO "tree" VALUES(2,'tree-ad612ecbb98de674a6bd','node-e444c84a95abbbcdd36b',NULL,'{"root":"node-e444c84a95abbbcdd36b","open":["node-e444c84a95abbbcdd36b"],"refusals":[],"nodes":[{"id":"node-e444c84a95abbbcdd36b","index":0,"task":{"instruction":"Add 2 and 3.","source":null,"span":null,"max_tokens":128,"context_tokens":0,"rank":2},"children":[],"skipped":[],"note":""}],"context":[]}');
CREATE TABLE "view" (
	seq INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	instruction VARCHAR NOT NULL, 
	passages JSON NOT NULL, 
	max_tokens INTEGER NOT NULL, 
	context VARCHAR NOT NULL, 
	CONSTRAINT pk_view PRIMARY KEY (seq), 
	CONSTRAINT uq_view_id UNIQUE (id)
);
INSERT INTO "view" VALUES(1,'view-d344d014115ac49db0cc','Judge this.','[{"text":"quotes \"'' two lines\nend, 漢字, 🦊","node":null,"output":null,"score":null},{"text":"below","node":"node-1","output":"output-1","score":0.30000000000000004}]',128,'before');
INSERT INTO "view" VALUES(2,'view-2b9f4d5a86a3c99c8273','','[]',0,'');
CREATE INDEX ix_action_step_level ON action (step, level);
CREATE INDEX ix_tree_root ON tree (root);
CREATE INDEX ix_output_node ON output (node);
CREATE INDEX ix_feedback_request ON feedback (request);
CREATE INDEX ix_scored_output ON scored (output);
CREATE INDEX ix_event_kind ON event (kind);
CREATE INDEX ix_spent_kind ON spent (kind);
CREATE TRIGGER action_no_update BEFORE UPDATE ON "action" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER action_no_delete BEFORE DELETE ON "action" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER link_no_update BEFORE UPDATE ON "link" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER link_no_delete BEFORE DELETE ON "link" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER source_no_update BEFORE UPDATE ON "source" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER source_no_delete BEFORE DELETE ON "source" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER tree_no_update BEFORE UPDATE ON "tree" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER tree_no_delete BEFORE DELETE ON "tree" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER view_no_update BEFORE UPDATE ON "view" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER view_no_delete BEFORE DELETE ON "view" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER output_no_update BEFORE UPDATE ON "output" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER output_no_delete BEFORE DELETE ON "output" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER request_no_update BEFORE UPDATE ON "request" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER request_no_delete BEFORE DELETE ON "request" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER feedback_no_update BEFORE UPDATE ON "feedback" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER feedback_no_delete BEFORE DELETE ON "feedback" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER failure_no_update BEFORE UPDATE ON "failure" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER failure_no_delete BEFORE DELETE ON "failure" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER fitted_no_update BEFORE UPDATE ON "fitted" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER fitted_no_delete BEFORE DELETE ON "fitted" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER scored_no_update BEFORE UPDATE ON "scored" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER scored_no_delete BEFORE DELETE ON "scored" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER event_no_update BEFORE UPDATE ON "event" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER event_no_delete BEFORE DELETE ON "event" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER spent_no_update BEFORE UPDATE ON "spent" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER spent_no_delete BEFORE DELETE ON "spent" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER meta_no_update BEFORE UPDATE ON "meta" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER meta_no_delete BEFORE DELETE ON "meta" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
COMMIT;
