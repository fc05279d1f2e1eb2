-- +goose Up
-- Second factors: an app that makes codes, whose secret is sealed for its row and whose last_step is the newest time step a
-- code was taken of; or a passkey.
CREATE TABLE factors (
    id              uuid           PRIMARY KEY,
    user_id         uuid           NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind            text           NOT NULL,
    name            text           NOT NULL,
    sealed          bytea          NOT NULL,
    created_at      timestamptz(6) NOT NULL,
    confirmed_at    timestamptz(6),
    last_step       bigint         NOT NULL,
    credential_id   bytea          UNIQUE, -- NULL for an app, and while a passkey is not confirmed
    public_key      bytea,
    sign_count      bigint         NOT NULL DEFAULT 0,
    backup_eligible boolean        NOT NULL DEFAULT false,
    transports      text[]         NOT NULL DEFAULT '{}',
    used_at         timestamptz(6)
);
CREATE INDEX factors_by_user ON factors (user_id, created_at, id);

-- Challenges that were answered well: none is good twice. Those never answered have no row.
CREATE TABLE spent_passkey_challenges (
    nonce      bytea          PRIMARY KEY,
    expires_at timestamptz(6) NOT NULL
);
CREATE INDEX spent_passkey_challenges_by_expiry ON spent_passkey_challenges (expires_at);

-- A used code has no row.
CREATE TABLE recovery_codes (
    user_id uuid  NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash    bytea NOT NULL,
    PRIMARY KEY (user_id, hash)
);

-- Logins whose password was right and whose second factor is still to be shown.
CREATE TABLE login_challenges (
    id          uuid           PRIMARY KEY,
    user_id     uuid           NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash        bytea          NOT NULL,
    proved      bytea          NOT NULL,
    device_name text           NOT NULL,
    attempts    integer        NOT NULL,
    created_at  timestamptz(6) NOT NULL,
    expires_at  timestamptz(6) NOT NULL
);
CREATE INDEX login_challenges_by_user ON login_challenges (user_id, created_at, id);
CREATE INDEX login_challenges_by_expiry ON login_challenges (expires_at);

-- Who people are at identity providers: nobody there is two people here, and nobody here is two people there.
CREATE TABLE external_identities (
    id           uuid           PRIMARY KEY,
    user_id      uuid           NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    provider     text           NOT NULL,
    issuer       text           COLLATE "C" NOT NULL,
    subject      text           COLLATE "C" NOT NULL,
    email        text           NOT NULL,
    created_at   timestamptz(6) NOT NULL,
    last_used_at timestamptz(6),
    UNIQUE (issuer, subject),
    UNIQUE (user_id, issuer)
);

-- Sign-ins on their way through a browser. What they are about is sealed; a used one has no row.
CREATE TABLE sign_in_handoffs (
    id         uuid           PRIMARY KEY,
    kind       text           NOT NULL,
    hash       bytea          NOT NULL,
    sealed     bytea          NOT NULL,
    created_at timestamptz(6) NOT NULL,
    expires_at timestamptz(6) NOT NULL
);
CREATE INDEX sign_in_handoffs_by_expiry ON sign_in_handoffs (expires_at);
CREATE INDEX sign_in_handoffs_by_kind ON sign_in_handoffs (kind);

-- Who somebody was in the system they came from.
CREATE TABLE foreign_ids (
    source     text COLLATE "C" NOT NULL,
    foreign_id text COLLATE "C" NOT NULL,
    user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (source, foreign_id)
);
CREATE INDEX foreign_ids_by_user ON foreign_ids (user_id);

-- How far the import from each source has come: so many lines and bytes, whose SHA-256 is digest.
CREATE TABLE imports (
    source       text           COLLATE "C" PRIMARY KEY,
    version      bigint         NOT NULL,
    lines        bigint         NOT NULL,
    bytes        bigint         NOT NULL,
    digest       bytea          NOT NULL,
    created      bigint         NOT NULL,
    present      bigint         NOT NULL,
    skipped      bigint         NOT NULL,
    refused      bigint         NOT NULL,
    last_refused bytea          NOT NULL,
    updated_at   timestamptz(6) NOT NULL
);
