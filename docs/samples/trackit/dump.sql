PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE users (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  username TEXT UNIQUE NOT NULL,
  email TEXT NOT NULL,
  password TEXT NOT NULL
);
INSERT INTO users VALUES(1,'johndoe','john@example.com','$2b$10$FDLuYi9MxjGzO77tCtzzhuWZMNPrEuTdQS/tPu8bTEGSPIop/fm92');
INSERT INTO users VALUES(2,'mary','mary@example.com','$2b$10$JX4nANYhXkiZtQGDTmx6IOjmiUtg/qcAsi5N651PoPl6kt0oMNzWy');
INSERT INTO users VALUES(3,'twin','john@example.com','$2b$10$JX4nANYhXkiZtQGDTmx6IOjmiUtg/qcAsi5N651PoPl6kt0oMNzWy');
CREATE TABLE sessions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER NOT NULL,
  device_id TEXT NOT NULL,
  access_token TEXT NOT NULL,
  refresh_token TEXT NOT NULL,
  access_token_expires_at TEXT NOT NULL,
  refresh_token_expires_at TEXT NOT NULL,
  created_at TEXT NOT NULL DEFAULT (datetime('now')),
  last_refresh_at TEXT,
  refresh_count INTEGER DEFAULT 0,
  FOREIGN KEY (user_id) REFERENCES users(id),
  UNIQUE(user_id, device_id)
);
INSERT INTO sessions VALUES(1,1,'d1','eyJ-it-was','a1b2c3d4e5f6','2024-03-27','2025-03-20','2024-03-20 10:00:00',NULL,0);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('users',3);
INSERT INTO sqlite_sequence VALUES('sessions',1);
COMMIT;
