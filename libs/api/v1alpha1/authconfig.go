package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AuthConfig is what the auth service needs to start: listeners, store, key material, the cost of a password. A change
// takes effect at the next start.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ac,categories=cloakroom
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name="Issuer",type=string,JSONPath=`.spec.issuer`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AuthConfig struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec   AuthConfigSpec `json:"spec"`
	Status Status         `json:"status,omitempty"`
}

// AuthConfigList is a list of AuthConfig.
// +kubebuilder:object:root=true
type AuthConfigList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AuthConfig `json:"items"`
}

// AuthConfigSpec is the user's part.
type AuthConfigSpec struct {
	// +kubebuilder:default={}
	Listeners AuthListeners `json:"listeners,omitempty"`

	// Store is where people, sessions and the revocation log live. It can't change on a living object: the people would
	// be left behind. Where a PostgreSQL is reached, and how, can.
	// +kubebuilder:default={sqlite: {path: "auth.db"}}
	// +kubebuilder:validation:XValidation:rule="has(self.sqlite) == has(oldSelf.sqlite) && (!has(self.sqlite) || self.sqlite == oldSelf.sqlite)",message="the store can't change: its data would be left behind; move the data, then delete and create the object"
	Store Store `json:"store,omitempty"`

	// KeyEncryption encrypts signing keys at rest: 32 bytes as hex or base64.
	// +kubebuilder:default={file: "secrets/key-encryption"}
	KeyEncryption SecretRef `json:"keyEncryption,omitempty"`

	// MACKeys authenticates refresh tokens and API keys: 32 bytes as hex or base64. Without it a key is derived from
	// keyEncryption.
	// +optional
	MACKeys *SecretRef `json:"macKeys,omitempty"`

	// Bootstrap makes the first admin where there is none. Without it nobody is made.
	// +optional
	Bootstrap *Bootstrap `json:"bootstrap,omitempty"`

	// +kubebuilder:default={argon2id: {memory: "19Mi"}, gate: {memory: "80Mi"}}
	Hashing Hashing `json:"hashing,omitempty"`

	// Issuer is the iss of access tokens. It can't change on a living object: every token in use names it.
	// +kubebuilder:default="cloakroom"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the issuer can't change: every token in use names it; delete and create the object to start over"
	Issuer Issuer `json:"issuer,omitempty"`

	// Audiences is the aud of access tokens.
	// +kubebuilder:default={"cloakroom"}
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Audiences []Audience `json:"audiences,omitempty"`

	// PublicBaseURL is where people reach the gateway. Links in mails are made of it and never of a request's Host.
	// +kubebuilder:default="http://localhost:8080"
	PublicBaseURL OriginURL `json:"publicBaseURL,omitempty"`

	// Passkeys says which pages may ask for passkeys, where PublicBaseURL alone does not say it.
	// +optional
	Passkeys *Passkeys `json:"passkeys,omitempty"`

	// Mailer sends links and notices. Without one no mail is written, and nobody can recover a password.
	// +optional
	Mailer *Mailer `json:"mailer,omitempty"`

	// IdentityProviders are where else people can sign in.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, b.issuer == a.issuer))",message="each issuer can be there once"
	IdentityProviders []IdentityProvider `json:"identityProviders,omitempty"`

	// SessionPolicyRef names the SessionPolicy that new and refreshed sessions follow.
	// +kubebuilder:default={name: "default"}
	SessionPolicyRef LocalRef `json:"sessionPolicyRef,omitempty"`

	// Dialects are contracts of other systems that are spoken too, so that their clients can stay as they are. Each answers at
	// /compat/<name>/ of the public listener; Routes bring clients there. Without any, none is spoken.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Dialects []Dialect `json:"dialects,omitempty"`

	// +kubebuilder:default={}
	Drain Drain `json:"drain,omitempty"`

	// +kubebuilder:default={}
	Telemetry Telemetry `json:"telemetry,omitempty"`

	// StateDir is where status files are written, below status/. Without one there are none.
	// +optional
	StateDir FilePath `json:"stateDir,omitempty"`
}

// Dialect is one contract of another system.
type Dialect struct {
	// Name of the contract.
	// +required
	Name DialectName `json:"name"`

	// SessionPolicyRef names the SessionPolicy that sessions opened in this dialect follow for life: how long tokens live, what
	// signs them, how many sessions there are, what a password must be. Lockout and cookies are those of sessionPolicyRef.
	// +kubebuilder:default={name: "default"}
	SessionPolicyRef LocalRef `json:"sessionPolicyRef,omitempty"`
}

// DialectName is a contract the auth service can speak.
// +kubebuilder:validation:Enum=rest-auth-files;medods;user-management;trackit;siteworks
type DialectName string

// The dialects.
const (
	DialectRestAuthFiles  DialectName = "rest-auth-files"
	DialectMedods         DialectName = "medods"
	DialectUserManagement DialectName = "user-management"
	DialectTrackit        DialectName = "trackit"
	DialectSiteworks      DialectName = "siteworks"
)

// Passkeys belong to a domain: browsers offer them on its pages and on those of the domains below it.
type Passkeys struct {
	// Site is that domain, by default the host of PublicBaseURL. With auth.example.org and app.example.org it is
	// example.org. A passkey is worth nothing on another site: to change it is to lose all there are.
	// +optional
	Site HostName `json:"site,omitempty"`

	// Origins are pages besides PublicBaseURL that may ask for passkeys, on the site or below it, by https.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Origins []OriginURL `json:"origins,omitempty"`
}

