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
INSERT INTO "alembic_version" VALUES('0004');
CREATE TABLE audit (
	seq INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	"by" VARCHAR NOT NULL, 
	what VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	old JSON NOT NULL, 
	new JSON NOT NULL, 
	guideline INTEGER NOT NULL, 
	CONSTRAINT pk_audit PRIMARY KEY (seq)
);
INSERT INTO "audit" VALUES(1,1000000.0,'system','add items','items','null','{"items":3,"levels":[0]}',0);
INSERT INTO "audit" VALUES(2,1000000.0,'test','add person','p-872d1270','null','{"role":"annotator","kind":"person","state":"practising"}',0);
INSERT INTO "audit" VALUES(3,1000000.0,'test','add person','p-3fb7eabd','null','{"role":"annotator","kind":"person","state":"practising"}',0);
INSERT INTO "audit" VALUES(4,1000000.0,'test','change guidelines','guidelines',0,1,1);
INSERT INTO "audit" VALUES(5,1000000.0,'test','change settings','settings','{"overlap":1}','{"overlap":2}',1);
INSERT INTO "audit" VALUES(6,1000005.0,'p-872d1270','answer','request-57d214a4208042e99372','null','{"answer":"given-ccea71ff4a14876aeaff1a09"}',1);
INSERT INTO "audit" VALUES(7,1000010.0,'p-3fb7eabd','answer','request-8a27f17f0b035d59ddfb','null','{"answer":"given-c79d679346d4ac7a5c3902b3"}',1);
INSERT INTO "audit" VALUES(8,1000015.0,'p-3fb7eabd','undo','request-8a27f17f0b035d59ddfb','"given-c79d679346d4ac7a5c3902b3"','"lease-1b2ed40ed3addccb2c33be0a"',1);
INSERT INTO "audit" VALUES(9,1000016.0,'p-3fb7eabd','answer','request-8a27f17f0b035d59ddfb','null','{"answer":"given-f165c8ce36e2f24b43000de0"}',1);
INSERT INTO "audit" VALUES(10,1000016.0,'p-872d1270','skip','request-8a27f17f0b035d59ddfb','null','{"reason":"not mine"}',1);
CREATE TABLE cache (
	table_name VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	value BLOB NOT NULL, 
	CONSTRAINT pk_cache PRIMARY KEY (table_name, "key")
);
INSERT INTO "cache" VALUES('calls','a',X'00FF');
CREATE TABLE draft (
	person VARCHAR NOT NULL, 
	item VARCHAR NOT NULL, 
	content JSON NOT NULL, 
	at FLOAT NOT NULL, 
	CONSTRAINT pk_draft PRIMARY KEY (person, item)
);
CREATE TABLE event (
	seq INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	kind VARCHAR NOT NULL, 
	data JSON NOT NULL, 
	CONSTRAINT pk_event PRIMARY KEY (seq)
);
INSERT INTO "event" VALUES(1,1.79564252517745614047e+09,'started','{"who":"x"}');
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
INSERT INTO "failure" VALUES(1,'failure-759c20dabe40da307db4','node-1','propose','AssistantError','NUL , quotes "''`, line
ends , 漢字, 🦊, é and é, {{ x }}, <b>, ''; DROP TABLE output; --');
INSERT INTO "failure" VALUES(2,'failure-81f46f6259a057e1d32b','node-1','propose','AssistantError','busy');
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
INSERT INTO "feedback" VALUES(9,'feedback-4f51c454f64344555337','request-8','Ann','correction','{"text":"NUL \u0000, quotes \"''`, line\r\nends , 漢字, 🦊, é and é, {{ x }}, <b>, ''; DROP TABLE output; --"}',0.8,NULL);
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
CREATE TABLE flag (
	seq INTEGER NOT NULL, 
	item VARCHAR NOT NULL, 
	person VARCHAR NOT NULL, 
	text VARCHAR NOT NULL, 
	at FLOAT NOT NULL, 
	CONSTRAINT pk_flag PRIMARY KEY (seq), 
	CONSTRAINT fk_flag_item_item FOREIGN KEY(item) REFERENCES item (id)
);
CREATE TABLE given (
	seq INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	lease VARCHAR, 
	item VARCHAR NOT NULL, 
	person VARCHAR NOT NULL, 
	answer_kind VARCHAR NOT NULL, 
	answer JSON NOT NULL, 
	"order" JSON NOT NULL, 
	guideline INTEGER NOT NULL, 
	shown VARCHAR NOT NULL, 
	at FLOAT NOT NULL, 
	seconds FLOAT, 
	wall_seconds FLOAT NOT NULL, 
	confidence FLOAT, 
	detail JSON NOT NULL, 
	purpose VARCHAR NOT NULL, 
	level INTEGER NOT NULL, 
	node VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	"right" BOOLEAN, 
	adjudication BOOLEAN NOT NULL, 
	attempt INTEGER NOT NULL, 
	CONSTRAINT pk_given PRIMARY KEY (seq), 
	CONSTRAINT uq_given_id UNIQUE (id), 
	CONSTRAINT uq_given_lease UNIQUE (lease), 
	CONSTRAINT uq_given_person_key UNIQUE (person, "key"), 
	CONSTRAINT fk_given_item_item FOREIGN KEY(item) REFERENCES item (id)
);
INSERT INTO "given" VALUES(1,'given-ccea71ff4a14876aeaff1a09','key of lease-8ca5996666ceab360512bd13','lease-8ca5996666ceab360512bd13','request-57d214a4208042e99372','p-872d1270','comparison','{"better":0,"strength":null}','[1,0]',1,'shown-fb9e484cf3ef83d96af8',1000005.0,2.0,0.0,NULL,'{}','work',0,'node-2','comparison',NULL,0,0);
INSERT INTO "given" VALUES(2,'given-c79d679346d4ac7a5c3902b3','key of lease-8963dc6e8534f45738d048ec','lease-8963dc6e8534f45738d048ec','request-8a27f17f0b035d59ddfb','p-3fb7eabd','comparison','{"better":0,"strength":null}','[1,0]',1,'shown-fb9e484cf3ef83d96af8',1000010.0,2.0,0.0,NULL,'{}','work',0,'node-1','comparison',NULL,0,0);
INSERT INTO "given" VALUES(3,'given-f165c8ce36e2f24b43000de0','again','lease-1b2ed40ed3addccb2c33be0a','request-8a27f17f0b035d59ddfb','p-3fb7eabd','comparison','{"better":0,"strength":null}','[1,0]',1,'shown-fb9e484cf3ef83d96af8',1000016.0,2.0,1.0,NULL,'{}','work',0,'node-1','comparison',NULL,0,0);
CREATE TABLE guideline (
	version INTEGER NOT NULL, 
	text VARCHAR NOT NULL, 
	at FLOAT NOT NULL, 
	"by" VARCHAR NOT NULL, 
	CONSTRAINT pk_guideline PRIMARY KEY (version)
);
INSERT INTO "guideline" VALUES(1,'Read **both**.',1000000.0,'test');
CREATE TABLE invitation (
	token VARCHAR NOT NULL, 
	person VARCHAR NOT NULL, 
	expires FLOAT NOT NULL, 
	used FLOAT, 
	CONSTRAINT pk_invitation PRIMARY KEY (token), 
	CONSTRAINT fk_invitation_person_person FOREIGN KEY(person) REFERENCES person (id)
);
CREATE TABLE item (
	seq INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	question VARCHAR NOT NULL, 
	purpose VARCHAR NOT NULL, 
	level INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	node VARCHAR NOT NULL, 
	wanted INTEGER NOT NULL, 
	taken INTEGER NOT NULL, 
	given INTEGER NOT NULL, 
	value FLOAT NOT NULL, 
	disagreement FLOAT NOT NULL, 
	shuffle FLOAT NOT NULL, 
	closed BOOLEAN NOT NULL, 
	settled BOOLEAN NOT NULL, 
	changed FLOAT NOT NULL, 
	expected JSON NOT NULL, 
	explanation VARCHAR NOT NULL, 
	CONSTRAINT pk_item PRIMARY KEY (seq), 
	CONSTRAINT uq_item_id UNIQUE (id), 
	CONSTRAINT ck_item_room CHECK (purpose <> 'work' OR (0 <= given AND given <= taken AND taken <= wanted)), 
	CONSTRAINT fk_item_id_request FOREIGN KEY(id) REFERENCES request (id)
);
INSERT INTO "item" VALUES(1,'request-8a27f17f0b035d59ddfb','request-8a27f17f0b035d59ddfb','work',0,'comparison','node-1',2,1,1,0.0,0.0,2.36048089737434518831e-01,0,0,1000016.0,'null','');
INSERT INTO "item" VALUES(2,'request-57d214a4208042e99372','request-57d214a4208042e99372','work',0,'comparison','node-2',2,1,1,0.0,0.0,1.0316603423071579737e-01,0,0,1000005.0,'null','');
INSERT INTO "item" VALUES(3,'request-a58028b01c8228b36506','request-a58028b01c8228b36506','gold',0,'comparison','node-3',1,0,0,0.0,0.0,0.396058242610681,0,0,0.0,'{"kind":"comparison","of":{"better":0,"strength":null}}','see?');
CREATE TABLE lease (
	id VARCHAR NOT NULL, 
	item VARCHAR NOT NULL, 
	question VARCHAR NOT NULL, 
	person VARCHAR NOT NULL, 
	purpose VARCHAR NOT NULL, 
	attempt INTEGER NOT NULL, 
	"order" JSON NOT NULL, 
	guideline INTEGER NOT NULL, 
	points INTEGER NOT NULL, 
	shown VARCHAR NOT NULL, 
	at FLOAT NOT NULL, 
	expires FLOAT NOT NULL, 
	state VARCHAR NOT NULL, 
	CONSTRAINT pk_lease PRIMARY KEY (id), 
	CONSTRAINT fk_lease_item_item FOREIGN KEY(item) REFERENCES item (id)
);
INSERT INTO "lease" VALUES('lease-8ca5996666ceab360512bd13','request-57d214a4208042e99372','request-57d214a4208042e99372','p-872d1270','work',0,'[1,0]',1,7,'shown-fb9e484cf3ef83d96af8',1000005.0,1000905.0,'answered');
INSERT INTO "lease" VALUES('lease-8963dc6e8534f45738d048ec','request-8a27f17f0b035d59ddfb','request-8a27f17f0b035d59ddfb','p-3fb7eabd','work',0,'[1,0]',1,7,'shown-fb9e484cf3ef83d96af8',1000010.0,1000910.0,'undone');
INSERT INTO "lease" VALUES('lease-1b2ed40ed3addccb2c33be0a','request-8a27f17f0b035d59ddfb','request-8a27f17f0b035d59ddfb','p-3fb7eabd','work',0,'[1,0]',1,7,'shown-fb9e484cf3ef83d96af8',1000015.0,1000915.0,'answered');
INSERT INTO "lease" VALUES('lease-3184ff27459142deccea2645','request-8a27f17f0b035d59ddfb','request-8a27f17f0b035d59ddfb','p-872d1270','work',0,'[0,1]',1,7,'shown-6e592cf7f3908b63e0b0',1000016.0,1000916.0,'skipped');
CREATE TABLE level (
	level INTEGER NOT NULL, 
	frozen FLOAT, 
	taken_up FLOAT, 
	CONSTRAINT pk_level PRIMARY KEY (level)
);
CREATE TABLE link (
	action INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	value VARCHAR NOT NULL, 
	CONSTRAINT pk_link PRIMARY KEY (action, position), 
	CONSTRAINT fk_link_action_action FOREIGN KEY(action) REFERENCES action (seq)
);
INSERT INTO "link" VALUES(1,0,'output','output-6f08d0a31113ebac7ff1');
INSERT INTO "link" VALUES(1,1,'output','output-69ca95468c16bdd3b077');
INSERT INTO "link" VALUES(2,0,'failure','failure-81f46f6259a057e1d32b');
CREATE TABLE meta (
	name VARCHAR NOT NULL, 
	value JSON NOT NULL, 
	CONSTRAINT pk_meta PRIMARY KEY (name)
);
INSERT INTO "meta" VALUES('run','{"seed":3}');
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
INSERT INTO "output" VALUES(1,'output-72688a745c35b26afd07','node-1','NUL , quotes "''`, line
ends , 漢字, 🦊, é and é, {{ x }}, <b>, ''; DROP TABLE output; --','extractive',9223372036854775807,'["output-8","output-9"]','["output-7"]',-4.94065645841247e-324,1);
INSERT INTO "output" VALUES(2,'output-ffa1abf59e0bf9032dfe','node-2','','extractive',0,'[]','[]',-1.79769313486231562234e+308,0);
INSERT INTO "output" VALUES(3,'output-6da246094fd46f489329','node-3','x','extractive',-1,'[]','[]',NULL,0);
INSERT INTO "output" VALUES(4,'output-6f08d0a31113ebac7ff1','node-1','text 1','test',1,'[]','[]',NULL,0);
INSERT INTO "output" VALUES(5,'output-69ca95468c16bdd3b077','node-2','text 2','test',2,'[]','[]',NULL,0);
CREATE TABLE panel (
	id VARCHAR NOT NULL, 
	token VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	places INTEGER NOT NULL, 
	joined INTEGER NOT NULL, 
	expires FLOAT NOT NULL, 
	CONSTRAINT pk_panel PRIMARY KEY (id), 
	CONSTRAINT uq_panel_token UNIQUE (token)
);
CREATE TABLE person (
	id VARCHAR NOT NULL, 
	name VARCHAR, 
	role VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	participant VARCHAR, 
	password VARCHAR, 
	created FLOAT NOT NULL, 
	CONSTRAINT pk_person PRIMARY KEY (id), 
	CONSTRAINT uq_person_name UNIQUE (name), 
	CONSTRAINT uq_person_participant UNIQUE (participant)
);
INSERT INTO "person" VALUES('p-872d1270','Rater 0','annotator','person','practising',NULL,NULL,1000000.0);
INSERT INTO "person" VALUES('p-3fb7eabd','Rater 1','annotator','person','practising',NULL,NULL,1000000.0);
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
INSERT INTO "request" VALUES(1,'request-08a5a5ff0193df373261','node-1','source-c2e034fa78403d40e36f',2,'comparison','view-5582c55e869818fff2fd','[{"output":"output-1","text":"NUL \u0000, quotes \"''`, line\r\nends , 漢字, 🦊, é and é, {{ x }}, <b>, ''; DROP TABLE output; --"},{"output":"output-2","text":""}]','v2',4);
INSERT INTO "request" VALUES(2,'request-8978193d2e96ed34d6d8','node-1','source-c2e034fa78403d40e36f',2,'comparison','view-5582c55e869818fff2fd','[{"output":"output-1","text":"NUL \u0000, quotes \"''`, line\r\nends , 漢字, 🦊, é and é, {{ x }}, <b>, ''; DROP TABLE output; --"},{"output":"output-2","text":""}]','v2',5);
INSERT INTO "request" VALUES(3,'request-cce9630f1f492918bf72','node-2','source-c2e034fa78403d40e36f',0,'demonstration','view-2b9f4d5a86a3c99c8273','[]','v1',0);
INSERT INTO "request" VALUES(4,'request-8a27f17f0b035d59ddfb','node-1','source-1',0,'comparison','view-9e12abef3137b184bb89','[{"output":"output-1-0","text":"A"},{"output":"output-1-1","text":"B"}]','v1',0);
INSERT INTO "request" VALUES(5,'request-57d214a4208042e99372','node-2','source-1',0,'comparison','view-9e12abef3137b184bb89','[{"output":"output-2-0","text":"A"},{"output":"output-2-1","text":"B"}]','v1',0);
INSERT INTO "request" VALUES(6,'request-a58028b01c8228b36506','node-3','source-1',0,'comparison','view-9e12abef3137b184bb89','[{"output":"output-3-0","text":"A"},{"output":"output-3-1","text":"B"}]','v1',0);
CREATE TABLE retraction (
	seq INTEGER NOT NULL, 
	given VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	at FLOAT NOT NULL, 
	"by" VARCHAR NOT NULL, 
	CONSTRAINT pk_retraction PRIMARY KEY (seq), 
	CONSTRAINT uq_retraction_given UNIQUE (given), 
	CONSTRAINT fk_retraction_given_given FOREIGN KEY(given) REFERENCES given (id)
);
INSERT INTO "retraction" VALUES(1,'given-c79d679346d4ac7a5c3902b3','undone',1000015.0,'p-3fb7eabd');
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
CREATE TABLE session (
	token VARCHAR NOT NULL, 
	person VARCHAR NOT NULL, 
	created FLOAT NOT NULL, 
	seen FLOAT NOT NULL, 
	CONSTRAINT pk_session PRIMARY KEY (token), 
	CONSTRAINT fk_session_person_person FOREIGN KEY(person) REFERENCES person (id)
);
CREATE TABLE setting (
	name VARCHAR NOT NULL, 
	value JSON NOT NULL, 
	CONSTRAINT pk_setting PRIMARY KEY (name)
);
INSERT INTO "setting" VALUES('overlap',2);
CREATE TABLE skip (
	seq INTEGER NOT NULL, 
	"key" VARCHAR NOT NULL, 
	lease VARCHAR NOT NULL, 
	item VARCHAR NOT NULL, 
	person VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	at FLOAT NOT NULL, 
	level INTEGER NOT NULL, 
	CONSTRAINT pk_skip PRIMARY KEY (seq), 
	CONSTRAINT uq_skip_person_key UNIQUE (person, "key"), 
	CONSTRAINT uq_skip_lease UNIQUE (lease), 
	CONSTRAINT fk_skip_item_item FOREIGN KEY(item) REFERENCES item (id)
);
INSERT INTO "skip" VALUES(1,'k','lease-3184ff27459142deccea2645','request-8a27f17f0b035d59ddfb','p-872d1270','not mine',1000016.0,0);
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
INSERT INTO "source" VALUES(1,'source-c2e034fa78403d40e36f','A title','One. Two. Three.NUL , quotes "''`, line
ends , 漢字, 🦊, é and é, {{ x }}, <b>, ''; DROP TABLE output; --','[5,10]','[[0,4],[12,14]]');
INSERT INTO "source" VALUES(2,'source-c0c2c43b17588b9a5859','','','[]','[]');
CREATE TABLE spent (
	seq INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	kind VARCHAR NOT NULL, 
	amount FLOAT NOT NULL, 
	CONSTRAINT pk_spent PRIMARY KEY (seq)
);
INSERT INTO "spent" VALUES(1,1.79564252516549015042e+09,'calls',3.0);
INSERT INTO "spent" VALUES(2,1.79564252516549015042e+09,'seconds',1.25);
CREATE TABLE tree (
	seq INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	root VARCHAR NOT NULL, 
	source VARCHAR, 
	graph JSON NOT NULL, 
	CONSTRAINT pk_tree PRIMARY KEY (seq), 
	CONSTRAINT uq_tree_id UNIQUE (id)
);
INSERT INTO "tree" VALUES(1,'tree-9d19fe239e055aae6407','node-d5eb6e0905443fa24688','source-c2e034fa78403d40e36f','{"root":"node-d5eb6e0905443fa24688","open":[],"refusals":[["node-45f5c9822d0682131ad1","too small"]],"nodes":[{"id":"node-d5eb6e0905443fa24688","index":0,"task":{"instruction":"Summarise.","source":"source-c2e034fa78403d40e36f","span":[0,16],"max_tokens":50,"context_tokens":7,"rank":16},"children":["node-45f5c9822d0682131ad1","node-e15c398b618ad431483a"],"skipped":[[15,16]],"note":"NUL \u0000, quotes \"''`, line\r\nends , 漢字, 🦊, é and é, {{ x }}, <b>, ''; DROP TABLE output; --"},{"id":"node-45f5c9822d0682131ad1","index":0,"task":{"instruction":"Summarise.","source":"source-c2e034fa78403d40e36f","span":[0,8],"max_tokens":50,"context_tokens":7,"rank":8},"children":[],"skipped":[],"note":""},{"id":"node-e15c398b618ad431483a","index":1,"task":{"instruction":"Summarise.","source":"source-c2e034fa78403d40e36f","span":[8,15],"max_tokens":50,"context_tokens":7,"rank":8},"children":[],"skipped":[],"note":""}],"context":[["node-45f5c9822d0682131ad1","node-e15c398b618ad431483a"]]}');
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
INSERT INTO "view" VALUES(1,'view-5582c55e869818fff2fd','Judge this.','[{"text":"NUL \u0000, quotes \"''`, line\r\nends , 漢字, 🦊, é and é, {{ x }}, <b>, ''; DROP TABLE output; --","node":null,"output":null,"score":null},{"text":"below","node":"node-1","output":"output-1","score":0.30000000000000004}]',128,'before');
INSERT INTO "view" VALUES(2,'view-51729f4f92c746e350be','','[]',9223372036854775807,'');
INSERT INTO "view" VALUES(3,'view-2b9f4d5a86a3c99c8273','','[]',0,'');
INSERT INTO "view" VALUES(4,'view-9e12abef3137b184bb89','Judge how well it sums up.','[{"text":"The source.","node":null,"output":null,"score":null}]',100,'');
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
CREATE INDEX ix_request_node ON request (node);
CREATE INDEX ix_item_valuable ON item (value, shuffle) WHERE purpose = 'work' AND taken < wanted AND NOT closed;
CREATE INDEX ix_item_least_done ON item (taken, shuffle) WHERE purpose = 'work' AND taken < wanted AND NOT closed;
CREATE INDEX ix_item_disagreement ON item (disagreement, shuffle) WHERE purpose = 'work' AND taken < wanted AND NOT closed;
CREATE INDEX ix_item_check ON item (purpose) WHERE purpose <> 'work';
CREATE INDEX ix_item_level ON item (level, kind);
CREATE INDEX ix_item_question ON item (question);
CREATE UNIQUE INDEX uq_lease_question ON lease (question, person, attempt) WHERE state NOT IN ('expired', 'undone');
CREATE UNIQUE INDEX uq_lease_held ON lease (person) WHERE state = 'live';
CREATE INDEX ix_lease_expires ON lease (expires) WHERE state = 'live';
CREATE INDEX ix_lease_person ON lease (person, item);
CREATE INDEX ix_lease_item ON lease (item) WHERE state = 'live';
CREATE INDEX ix_given_item ON given (item);
CREATE INDEX ix_given_person ON given (person, seq);
CREATE INDEX ix_given_level ON given (level, seq);
CREATE TRIGGER given_no_update BEFORE UPDATE ON "given" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER given_no_delete BEFORE DELETE ON "given" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER retraction_no_update BEFORE UPDATE ON "retraction" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER retraction_no_delete BEFORE DELETE ON "retraction" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER skip_no_update BEFORE UPDATE ON "skip" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER skip_no_delete BEFORE DELETE ON "skip" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER flag_no_update BEFORE UPDATE ON "flag" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER flag_no_delete BEFORE DELETE ON "flag" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE INDEX ix_invitation_person ON invitation (person);
CREATE INDEX ix_session_person ON session (person);
CREATE TRIGGER guideline_no_update BEFORE UPDATE ON "guideline" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER guideline_no_delete BEFORE DELETE ON "guideline" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON "audit" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON "audit" BEGIN SELECT RAISE(ABORT, 'append-only'); END;
COMMIT;
