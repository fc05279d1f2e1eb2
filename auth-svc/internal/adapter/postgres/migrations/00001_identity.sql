-- +goose Up
-- NULL is never, or none. Identifiers compare by their bytes, whatever the database's language is.

CREATE TABLE users (
    id                uuid           PRIMARY KEY,
    name              text           NOT NULL,
    email             text           NOT NULL,
    email_key         text           COLLATE "C" UNIQUE,
    phone             text           COLLATE "C" UNIQUE,
    username          text           NOT NULL,
    username_key      text           COLLATE "C" UNIQUE,
    password_hash     text           NOT NULL,
    hash_kind         text           COLLATE "C" NOT NULL, -- what the hash says of its own cost
    status            text           NOT NULL CHECK (status IN ('active', 'blocked')),
    permissions       text[]         NOT NULL,
    epoch             bigint         NOT NULL,
    version           bigint         NOT NULL,
    created_at        timestamptz(6) NOT NULL,
    updated_at        timestamptz(6) NOT NULL,
    last_login_at     timestamptz(6),
    email_verified_at timestamptz(6)
);
CREATE INDEX users_by_age ON users (created_at, id);
CREATE INDEX users_by_hash_kind ON users (hash_kind);

CREATE TABLE roles (
    name        text    COLLATE "C" PRIMARY KEY,
    permissions text[]  NOT NULL,
    built_in    boolean NOT NULL,
    epoch       bigint  NOT NULL
);

CREATE TABLE user_roles (
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role    text COLLATE "C" NOT NULL REFERENCES roles (name),
    PRIMARY KEY (user_id, role)
);
CREATE INDEX user_roles_by_role ON user_roles (role);

-- One row for each live session; ended ones have none. A refresh changes no indexed column, so that PostgreSQL can keep the
-- new row in the old one's page and leave the indexes alone: sweep_at is refresh_until rounded up to the hour, and pages have
-- room.
CREATE TABLE sessions (
    id            uuid           PRIMARY KEY,
    user_id       uuid           NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    device_name   text           NOT NULL,
    user_agent    text           NOT NULL,
    address       text           NOT NULL,
    created_at    timestamptz(6) NOT NULL,
    refreshed_at  timestamptz(6),
    refresh_until timestamptz(6) NOT NULL,
    access_until  timestamptz(6),
    generation    bigint         NOT NULL,
    secret_hash   bytea          NOT NULL,
    previous_hash bytea          NOT NULL,
    sealed        bytea          NOT NULL,
    sweep_at      timestamptz(6) NOT NULL,
    proved_at     timestamptz(6),
    proof         text           NOT NULL,
    policy        text           NOT NULL -- the SessionPolicy it follows; empty for the one of everybody
) WITH (fillfactor = 70);
CREATE INDEX sessions_by_user ON sessions (user_id, created_at, id);
CREATE INDEX sessions_by_sweep ON sessions (sweep_at);

CREATE TABLE api_keys (
    id           uuid           PRIMARY KEY,
    user_id      uuid           NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         text           NOT NULL,
    secret_hash  bytea          NOT NULL,
    permissions  text[]         NOT NULL,
    created_at   timestamptz(6) NOT NULL,
    expires_at   timestamptz(6),
    last_used_at timestamptz(6),
    access_until timestamptz(6)
);
CREATE INDEX api_keys_by_user ON api_keys (user_id, created_at, id);

CREATE TABLE signing_keys (
    id          text           COLLATE "C" PRIMARY KEY,
    algorithm   text           NOT NULL,
    public      bytea          NOT NULL,
    sealed      bytea          NOT NULL,
    state       text           NOT NULL CHECK (state IN ('next', 'current', 'retiring')),
    created_at  timestamptz(6) NOT NULL,
    activate_at timestamptz(6),
    gone_at     timestamptz(6)
);