// AuthListeners are the addresses the auth service binds.
type AuthListeners struct {
	// Public takes what the gateway forwards.
	// +kubebuilder:default={address: "127.0.0.1:8081"}
	Public Listener `json:"public,omitempty"`

	// Internal serves keys, revocations and the API key exchange to the other services. It is unauthenticated: only
	// they may reach it.
	// +kubebuilder:default={address: "127.0.0.1:8082"}
	Internal Listener `json:"internal,omitempty"`

	// Ops serves metrics, health, profiles and resource status. It is unauthenticated: keep it off the internet.
	// +kubebuilder:default={address: "127.0.0.1:9091"}
	Ops Listener `json:"ops,omitempty"`
}

// Store is exactly one kind of database.
// +kubebuilder:validation:XValidation:rule="has(self.sqlite) != has(self.postgres)",message="exactly one store is needed: sqlite or postgres"
type Store struct {
	// SQLite is a database file on this machine, for one replica.
	// +optional
	SQLite *SQLiteStore `json:"sqlite,omitempty"`

	// Postgres is a PostgreSQL database, 14 or newer, for any number of replicas.
	// +optional
	Postgres *PostgresStore `json:"postgres,omitempty"`
}

// SQLiteStore is a database file.
type SQLiteStore struct {
	// Path is the file. Its folder must exist and be on a local disk.
	// +required
	Path FilePath `json:"path"`
}

// PostgresStore is a schema in a PostgreSQL database. The auth service uses the schema "auth", the files service "files", so
// both may share a database.
type PostgresStore struct {
	// DSN is where the address is: postgres://user:password@host:5432/database?sslmode=verify-full. Several hosts, divided
	// by commas, are tried for the one that takes writes. A pooler in between must pool sessions, not transactions.
	// +required
	DSN SecretRef `json:"dsn"`

	// MaxConnections of each replica. Replicas times this, and four more for each, must stay below the server's own
	// max_connections.
	// +kubebuilder:default=16
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=500
	MaxConnections int32 `json:"maxConnections,omitempty"`

	// StatementTimeout bounds each statement; twice of it bounds a transaction.
	// +kubebuilder:default="5s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('60s')",message="between 100ms and 60s"
	StatementTimeout Duration `json:"statementTimeout,omitempty"`

	// AcquireTimeout bounds the wait for a free connection; then the answer is 503 OVERLOADED.
	// +kubebuilder:default="2s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10ms') && duration(self) <= duration('30s')",message="between 10ms and 30s"
	AcquireTimeout Duration `json:"acquireTimeout,omitempty"`

	// Migrate says when the schema is brought up to date: OnStart, or only by the service's migrate Command. Then a start
	// on a schema that is behind is refused.
	// +kubebuilder:default=OnStart
	Migrate MigrateMode `json:"migrate,omitempty"`
}

// MigrateMode says when a schema is brought up to date.
// +kubebuilder:validation:Enum=OnStart;Command
type MigrateMode string

// The migrate modes.
const (
	MigrateOnStart MigrateMode = "OnStart"
	MigrateCommand MigrateMode = "Command"
)

// Bootstrap says where the first start leaves the first admin's credentials.
type Bootstrap struct {
	// File is written once, mode 0600, and holds the admin's name and password, an API key and a bootstrap token.
	// +required
	File FilePath `json:"file"`
}

// Hashing is the cost of a password and the bound on what all of them together may cost.
// +kubebuilder:validation:XValidation:rule="quantity(self.gate.memory).compareTo(quantity(self.argon2id.memory)) >= 0",message="gate.memory must hold at least one hash of argon2id.memory"
type Hashing struct {
	// +kubebuilder:default={memory: "19Mi"}
	Argon2id Argon2id `json:"argon2id,omitempty"`

	// +kubebuilder:default={memory: "80Mi"}
	Gate HashGate `json:"gate,omitempty"`
}

// Argon2id holds the parameters of new hashes. A login whose hash is weaker is hashed again.
type Argon2id struct {
	// Memory of one hash.
	// +kubebuilder:default="19Mi"
	// +kubebuilder:validation:XValidation:rule="quantity(self).compareTo(quantity('19Mi')) >= 0 && quantity(self).compareTo(quantity('1Gi')) <= 0",message="between 19Mi and 1Gi"
	Memory Size `json:"memory,omitempty"`

	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=16
	Iterations int32 `json:"iterations,omitempty"`

	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=8
	Parallelism int32 `json:"parallelism,omitempty"`
}

// HashGate bounds the hashes that run at once; what exceeds it waits, and what exceeds the queue is answered 503.
type HashGate struct {
	// Memory all running hashes may hold together.
	// +kubebuilder:default="80Mi"
	// +kubebuilder:validation:XValidation:rule="quantity(self).compareTo(quantity('64Gi')) <= 0",message="at most 64Gi"
	Memory Size `json:"memory,omitempty"`

	// Queue is how many may wait for their turn.
	// +optional
	// +kubebuilder:default=64
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000
	Queue int32 `json:"queue"`

	// MaxWait is how long one may wait.
	// +kubebuilder:default="2s"
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('30s')",message="at most 30s"
	MaxWait Duration `json:"maxWait,omitempty"`
}
