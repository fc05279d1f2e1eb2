package admit

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"cloakroom.dev/libs/api/v1alpha1"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// rule is a CEL rule with one spec it accepts and one it refuses. Where old is set, the specs are updates of it.
type rule struct {
	kind   string
	field  string // where the refusal is told
	says   string
	accept string
	refuse string
	old    string
}

func route(rule string) string {
	base := map[string]string{"auth": "{anonymous: {reason: for the test}}", "backends": "[{name: auth}]"}
	var b strings.Builder
	for key, value := range base {
		if !strings.Contains(rule, key+":") {
			fmt.Fprintf(&b, "%s: %s, ", key, value)
		}
	}
	return "rules: [{" + b.String() + rule + "}]"
}

func provider(name, issuer, more string) string {
	return fmt.Sprintf("{name: %s, displayName: A, issuer: '%s', clientID: c, returnURLs: ['https://x.example/']%s}", name, issuer, more)
}

var rules = []rule{
	// GatewayConfig
	{kind: "GatewayConfig", field: "spec.trustedProxies", says: "exactly one of cidrs, hops, none is needed",
		accept: "trustedProxies: {hops: 1}", refuse: "trustedProxies: {hops: 1, none: {}}"},
	{kind: "GatewayConfig", field: "spec.trustedProxies.cidrs[0]", says: "not a network like 10.0.0.0/8 or fd00::/8",
		accept: "trustedProxies: {cidrs: [10.0.0.0/8, 'fd00::/8']}", refuse: "trustedProxies: {cidrs: [10.0.0.1]}"},
	{kind: "GatewayConfig", field: "spec.limits.maxHeaderBytes", says: "between 4Ki and 1Mi",
		accept: "{trustedProxies: {none: {}}, limits: {maxHeaderBytes: 1Mi}}",
		refuse: "{trustedProxies: {none: {}}, limits: {maxHeaderBytes: 2Mi}}"},
	{kind: "GatewayConfig", field: "spec.limits.readHeaderTimeout", says: "between 100ms and 60s",
		accept: "{trustedProxies: {none: {}}, limits: {readHeaderTimeout: 1m}}",
		refuse: "{trustedProxies: {none: {}}, limits: {readHeaderTimeout: 0s}}"},
	{kind: "GatewayConfig", field: "spec.limits.idleTimeout", says: "between 100ms and 1h",
		accept: "{trustedProxies: {none: {}}, limits: {idleTimeout: 1h}}",
		refuse: "{trustedProxies: {none: {}}, limits: {idleTimeout: 0s}}"},
	{kind: "GatewayConfig", field: "spec.upstreams.auth.pool.dialTimeout", says: "between 100ms and 60s",
		accept: `{trustedProxies: {none: {}}, upstreams: {auth: {url: "http://a:1", internalURL: "http://b:2", pool: {dialTimeout: 100ms}}}}`,
		refuse: `{trustedProxies: {none: {}}, upstreams: {auth: {url: "http://a:1", internalURL: "http://b:2", pool: {dialTimeout: 99ms}}}}`},
	{kind: "GatewayConfig", field: "spec.upstreams.auth.pool.idleTimeout", says: "between 100ms and 1h",
		accept: `{trustedProxies: {none: {}}, upstreams: {auth: {url: "http://a:1", internalURL: "http://b:2", pool: {idleTimeout: 1s}}}}`,
		refuse: `{trustedProxies: {none: {}}, upstreams: {auth: {url: "http://a:1", internalURL: "http://b:2", pool: {idleTimeout: 0s}}}}`},
	{kind: "GatewayConfig", field: "spec.upstreams.files.pool.dialTimeout", says: "between 100ms and 60s",
		accept: `{trustedProxies: {none: {}}, upstreams: {files: {url: "http://a:1", pool: {dialTimeout: 100ms}}}}`,
		refuse: `{trustedProxies: {none: {}}, upstreams: {files: {url: "http://a:1", pool: {dialTimeout: 99ms}}}}`},
	{kind: "GatewayConfig", field: "spec.upstreams.files.pool.idleTimeout", says: "between 100ms and 1h",
		accept: `{trustedProxies: {none: {}}, upstreams: {files: {url: "http://a:1", pool: {idleTimeout: 1s}}}}`,
		refuse: `{trustedProxies: {none: {}}, upstreams: {files: {url: "http://a:1", pool: {idleTimeout: 0s}}}}`},
	{kind: "GatewayConfig", field: "spec.limits.store", says: "exactly one store is needed: memory or redis",
		accept: "{trustedProxies: {none: {}}, limits: {store: {memory: {}}}}",
		refuse: "{trustedProxies: {none: {}}, limits: {store: {memory: {}, redis: {addresses: ['r:6379']}}}}"},
	{kind: "GatewayConfig", field: "spec.limits.store", says: "exactly one store is needed: memory or redis",
		accept: "{trustedProxies: {none: {}}, limits: {store: {redis: {addresses: ['r:6379']}}}}",
		refuse: "{trustedProxies: {none: {}}, limits: {store: {}}}"},
	{kind: "GatewayConfig", field: "spec.limits.store.redis", says: "username without password",
		accept: "{trustedProxies: {none: {}}, limits: {store: {redis: {addresses: ['r:6379'], username: {env: U}, password: {env: P}}}}}",
		refuse: "{trustedProxies: {none: {}}, limits: {store: {redis: {addresses: ['r:6379'], username: {env: U}}}}}"},
	{kind: "GatewayConfig", field: "spec.limits.store.redis", says: "a cluster has database 0 only",
		accept: "{trustedProxies: {none: {}}, limits: {store: {redis: {addresses: ['r:6379'], database: 3}}}}",
		refuse: "{trustedProxies: {none: {}}, limits: {store: {redis: {addresses: ['r:6379', 's:6379'], database: 3}}}}"},
	{kind: "GatewayConfig", field: "spec.limits.store.redis.addresses[0]", says: "a host is needed",
		accept: "{trustedProxies: {none: {}}, limits: {store: {redis: {addresses: ['[::1]:6379']}}}}",
		refuse: "{trustedProxies: {none: {}}, limits: {store: {redis: {addresses: [':6379']}}}}"},
	{kind: "GatewayConfig", field: "spec.limits.store.redis.timeout", says: "between 1ms and 1s",
		accept: "{trustedProxies: {none: {}}, limits: {store: {redis: {addresses: ['r:6379'], timeout: 1ms}}}}",
		refuse: "{trustedProxies: {none: {}}, limits: {store: {redis: {addresses: ['r:6379'], timeout: 2s}}}}"},
	{kind: "GatewayConfig", field: "spec.limits.store.redis.password", says: "exactly one of file, env is needed",
		accept: "{trustedProxies: {none: {}}, limits: {store: {redis: {addresses: ['r:6379'], password: {file: p}}}}}",
		refuse: "{trustedProxies: {none: {}}, limits: {store: {redis: {addresses: ['r:6379'], password: {}}}}}"},
	{kind: "GatewayConfig", field: "spec.limits.store.redis.username", says: "exactly one of file, env is needed",
		accept: "{trustedProxies: {none: {}}, limits: {store: {redis: {addresses: ['r:6379'], username: {file: u}, password: {file: p}}}}}",
		refuse: "{trustedProxies: {none: {}}, limits: {store: {redis: {addresses: ['r:6379'], username: {}, password: {file: p}}}}}"},
	{kind: "GatewayConfig", field: "spec.upstreams.auth", says: "exactly one of url, urls is needed",
		accept: `{trustedProxies: {none: {}}, upstreams: {auth: {urls: ["http://a:1", "http://b:1"], internalURL: "http://b:2"}}}`,
		refuse: `{trustedProxies: {none: {}}, upstreams: {auth: {url: "http://a:1", urls: ["http://b:1"], internalURL: "http://b:2"}}}`},
	{kind: "GatewayConfig", field: "spec.upstreams.auth", says: "exactly one of internalURL, internalURLs is needed",
		accept: `{trustedProxies: {none: {}}, upstreams: {auth: {url: "http://a:1", internalURLs: ["http://a:2", "http://b:2"]}}}`,
		refuse: `{trustedProxies: {none: {}}, upstreams: {auth: {url: "http://a:1"}}}`},
	{kind: "GatewayConfig", field: "spec.upstreams.auth.health.interval", says: "0s, or between 100ms and 60s",
		accept: `{trustedProxies: {none: {}}, upstreams: {auth: {url: "http://a:1", internalURL: "http://b:2", health: {interval: 0s}}}}`,
		refuse: `{trustedProxies: {none: {}}, upstreams: {auth: {url: "http://a:1", internalURL: "http://b:2", health: {interval: 50ms}}}}`},
	{kind: "GatewayConfig", field: "spec.upstreams.auth.health.timeout", says: "between 50ms and 60s",
		accept: `{trustedProxies: {none: {}}, upstreams: {auth: {url: "http://a:1", internalURL: "http://b:2", health: {timeout: 50ms}}}}`,
		refuse: `{trustedProxies: {none: {}}, upstreams: {auth: {url: "http://a:1", internalURL: "http://b:2", health: {timeout: 61s}}}}`},
	{kind: "GatewayConfig", field: "spec.upstreams.auth.ejection.time", says: "between 100ms and 1h",
		accept: `{trustedProxies: {none: {}}, upstreams: {auth: {url: "http://a:1", internalURL: "http://b:2", ejection: {time: 1h}}}}`,
		refuse: `{trustedProxies: {none: {}}, upstreams: {auth: {url: "http://a:1", internalURL: "http://b:2", ejection: {time: 99ms}}}}`},
	{kind: "GatewayConfig", field: "spec.upstreams.auth.ejection.maxTime", says: "between 100ms and 24h",
		accept: `{trustedProxies: {none: {}}, upstreams: {auth: {url: "http://a:1", internalURL: "http://b:2", ejection: {maxTime: 24h}}}}`,
		refuse: `{trustedProxies: {none: {}}, upstreams: {auth: {url: "http://a:1", internalURL: "http://b:2", ejection: {maxTime: 0s}}}}`},
	{kind: "GatewayConfig", field: "spec.upstreams.files", says: "exactly one of url, urls is needed",
		accept: `{trustedProxies: {none: {}}, upstreams: {files: {urls: ["http://a:1", "http://b:1"]}}}`,
		refuse: `{trustedProxies: {none: {}}, upstreams: {files: {url: "http://a:1", urls: ["http://b:1"]}}}`},
	{kind: "GatewayConfig", field: "spec.upstreams.files.health.interval", says: "0s, or between 100ms and 60s",
		accept: `{trustedProxies: {none: {}}, upstreams: {files: {url: "http://a:1", health: {interval: 0s}}}}`,
		refuse: `{trustedProxies: {none: {}}, upstreams: {files: {url: "http://a:1", health: {interval: 50ms}}}}`},
	{kind: "GatewayConfig", field: "spec.upstreams.files.health.timeout", says: "between 50ms and 60s",
		accept: `{trustedProxies: {none: {}}, upstreams: {files: {url: "http://a:1", health: {timeout: 50ms}}}}`,
		refuse: `{trustedProxies: {none: {}}, upstreams: {files: {url: "http://a:1", health: {timeout: 61s}}}}`},
	{kind: "GatewayConfig", field: "spec.upstreams.files.ejection.time", says: "between 100ms and 1h",
		accept: `{trustedProxies: {none: {}}, upstreams: {files: {url: "http://a:1", ejection: {time: 1h}}}}`,
		refuse: `{trustedProxies: {none: {}}, upstreams: {files: {url: "http://a:1", ejection: {time: 99ms}}}}`},
	{kind: "GatewayConfig", field: "spec.upstreams.files.ejection.maxTime", says: "between 100ms and 24h",
		accept: `{trustedProxies: {none: {}}, upstreams: {files: {url: "http://a:1", ejection: {maxTime: 24h}}}}`,
		refuse: `{trustedProxies: {none: {}}, upstreams: {files: {url: "http://a:1", ejection: {maxTime: 0s}}}}`},

	// AuthConfig
	{kind: "AuthConfig", field: "spec.store", says: "exactly one store is needed: sqlite or postgres",
		accept: "store: {sqlite: {path: a.db}}", refuse: "store: {}"},
	{kind: "AuthConfig", field: "spec.store", says: "exactly one store is needed: sqlite or postgres",
		accept: "store: {postgres: {dsn: {env: DSN}}}", refuse: "store: {sqlite: {path: a.db}, postgres: {dsn: {env: DSN}}}"},
	{kind: "AuthConfig", field: "spec.store", says: "the store can't change", old: "store: {postgres: {dsn: {env: DSN}}}",
		accept: "store: {postgres: {dsn: {env: OTHER}, maxConnections: 5}}", refuse: "store: {sqlite: {path: a.db}}"},
	{kind: "AuthConfig", field: "spec.store.postgres.dsn", says: "exactly one of file, env is needed",
		accept: "store: {postgres: {dsn: {file: dsn}}}", refuse: "store: {postgres: {dsn: {}}}"},
	{kind: "AuthConfig", field: "spec.store.postgres.statementTimeout", says: "between 100ms and 60s",
		accept: "store: {postgres: {dsn: {env: DSN}, statementTimeout: 1s}}", refuse: "store: {postgres: {dsn: {env: DSN}, statementTimeout: 99ms}}"},
	{kind: "AuthConfig", field: "spec.store.postgres.acquireTimeout", says: "between 10ms and 30s",
		accept: "store: {postgres: {dsn: {env: DSN}, acquireTimeout: 1s}}", refuse: "store: {postgres: {dsn: {env: DSN}, acquireTimeout: 31s}}"},
	{kind: "AuthConfig", field: "spec.store", says: "the store can't change", old: "store: {sqlite: {path: a.db}}",
		accept: "store: {sqlite: {path: a.db}}", refuse: "store: {sqlite: {path: b.db}}"},
	{kind: "AuthConfig", field: "spec.issuer", says: "the issuer can't change", old: "issuer: https://a.example",
		accept: "issuer: https://a.example", refuse: "issuer: https://b.example"},
	{kind: "AuthConfig", field: "spec.keyEncryption", says: "exactly one of file, env is needed",
		accept: "keyEncryption: {env: KEY}", refuse: "keyEncryption: {env: KEY, file: key}"},
	{kind: "AuthConfig", field: "spec.macKeys", says: "exactly one of file, env is needed",
		accept: "macKeys: {file: mac}", refuse: "macKeys: {}"},
	{kind: "AuthConfig", field: "spec.identityProviders", says: "each issuer can be there once",
		accept: "identityProviders: [" + provider("a", "https://a.example", "") + ", " + provider("b", "https://b.example", "") + "]",
		refuse: "identityProviders: [" + provider("a", "https://a.example", "") + ", " + provider("b", "https://a.example", "") + "]"},
	{kind: "AuthConfig", field: "spec.identityProviders[0]", says: "issuer must be https",
		accept: "identityProviders: [" + provider("a", "http://a.example", ", allowPrivateAddresses: true") + "]",
		refuse: "identityProviders: [" + provider("a", "http://a.example", "") + "]"},
	{kind: "AuthConfig", field: "spec.identityProviders[0].clientSecret", says: "exactly one of file, env is needed",
		accept: "identityProviders: [" + provider("a", "https://a.example", ", clientSecret: {env: S}") + "]",
		refuse: "identityProviders: [" + provider("a", "https://a.example", ", clientSecret: {}") + "]"},
	{kind: "AuthConfig", field: "spec.mailer", says: "exactly one of log, smtp, brevo is needed",
		accept: "mailer: {log: {}}", refuse: "mailer: {log: {}, smtp: {host: mail.example.org}}"},
	{kind: "AuthConfig", field: "spec.mailer.smtp", says: "username and password go together",
		accept: "mailer: {smtp: {host: mail.example.org, username: a, password: {env: P}}}", refuse: "mailer: {smtp: {host: mail.example.org, username: a}}"},
	{kind: "AuthConfig", field: "spec.mailer.smtp", says: "a password is never sent without TLS",
		accept: "mailer: {smtp: {host: localhost, tls: None}}", refuse: "mailer: {smtp: {host: localhost, tls: None, username: a, password: {env: P}}}"},
	{kind: "AuthConfig", field: "spec.mailer.smtp.password", says: "exactly one of file, env is needed",
		accept: "mailer: {smtp: {host: a.example, username: a, password: {file: p}}}", refuse: "mailer: {smtp: {host: a.example, username: a, password: {}}}"},
	{kind: "AuthConfig", field: "spec.mailer.brevo", says: "baseURL must be https",
		accept: "mailer: {brevo: {apiKey: {env: K}, baseURL: 'http://127.0.0.1:1', allowPrivateAddresses: true}}",
		refuse: "mailer: {brevo: {apiKey: {env: K}, baseURL: 'http://api.example'}}"},
	{kind: "AuthConfig", field: "spec.mailer.brevo.apiKey", says: "exactly one of file, env is needed",
		accept: "mailer: {brevo: {apiKey: {env: K}}}", refuse: "mailer: {brevo: {apiKey: {env: K, file: k}}}"},
	{kind: "AuthConfig", field: "spec.hashing", says: "gate.memory must hold at least one hash of argon2id.memory",
		accept: "hashing: {argon2id: {memory: 64Mi}, gate: {memory: 64Mi}}", refuse: "hashing: {argon2id: {memory: 64Mi}, gate: {memory: 63Mi}}"},
	{kind: "AuthConfig", field: "spec.hashing.argon2id.memory", says: "between 19Mi and 1Gi",
		accept: "hashing: {argon2id: {memory: 20Mi}}", refuse: "hashing: {argon2id: {memory: 18Mi}}"},
	{kind: "AuthConfig", field: "spec.hashing.gate.memory", says: "at most 64Gi",
		accept: "hashing: {gate: {memory: 64Gi}}", refuse: "hashing: {gate: {memory: 65Gi}}"},
	{kind: "AuthConfig", field: "spec.hashing.gate.maxWait", says: "at most 30s",
		accept: "hashing: {gate: {maxWait: 30s}}", refuse: "hashing: {gate: {maxWait: 31s}}"},

	// FilesConfig
	{kind: "FilesConfig", field: "spec.store", says: "exactly one store is needed: sqlite or postgres",
		accept: "store: {sqlite: {path: f.db}}", refuse: "store: {}"},
	{kind: "FilesConfig", field: "spec.store", says: "exactly one store is needed: sqlite or postgres",
		accept: "store: {postgres: {dsn: {env: DSN}}}", refuse: "store: {sqlite: {path: a.db}, postgres: {dsn: {env: DSN}}}"},
	{kind: "FilesConfig", field: "spec.store", says: "the store can't change", old: "store: {postgres: {dsn: {env: DSN}}}",
		accept: "store: {postgres: {dsn: {env: OTHER}, maxConnections: 5}}", refuse: "store: {sqlite: {path: a.db}}"},
	{kind: "FilesConfig", field: "spec.store.postgres.dsn", says: "exactly one of file, env is needed",
		accept: "store: {postgres: {dsn: {file: dsn}}}", refuse: "store: {postgres: {dsn: {}}}"},
	{kind: "FilesConfig", field: "spec.store.postgres.statementTimeout", says: "between 100ms and 60s",
		accept: "store: {postgres: {dsn: {env: DSN}, statementTimeout: 1s}}", refuse: "store: {postgres: {dsn: {env: DSN}, statementTimeout: 99ms}}"},
	{kind: "FilesConfig", field: "spec.store.postgres.acquireTimeout", says: "between 10ms and 30s",
		accept: "store: {postgres: {dsn: {env: DSN}, acquireTimeout: 1s}}", refuse: "store: {postgres: {dsn: {env: DSN}, acquireTimeout: 31s}}"},
	{kind: "FilesConfig", field: "spec.store", says: "the store can't change", old: "store: {sqlite: {path: a.db}}",
		accept: "store: {sqlite: {path: a.db}}", refuse: "store: {sqlite: {path: b.db}}"},
	{kind: "FilesConfig", field: "spec.blobs", says: "exactly one place for blobs is needed: disk",
		accept: "blobs: {disk: {path: b}}", refuse: "blobs: {}"},
	{kind: "FilesConfig", field: "spec.blobs", says: "the place of blobs can't change", old: "blobs: {disk: {path: a}}",
		accept: "blobs: {disk: {path: a}}", refuse: "blobs: {disk: {path: b}}"},
	{kind: "FilesConfig", field: "spec.restoreHorizon", says: "at most 8784h",
		accept: "restoreHorizon: 0s", refuse: "restoreHorizon: 8785h"},
	{kind: "FilesConfig", field: "spec.scrub.every", says: "0s, or between 1h and 8784h",
		accept: "scrub: {every: 0s}", refuse: "scrub: {every: 59m}"},
	{kind: "FilesConfig", field: "spec.scanner", says: "exactly one scanner is needed: clamd",
		accept: "scanner: {clamd: {address: 'unix:/run/clamd.sock'}}", refuse: "scanner: {onUnavailable: Allow}"},
	{kind: "FilesConfig", field: "spec.scanner.clamd.timeout", says: "between 1s and 30m",
		accept: "scanner: {clamd: {address: 'clamd:3310', timeout: 30m}}", refuse: "scanner: {clamd: {address: 'clamd:3310', timeout: 0s}}"},
	{kind: "FilesConfig", field: "spec.webhooks[0]", says: "plain http is for networks of one's own",
		accept: "webhooks: [{name: a, url: 'http://a/', secretRef: {env: S}, allowPrivateAddresses: true}]",
		refuse: "webhooks: [{name: a, url: 'http://a/', secretRef: {env: S}}]"},
	{kind: "FilesConfig", field: "spec.thumbnails.maxBytes", says: "between 1Ki and 1Gi",
		accept: "thumbnails: {maxBytes: 1Gi}", refuse: "thumbnails: {maxBytes: 2Gi}"},
	{kind: "FilesConfig", field: "spec.thumbnails.memory", says: "at least 16Mi",
		accept: "thumbnails: {memory: 16Mi}", refuse: "thumbnails: {memory: 15Mi}"},
	{kind: "FilesConfig", field: "spec.webhooks[0].url", says: "not a URL",
		accept: "webhooks: [{name: a, url: 'https://a/%20', secretRef: {env: S}}]",
		refuse: "webhooks: [{name: a, url: 'https://a/%zz', secretRef: {env: S}}]"},
	{kind: "FilesConfig", field: "spec.webhooks[0].secretRef", says: "exactly one of file, env is needed",
		accept: "webhooks: [{name: a, url: 'https://a', secretRef: {file: f}}]",
		refuse: "webhooks: [{name: a, url: 'https://a', secretRef: {}}]"},
	{kind: "FilesConfig", field: "spec.webhooks[0].timeout", says: "between 1s and 60s",
		accept: "webhooks: [{name: a, url: 'https://a', secretRef: {env: S}, timeout: 60s}]",
		refuse: "webhooks: [{name: a, url: 'https://a', secretRef: {env: S}, timeout: 61s}]"},
	{kind: "FilesConfig", field: "spec.verifier", says: "at most one of internalURL, internalURLs",
		accept: `verifier: {internalURLs: ["http://a:2", "http://b:2"]}`, refuse: `verifier: {internalURL: "http://a:2", internalURLs: ["http://b:2"]}`},
	{kind: "FilesConfig", field: "spec.verifier.leeway", says: "at most 60s",
		accept: "verifier: {leeway: 1m}", refuse: "verifier: {leeway: 61s}"},
	{kind: "FilesConfig", field: "spec.verifier.maxStaleness", says: "between 2s and 300s",
		accept: "verifier: {maxStaleness: 2s}", refuse: "verifier: {maxStaleness: 1s}"},

	// Route
	{kind: "Route", field: "spec.refusals", says: "body may have {code}, {title}, {detail}, {status} and {request_id}, and no other placeholder",
		accept: route("") + "\n" + `refusals: {body: '{"error": "{detail}", "status": {status}}'}`,
		refuse: route("") + "\n" + `refusals: {body: '{"error": "{message}"}'}`},
	{kind: "Route", field: "spec.rules[0]", says: "require needs auth.tokenPolicyRef",
		accept: route("auth: {tokenPolicyRef: {name: default}}, require: {permissions: ['files:read:self']}"),
		refuse: route("require: {permissions: ['files:read:self']}")},
	{kind: "Route", field: "spec.rules[0]", says: "rewrite.path.type ReplacePrefixMatch needs every match to have path.type PathPrefix",
		accept: route("matches: [{path: {value: /a}}], rewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}"),
		refuse: route("matches: [{path: {type: Exact, value: /a}}], rewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}")},
	{kind: "Route", field: "spec.rules[0]", says: "at least one backend needs a weight above 0",
		accept: route("backends: [{name: auth, weight: 0}, {name: files}]"), refuse: route("backends: [{name: auth, weight: 0}]")},
	{kind: "Route", field: "spec.rules[0].auth", says: "exactly one of tokenPolicyRef, anonymous is needed",
		accept: route("auth: {tokenPolicyRef: {name: default}}"),
		refuse: route("auth: {tokenPolicyRef: {name: default}, anonymous: {reason: both of them}}")},
	{kind: "Route", field: "spec.rules[0].matches[0].path", says: "the path must start with / and have no //, /./ or /../",
		accept: route("matches: [{path: {type: Exact, value: /a/..b/c}}]"), refuse: route("matches: [{path: {type: Exact, value: /a/../b}}]")},
	{kind: "Route", field: "spec.rules[0].matches[0].path", says: "the path has a character that must not stand in a path",
		accept: route("matches: [{path: {value: '/l/~x+y'}}]"), refuse: route("matches: [{path: {value: /a%2fb}}]")},
	{kind: "Route", field: "spec.rules[0].matches[0].path", says: "not a regular expression",
		accept: route("matches: [{path: {type: RegularExpression, value: '/v[0-9]+'}}]"),
		refuse: route("matches: [{path: {type: RegularExpression, value: '/v[0-9'}}]")},
	{kind: "Route", field: "spec.rules[0].matches[0].headers[0]", says: "not a regular expression",
		accept: route("matches: [{headers: [{name: A, value: '['}]}]"),
		refuse: route("matches: [{headers: [{name: A, type: RegularExpression, value: '['}]}]")},
	{kind: "Route", field: "spec.rules[0].matches[0].queryParams[0]", says: "not a regular expression",
		accept: route("matches: [{queryParams: [{name: a, type: RegularExpression, value: 'x+'}]}]"),
		refuse: route("matches: [{queryParams: [{name: a, type: RegularExpression, value: '+'}]}]")},
	{kind: "Route", field: "spec.rules[0].cors", says: "allowCredentials can't be combined with the origin *",
		accept: route("cors: {allowOrigins: ['https://a.example'], allowCredentials: true}"),
		refuse: route("cors: {allowOrigins: ['*'], allowCredentials: true}")},
	{kind: "Route", field: "spec.rules[0].cors.maxAge", says: "at most 24h",
		accept: route("cors: {allowOrigins: ['*'], maxAge: 24h}"), refuse: route("cors: {allowOrigins: ['*'], maxAge: 25h}")},
	{kind: "Route", field: "spec.rules[0].headers.request", says: "set: a header that belongs to HTTP, to identity or to the gateway",
		accept: route("headers: {request: {set: [{name: X-Tenant, value: a}]}}"),
		refuse: route("headers: {request: {set: [{name: x_user_id, value: a}]}}")},
	{kind: "Route", field: "spec.rules[0].headers.request", says: "add: a header that belongs to HTTP, to identity or to the gateway",
		accept: route("headers: {request: {add: [{name: X-Usage, value: a}]}}"),
		refuse: route("headers: {request: {add: [{name: AUTHORIZATION, value: a}]}}")},
	{kind: "Route", field: "spec.rules[0].headers.response", says: "set: a header that belongs to HTTP or to the gateway",
		accept: route("headers: {response: {set: [{name: X-Frame-Options, value: DENY}]}}"),
		refuse: route("headers: {response: {set: [{name: Content-Length, value: '0'}]}}")},
	{kind: "Route", field: "spec.rules[0].headers.response", says: "add: a header that belongs to HTTP or to the gateway",
		accept: route("headers: {response: {add: [{name: Link, value: </a>}]}}"),
		refuse: route("headers: {response: {add: [{name: Connection, value: close}]}}")},
	{kind: "Route", field: "spec.rules[0].rewrite.path", says: "replaceFullPath is needed with type ReplaceFullPath, and only then",
		accept: route("rewrite: {path: {type: ReplaceFullPath, replaceFullPath: /b}}"),
		refuse: route("rewrite: {path: {type: ReplaceFullPath}}")},
	{kind: "Route", field: "spec.rules[0].rewrite.path", says: "replacePrefixMatch is needed with type ReplacePrefixMatch, and only then",
		accept: route("rewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}"),
		refuse: route("rewrite: {path: {type: ReplaceFullPath, replaceFullPath: /b, replacePrefixMatch: /}}")},

	// TokenPolicy
	{kind: "TokenPolicy", field: "spec.jwks", says: "refreshInterval must not be longer than maxStale",
		accept: "jwks: {refreshInterval: 1h, maxStale: 1h}", refuse: "jwks: {refreshInterval: 2h, maxStale: 1h}"},
	{kind: "TokenPolicy", field: "spec.jwks.url", says: "not a URL",
		accept: "jwks: {url: 'https://id.example/jwks'}", refuse: "jwks: {url: 'https://id.example:port/jwks'}"},
	{kind: "TokenPolicy", field: "spec.jwks.refreshInterval", says: "between 1s and 24h",
		accept: "jwks: {refreshInterval: 1s}", refuse: "jwks: {refreshInterval: 999ms}"},
	{kind: "TokenPolicy", field: "spec.jwks.maxStale", says: "between 1s and 168h",
		accept: "jwks: {maxStale: 168h}", refuse: "jwks: {maxStale: 169h}"},
	{kind: "TokenPolicy", field: "spec.jwks.unknownKeyCooldown", says: "between 1s and 1h",
		accept: "jwks: {unknownKeyCooldown: 1h}", refuse: "jwks: {unknownKeyCooldown: 0s}"},
	{kind: "TokenPolicy", field: "spec.leeway", says: "at most 60s", accept: "leeway: 0s", refuse: "leeway: 2m"},
	{kind: "TokenPolicy", field: "spec.extractFrom", says: "at least one of header, cookie, apiKeyHeader is needed",
		accept: "extractFrom: {cookie: {name: __Host-access}}", refuse: "extractFrom: {}"},
	{kind: "TokenPolicy", field: "spec.revocation", says: "with mode Introspect, onUnavailable must be Deny",
		accept: "revocation: {mode: Introspect}", refuse: "revocation: {mode: Introspect, onUnavailable: Introspect}"},
	{kind: "TokenPolicy", field: "spec.revocation.maxStaleness", says: "between 2s and 300s",
		accept: "revocation: {maxStaleness: 5m}", refuse: "revocation: {maxStaleness: 6m}"},
	{kind: "TokenPolicy", field: "spec.claimHeaders[0]", says: "this header belongs to HTTP or to the gateway",
		accept: "claimHeaders: [{claim: sub, header: X-User-Id}]", refuse: "claimHeaders: [{claim: sub, header: X-Forwarded-For}]"},

	// SessionPolicy
	{kind: "SessionPolicy", field: "spec", says: "accessTTL must be shorter than refreshTTL",
		accept: "{accessTTL: 59m, refreshTTL: 1h}", refuse: "{accessTTL: 1h, refreshTTL: 1h}"},
	{kind: "SessionPolicy", field: "spec", says: "refreshTTL must not be longer than absoluteLifetime",
		accept: "refreshTTL: 2160h", refuse: "refreshTTL: 2161h"},
	{kind: "SessionPolicy", field: "spec", says: "accessTTL must not be longer than idleTimeout",
		accept: "{accessTTL: 1h, idleTimeout: 1h}", refuse: "{accessTTL: 1h, idleTimeout: 59m}"},
	{kind: "SessionPolicy", field: "spec", says: "idleTimeout must not be longer than absoluteLifetime",
		accept: "{idleTimeout: 2160h}", refuse: "{idleTimeout: 2161h}"},
	{kind: "SessionPolicy", field: "spec.accessTTL", says: "between 10s and 168h", accept: "accessTTL: 10s", refuse: "accessTTL: 9s"},
	{kind: "SessionPolicy", field: "spec.refreshTTL", says: "between 60s and 8784h", accept: "{accessTTL: 10s, refreshTTL: 60s}", refuse: "{accessTTL: 10s, refreshTTL: 59s}"},
	{kind: "SessionPolicy", field: "spec.reuseWindow", says: "at most 60s", accept: "reuseWindow: 0s", refuse: "reuseWindow: 61s"},
	{kind: "SessionPolicy", field: "spec.idleTimeout", says: "between 60s and 8784h", accept: "{accessTTL: 10s, idleTimeout: 60s}", refuse: "{accessTTL: 10s, idleTimeout: 59s}"},
	{kind: "SessionPolicy", field: "spec.absoluteLifetime", says: "between 60s and 43920h", accept: "absoluteLifetime: 43920h", refuse: "absoluteLifetime: 43921h"},
	{kind: "SessionPolicy", field: "spec.password", says: "minLength must not be more than maxLength",
		accept: "password: {minLength: 64, maxLength: 64}", refuse: "password: {minLength: 65, maxLength: 64}"},
	{kind: "SessionPolicy", field: "spec.lockout.window", says: "between 1s and 24h", accept: "lockout: {window: 1s}", refuse: "lockout: {window: 0s}"},
	{kind: "SessionPolicy", field: "spec.lockout.duration", says: "between 1s and 24h", accept: "lockout: {duration: 24h}", refuse: "lockout: {duration: 25h}"},

	// RateLimitPolicy
	{kind: "RateLimitPolicy", field: "spec.rules[0].key", says: "header is needed with type Header, and only then",
		accept: "rules: [{name: a, limit: 1, window: 1s, key: {type: Header, header: X-Tenant}}]",
		refuse: "rules: [{name: a, limit: 1, window: 1s, key: {type: Client, header: X-Tenant}}]"},
	{kind: "RateLimitPolicy", field: "spec.rules[0].window", says: "between 1s and 24h",
		accept: "rules: [{name: a, limit: 1, window: 24h}]", refuse: "rules: [{name: a, limit: 1, window: 500ms}]"},

	// StoragePolicy
	{kind: "StoragePolicy", field: "spec", says: "maxObjectBytes must not be more than quota",
		accept: "{quota: 1Gi, maxObjectBytes: 1024Mi}", refuse: "{quota: 1Gi, maxObjectBytes: 1025Mi}"},
	{kind: "StoragePolicy", field: "spec.maxLinkTTL", says: "at most 8784h", accept: "maxLinkTTL: 8784h", refuse: "maxLinkTTL: 8785h"},
	{kind: "StoragePolicy", field: "spec.uploadExpiry", says: "between 60s and 8784h", accept: "uploadExpiry: 60s", refuse: "uploadExpiry: 59s"},
	{kind: "StoragePolicy", field: "spec.trashRetention", says: "at most 8784h", accept: "trashRetention: 8784h", refuse: "trashRetention: 8785h"},
}

