package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// TokenPolicy says which access tokens a Route believes, where they are looked for, and how fresh the knowledge of
// revocations must be.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=tokenpolicies,shortName=tp,categories=cloakroom
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name="Issuer",type=string,JSONPath=`.spec.issuer`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TokenPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec   TokenPolicySpec `json:"spec"`
	Status Status          `json:"status,omitempty"`
}

// TokenPolicyList is a list of TokenPolicy.
// +kubebuilder:object:root=true
type TokenPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TokenPolicy `json:"items"`
}

// TokenPolicySpec is the user's part.
type TokenPolicySpec struct {
	// Issuer a token must name, exactly.
	// +kubebuilder:default="cloakroom"
	Issuer Issuer `json:"issuer,omitempty"`

	// Audiences: a token must name one of them.
	// +kubebuilder:default={"cloakroom"}
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Audiences []Audience `json:"audiences,omitempty"`

	// Algorithms a token may be signed with; the key itself still decides which one of them.
	// +kubebuilder:default={"EdDSA"}
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=5
	Algorithms []Algorithm `json:"algorithms,omitempty"`

	// +kubebuilder:default={refreshInterval: "60s", maxStale: "24h"}
	JWKS JWKS `json:"jwks,omitempty"`

	// Leeway for clocks that differ.
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('60s')",message="at most 60s"
	Leeway Duration `json:"leeway,omitempty"`

	// ExtractFrom says where a token may be. One that is given names every place; a request that shows
	// two is refused.
	// +kubebuilder:default={header: {name: "Authorization", scheme: "Bearer"}, apiKeyHeader: "X-API-Key"}
	ExtractFrom ExtractFrom `json:"extractFrom,omitempty"`

	// +kubebuilder:default={}
	Cache TokenCache `json:"cache,omitempty"`

	// +kubebuilder:default={mode: "Log", onUnavailable: "Deny"}
	Revocation Revocation `json:"revocation,omitempty"`

	// ClaimHeaders hand claims of a verified token to the service behind, as headers. Clients can't send those headers:
	// they are stripped on every route.
	// +optional
	// +listType=map
	// +listMapKey=header
	// +kubebuilder:validation:MaxItems=16
	ClaimHeaders []ClaimHeader `json:"claimHeaders,omitempty"`
}

// JWKS says where the public keys are and how they are kept.
// +kubebuilder:validation:XValidation:rule="duration(self.refreshInterval) <= duration(self.maxStale)",message="refreshInterval must not be longer than maxStale"
type JWKS struct {
	// URL of the key set. Without it: /.well-known/jwks.json of the auth upstream's internal listener.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^https?://[!-~]+$`
	// +kubebuilder:validation:XValidation:rule="isURL(self)",message="not a URL"
	URL string `json:"url,omitempty"`

	// RefreshInterval of the background refresh.
	// +kubebuilder:default="60s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="between 1s and 24h"
	RefreshInterval Duration `json:"refreshInterval,omitempty"`

	// MaxStale is how long known keys are believed when they can't be refreshed.
	// +kubebuilder:default="24h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('168h')",message="between 1s and 168h"
	MaxStale Duration `json:"maxStale,omitempty"`

	// UnknownKeyCooldown is the least time between two fetches caused by a key id nobody knows.
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="between 1s and 1h"
	UnknownKeyCooldown Duration `json:"unknownKeyCooldown,omitempty"`
}

// ExtractFrom lists the places a credential may be in.
// +kubebuilder:validation:XValidation:rule="has(self.header) || has(self.cookie) || has(self.apiKeyHeader)",message="at least one of header, cookie, apiKeyHeader is needed"
type ExtractFrom struct {
	// Header with a scheme before the token. The token may also be an API key (crk_…).
	// +optional
	Header *TokenHeader `json:"header,omitempty"`

	// Cookie that holds the token; the auth service's is __Host-access. Requests that change something must then pass the
	// cross-origin check.
	// +optional
	Cookie *TokenCookie `json:"cookie,omitempty"`

	// APIKeyHeader holds an API key and nothing else.
	// +optional
	APIKeyHeader HeaderName `json:"apiKeyHeader,omitempty"`
}

// TokenHeader is a header with a token.
type TokenHeader struct {
	// +kubebuilder:default="Authorization"
	Name HeaderName `json:"name,omitempty"`

	// Scheme before the token, compared without case.
	// +kubebuilder:default="Bearer"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9-]*$`
	Scheme string `json:"scheme,omitempty"`
}

// TokenCookie is a cookie with a token.
type TokenCookie struct {
	// +required
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern="^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
	Name string `json:"name"`
}

// TokenCache bounds the tokens whose signature need not be checked again. Revocation is checked on every request.
type TokenCache struct {
	// MaxEntries is how many tokens are remembered. 0 remembers none.
	// +optional
	// +kubebuilder:default=16384
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	MaxEntries int32 `json:"maxEntries"`
}

// Revocation says how a policy learns that a token is dead.
// +kubebuilder:validation:XValidation:rule="self.mode != 'Introspect' || self.onUnavailable == 'Deny'",message="with mode Introspect, onUnavailable must be Deny: there is nobody else to ask"
type Revocation struct {
	// Mode: Log follows the auth service's revocation log, with no call on a request's path; Introspect asks the auth
	// service about every request.
	// +kubebuilder:default=Log
	Mode RevocationMode `json:"mode,omitempty"`

	// MaxStaleness is how old the view of the log may be. A log-out with wait=1 waits for a gateway whose stream has broken for ten
	// seconds: beyond that it may let somebody in after the wait has ended.
	// +kubebuilder:default="5s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('2s') && duration(self) <= duration('300s')",message="between 2s and 300s"
	MaxStaleness Duration `json:"maxStaleness,omitempty"`

	// OnUnavailable: what happens when the view is older. Deny answers 503, Introspect asks about each request.
	// +kubebuilder:default=Deny
	OnUnavailable UnavailableAction `json:"onUnavailable,omitempty"`
}

// RevocationMode is how a policy learns of revocations.
// +kubebuilder:validation:Enum=Log;Introspect
type RevocationMode string

// The modes.
const (
	RevocationLog        RevocationMode = "Log"
	RevocationIntrospect RevocationMode = "Introspect"
)

// UnavailableAction is what happens when the view of revocations is too old.
// +kubebuilder:validation:Enum=Deny;Introspect
type UnavailableAction string

// The actions.
const (
	UnavailableDeny       UnavailableAction = "Deny"
	UnavailableIntrospect UnavailableAction = "Introspect"
)

// ClaimHeader copies one claim into one header.
// +kubebuilder:validation:XValidation:rule="!(self.header.lowerAscii() in ['authorization', 'cookie', 'host', 'connection', 'content-length', 'content-type', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'expect', 'via', 'forwarded', 'traceparent', 'tracestate', 'x-request-id']) && !self.header.lowerAscii().startsWith('x-forwarded-')",message="this header belongs to HTTP or to the gateway"
type ClaimHeader struct {
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Claim string `json:"claim"`

	// +required
	Header HeaderName `json:"header"`
}