-- The head is a row of its own, locked from an entry's number to its commit: numbers are in the order of commits, and none is
-- used twice. A sequence would promise neither.
CREATE TABLE revocations (
    seq         bigint         PRIMARY KEY,
    kind        text           NOT NULL CHECK (kind IN ('session', 'user_epoch', 'user_deleted', 'signing_key', 'api_key', 'role_epoch')),
    subject     text           NOT NULL,
    person      uuid, -- whose epoch it is
    at          timestamptz(6) NOT NULL,
    valid_until timestamptz(6) NOT NULL
);
CREATE INDEX revocations_by_until ON revocations (valid_until);
CREATE INDEX revocations_by_person ON revocations (person);
CREATE TABLE revocation_head (
    only_one boolean PRIMARY KEY CHECK (only_one),
    seq      bigint  NOT NULL
) WITH (fillfactor = 10);
INSERT INTO revocation_head (only_one, seq) VALUES (true, 0);

-- detail is text, not jsonb: the chain's hashes are of its bytes. What a row says of a person is sealed under that person's
-- key, and forgotten with it.
CREATE TABLE audit (
    seq       bigint         PRIMARY KEY,
    at        timestamptz(6) NOT NULL,
    actor     text           COLLATE "C" NOT NULL,
    action    text           COLLATE "C" NOT NULL,
    target    text           COLLATE "C" NOT NULL,
    detail    text           NOT NULL,
    subject   text           COLLATE "C" NOT NULL,
    sealed    bytea          NOT NULL,
    prev_hash bytea          NOT NULL,
    hash      bytea          NOT NULL
);
CREATE INDEX audit_by_actor ON audit (actor, seq);
CREATE INDEX audit_by_action ON audit (action, seq);
CREATE INDEX audit_by_target ON audit (target, seq);
CREATE INDEX audit_by_subject ON audit (subject, seq);

CREATE TABLE person_keys (
    user_id uuid  PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    secret  bytea NOT NULL
);

CREATE TABLE audit_checkpoints (
    seq       bigint         PRIMARY KEY,
    at        timestamptz(6) NOT NULL,
    hash      bytea          NOT NULL,
    key_id    text           NOT NULL,
    signature bytea          NOT NULL
);

CREATE TABLE bootstrap (
    only_one   boolean        PRIMARY KEY CHECK (only_one),
    token_hash bytea          NOT NULL,
    made_at    timestamptz(6) NOT NULL,
    spent_at   timestamptz(6)
);

-- How often something has happened: failed passwords, mails asked for. The key is a MAC, so that the row does not tell whose.
CREATE TABLE counters (
    key          bytea          PRIMARY KEY,
    count        bigint         NOT NULL,
    since        timestamptz(6),
    locked_until timestamptz(6),
    valid_until  timestamptz(6)
);
CREATE INDEX counters_by_until ON counters (valid_until);

-- What a person has come in from before.
CREATE TABLE devices (
    user_id uuid           NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    device  bytea          NOT NULL,
    seen_at timestamptz(6) NOT NULL,
    PRIMARY KEY (user_id, device)
);

-- At most one living token for each person and purpose.
CREATE TABLE mail_tokens (
    id         uuid           PRIMARY KEY,
    user_id    uuid           NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose    text           NOT NULL,
    email_key  text           NOT NULL,
    hash       bytea          NOT NULL,
    created_at timestamptz(6) NOT NULL,
    expires_at timestamptz(6) NOT NULL,
    UNIQUE (user_id, purpose)
);
CREATE INDEX mail_tokens_by_expiry ON mail_tokens (expires_at);

-- Mails to be sent. A request to recover an account has no person yet: looking for one is left to whoever sends.
CREATE TABLE outbox (
    id              uuid           PRIMARY KEY,
    user_id         uuid           REFERENCES users (id) ON DELETE CASCADE,
    kind            text           NOT NULL,
    recipient       text           NOT NULL,
    identifier_kind text           NOT NULL,
    identifier      text           NOT NULL,
    user_agent      text           NOT NULL,
    address         text           NOT NULL,
    created_at      timestamptz(6) NOT NULL,
    due_at          timestamptz(6) NOT NULL,
    tries           integer        NOT NULL
);
CREATE INDEX outbox_by_due ON outbox (due_at, id);
CREATE INDEX outbox_by_user ON outbox (user_id);