func TestRules_AcceptAndRefuse(t *testing.T) {
	a := New()
	for _, r := range rules {
		t.Run(r.kind+" "+r.field+" "+r.says, func(t *testing.T) {
			var old map[string]any
			if r.old != "" {
				old = judge(t, a, r.kind, "a", r.old, nil).Content
			}
			if v := judge(t, a, r.kind, "a", r.accept, old); len(v.Problems) != 0 {
				t.Errorf("refused %s: %v", r.accept, v.Problems)
			}
			v := judge(t, a, r.kind, "a", r.refuse, old)
			for _, p := range v.Problems {
				if p.Field == r.field && strings.Contains(p.Message, r.says) {
					return
				}
			}
			t.Errorf("accepted %s; want %s: %s; got %v", r.refuse, r.field, r.says, v.Problems)
		})
	}
	t.Run("every rule has a case", everyRuleHasACase)
}

// everyRuleHasACase keeps the table whole: a rule added to a type without a case here fails.
func everyRuleHasACase(t *testing.T) {
	index := regexp.MustCompile(`\[[^\]]*\]`)
	covered := func(kind, path, message string) bool {
		for _, r := range rules {
			if r.kind == kind && index.ReplaceAllString(r.field, "[]") == path && strings.HasPrefix(message, r.says) {
				return true
			}
		}
		return false
	}
	for _, kind := range v1alpha1.Kinds() {
		k, err := compile(kind)
		if err != nil {
			t.Fatal(err)
		}
		walk(k.structural, "", func(path string, s *schema.Structural) {
			for _, v := range s.XValidations {
				if !covered(kind, path, v.Message) {
					t.Errorf("no case for %s %s: %s", kind, path, v.Message)
				}
			}
		})
	}
}

func walk(s *schema.Structural, path string, visit func(string, *schema.Structural)) {
	visit(path, s)
	if s.Items != nil {
		walk(s.Items, path+"[]", visit)
	}
	for name, p := range s.Properties {
		walk(&p, strings.TrimPrefix(path+"."+name, "."), visit)
	}
}

func judge(t *testing.T, a *Admitter, kind, name, spec string, old map[string]any) Verdict {
	t.Helper()
	v, err := a.Admit(t.Context(), kind, object(t, kind, name, spec), old)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func object(t *testing.T, kind, name, spec string) map[string]any {
	t.Helper()
	text, err := yaml.YAMLToJSONStrict([]byte(spec))
	if err != nil {
		t.Fatalf("%s: %v", spec, err)
	}
	var content any
	if err := utiljson.Unmarshal(text, &content); err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"apiVersion": "cloakroom.dev/v1alpha1", "kind": kind, "metadata": map[string]any{"name": name}, "spec": content,
	}
}
