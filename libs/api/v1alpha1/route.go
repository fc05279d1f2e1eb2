package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Route says which requests go where, and who may send them. Matches have the shape and the precedence of the Gateway
// API's HTTPRoute. Every rule says who may use it: leaving auth out is not a way to be open.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rt,categories=cloakroom
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name="Hostnames",type=string,JSONPath=`.spec.hostnames`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Route struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec   RouteSpec `json:"spec"`
	Status Status    `json:"status,omitempty"`
}

// RouteList is a list of Route.
// +kubebuilder:object:root=true
type RouteList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Route `json:"items"`
}

// RouteSpec is the user's part.
type RouteSpec struct {
	// Hostnames this route is for; *.example.org is any name below example.org. Without any: every host.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Hostnames []Hostname `json:"hostnames,omitempty"`

	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Rules []RouteRule `json:"rules"`
}

// Hostname is a DNS name, lower case, whose first label may be *.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:Pattern=`^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
type Hostname string

// RouteRule is one kind of request: what it looks like, who may send it, and where it goes.
// +kubebuilder:validation:XValidation:rule="!has(self.require) || has(self.auth.tokenPolicyRef)",message="require needs auth.tokenPolicyRef: an anonymous caller has no permissions"
// +kubebuilder:validation:XValidation:rule="!has(self.rewrite) || !has(self.rewrite.path) || self.rewrite.path.type != 'ReplacePrefixMatch' || self.matches.all(m, m.path.type == 'PathPrefix')",message="rewrite.path.type ReplacePrefixMatch needs every match to have path.type PathPrefix"
// +kubebuilder:validation:XValidation:rule="self.backends.exists(b, b.weight > 0)",message="at least one backend needs a weight above 0"
type RouteRule struct {
	// Name tells rules of a route apart in logs and in explain.
	// +optional
	Name ObjectName `json:"name,omitempty"`

	// Matches: the rule applies when any one of them holds.
	// +kubebuilder:default={{path: {type: "PathPrefix", value: "/"}}}
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Matches []RouteMatch `json:"matches,omitempty"`

	// +required
	Auth RouteAuth `json:"auth"`

	// Require says what the caller must be allowed to do.
	// +optional
	Require *Require `json:"require,omitempty"`

	// RateLimitRefs name RateLimitPolicies; every one of them applies.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	RateLimitRefs []LocalRef `json:"rateLimitRefs,omitempty"`

	// +optional
	CORS *CORS `json:"cors,omitempty"`

	// Headers change what the service and the client see.
	// +optional
	Headers *RouteHeaders `json:"headers,omitempty"`

	// +optional
	Rewrite *Rewrite `json:"rewrite,omitempty"`

	// +kubebuilder:default={}
	Limits RouteLimits `json:"limits,omitempty"`

	// +kubebuilder:default={}
	Timeouts RouteTimeouts `json:"timeouts,omitempty"`

	// Backends share the requests by weight.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	Backends []Backend `json:"backends"`
}

// RouteMatch holds when everything it names holds.
type RouteMatch struct {
	// +kubebuilder:default={type: "PathPrefix", value: "/"}
	Path PathMatch `json:"path,omitempty"`

	// Method is the HTTP method; without it any.
	// +optional
	Method HTTPMethod `json:"method,omitempty"`

	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Headers []HeaderMatch `json:"headers,omitempty"`

	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	QueryParams []QueryParamMatch `json:"queryParams,omitempty"`
}

// PathMatch compares the path. PathPrefix compares whole segments: /v1 holds for /v1 and /v1/x, not for /v10.
// +kubebuilder:validation:XValidation:rule="self.type == 'RegularExpression' || (self.value.startsWith('/') && !self.value.contains('//') && !self.value.contains('/./') && !self.value.contains('/../') && !self.value.endsWith('/.') && !self.value.endsWith('/..'))",message="the path must start with / and have no //, /./ or /../"
// +kubebuilder:validation:XValidation:rule="self.type == 'RegularExpression' || self.value.matches('^[A-Za-z0-9/._~!$&()*+,;=:@-]*$')",message="the path has a character that must not stand in a path; percent-encoding is not used here"
// +kubebuilder:validation:XValidation:rule="self.type != 'RegularExpression' || 'x'.matches(self.value) in [true, false]",message="not a regular expression"
type PathMatch struct {
	// +kubebuilder:default=PathPrefix
	Type PathMatchType `json:"type,omitempty"`

	// +kubebuilder:default="/"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Value string `json:"value,omitempty"`
}

// PathMatchType is how a path is compared. A RegularExpression (RE2) must match the whole path.
// +kubebuilder:validation:Enum=Exact;PathPrefix;RegularExpression
type PathMatchType string

// The kinds of path match.
const (
	PathExact             PathMatchType = "Exact"
	PathPrefix            PathMatchType = "PathPrefix"
	PathRegularExpression PathMatchType = "RegularExpression"
)

// HTTPMethod is a method a Route can match.
// +kubebuilder:validation:Enum=GET;HEAD;POST;PUT;PATCH;DELETE;OPTIONS
type HTTPMethod string

// ValueMatchType is how a header or a query parameter is compared. A RegularExpression (RE2) must match the whole value.
// +kubebuilder:validation:Enum=Exact;RegularExpression
type ValueMatchType string

// The kinds of value match.
const (
	ValueExact             ValueMatchType = "Exact"
	ValueRegularExpression ValueMatchType = "RegularExpression"
)

// HeaderMatch compares a request header.
// +kubebuilder:validation:XValidation:rule="self.type != 'RegularExpression' || 'x'.matches(self.value) in [true, false]",message="not a regular expression"
type HeaderMatch struct {
	// +kubebuilder:default=Exact
	Type ValueMatchType `json:"type,omitempty"`

	// +required
	Name HeaderName `json:"name"`

	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Value string `json:"value"`
}

// QueryParamMatch compares a query parameter.
// +kubebuilder:validation:XValidation:rule="self.type != 'RegularExpression' || 'x'.matches(self.value) in [true, false]",message="not a regular expression"
type QueryParamMatch struct {
	// +kubebuilder:default=Exact
	Type ValueMatchType `json:"type,omitempty"`

	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name"`

	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Value string `json:"value"`
}

// RouteAuth says who may use a rule: exactly one way.
// +kubebuilder:validation:XValidation:rule="has(self.tokenPolicyRef) != has(self.anonymous)",message="exactly one of tokenPolicyRef, anonymous is needed"
type RouteAuth struct {
	// TokenPolicyRef names the TokenPolicy whose tokens are believed. While it can't be found, the rule answers 503.
	// +optional
	TokenPolicyRef *LocalRef `json:"tokenPolicyRef,omitempty"`

	// Anonymous opens the rule to everyone.
	// +optional
	Anonymous *Anonymous `json:"anonymous,omitempty"`
}

// Anonymous is an open door, with the reason why.
type Anonymous struct {
	// Reason why nobody is asked who they are, for the next reader.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason"`
}

// Require lists what a caller must be allowed to do.
type Require struct {
	// Permissions as resource:action:scope; the caller needs every one. Scope all covers self.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Permissions []PermissionName `json:"permissions"`
}

// PermissionName is resource:action:scope, such as files:read:self.
// +kubebuilder:validation:MaxLength=96
// +kubebuilder:validation:Pattern=`^[a-z][a-z0-9-]{0,62}:(create|read|update|delete):(self|all)$`
type PermissionName string

// CORS lets pages of other origins call the rule from a browser.
// +kubebuilder:validation:XValidation:rule="!self.allowCredentials || !('*' in self.allowOrigins)",message="allowCredentials can't be combined with the origin *"
type CORS struct {
	// AllowOrigins: exact origins, https://app.example.org, or * for any.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	AllowOrigins []CORSOrigin `json:"allowOrigins"`

	// +kubebuilder:default={"GET","HEAD","POST"}
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	AllowMethods []HTTPMethod `json:"allowMethods,omitempty"`

	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	AllowHeaders []HeaderName `json:"allowHeaders,omitempty"`

	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	ExposeHeaders []HeaderName `json:"exposeHeaders,omitempty"`

	// AllowCredentials lets the page send cookies.
	// +optional
	// +kubebuilder:default=false
	AllowCredentials bool `json:"allowCredentials"`

	// MaxAge is how long a browser may remember the answer to a preflight.
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('24h')",message="at most 24h"
	MaxAge Duration `json:"maxAge,omitempty"`
}

// CORSOrigin is an origin as browsers send it, or *.
// +kubebuilder:validation:MaxLength=255
// +kubebuilder:validation:Pattern=`^(\*|https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?)$`
type CORSOrigin string

// RouteHeaders change headers on the way.
type RouteHeaders struct {
	// Request changes what the service sees. It can't touch identity, framing or what the gateway itself sets.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.set) || self.set.all(h, !h.name.matches('(?i)^(authorization|cookie|host|connection|keep-alive|proxy-connection|content-length|transfer-encoding|te|trailer|upgrade|expect|via|forwarded|traceparent|tracestate|x[-_]request[-_]id|x[-_]api[-_]key|x[-_](user|session|roles|internal|forwarded)([-_].*)?)$'))",message="set: a header that belongs to HTTP, to identity or to the gateway can't be given here"
	// +kubebuilder:validation:XValidation:rule="!has(self.add) || self.add.all(h, !h.name.matches('(?i)^(authorization|cookie|host|connection|keep-alive|proxy-connection|content-length|transfer-encoding|te|trailer|upgrade|expect|via|forwarded|traceparent|tracestate|x[-_]request[-_]id|x[-_]api[-_]key|x[-_](user|session|roles|internal|forwarded)([-_].*)?)$'))",message="add: a header that belongs to HTTP, to identity or to the gateway can't be given here"
	Request *HeaderChanges `json:"request,omitempty"`

	// Response changes what the client sees.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.set) || self.set.all(h, !h.name.matches('(?i)^(connection|keep-alive|content-length|transfer-encoding|te|trailer|upgrade|date|x-request-id)$'))",message="set: a header that belongs to HTTP or to the gateway can't be given here"
	// +kubebuilder:validation:XValidation:rule="!has(self.add) || self.add.all(h, !h.name.matches('(?i)^(connection|keep-alive|content-length|transfer-encoding|te|trailer|upgrade|date|x-request-id)$'))",message="add: a header that belongs to HTTP or to the gateway can't be given here"
	Response *HeaderChanges `json:"response,omitempty"`
}

// HeaderChanges are applied in the order remove, set, add.
type HeaderChanges struct {
	// Set gives a header this one value.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Set []Header `json:"set,omitempty"`

	// Add gives a header one more value.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Add []Header `json:"add,omitempty"`

	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Remove []HeaderName `json:"remove,omitempty"`
}

// Header is a name and a value.
type Header struct {
	// +required
	Name HeaderName `json:"name"`

	// +required
	Value HeaderValue `json:"value"`
}

// Rewrite changes where the service thinks the request goes.
type Rewrite struct {
	// Hostname the service sees in Host.
	// +optional
	Hostname PreciseHostname `json:"hostname,omitempty"`

	// +optional
	Path *PathRewrite `json:"path,omitempty"`
}

// PreciseHostname is a DNS name without *.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
type PreciseHostname string

// PathRewrite replaces the path or the part of it that matched.
// +kubebuilder:validation:XValidation:rule="(self.type == 'ReplaceFullPath') == has(self.replaceFullPath)",message="replaceFullPath is needed with type ReplaceFullPath, and only then"
// +kubebuilder:validation:XValidation:rule="(self.type == 'ReplacePrefixMatch') == has(self.replacePrefixMatch)",message="replacePrefixMatch is needed with type ReplacePrefixMatch, and only then"
type PathRewrite struct {
	// +required
	Type PathRewriteType `json:"type"`

	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^/[A-Za-z0-9/._~!$&()*+,;=:@-]*$`
	ReplaceFullPath string `json:"replaceFullPath,omitempty"`

	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^/[A-Za-z0-9/._~!$&()*+,;=:@-]*$`
	ReplacePrefixMatch string `json:"replacePrefixMatch,omitempty"`
}

// PathRewriteType is what a rewrite replaces.
// +kubebuilder:validation:Enum=ReplaceFullPath;ReplacePrefixMatch
type PathRewriteType string

// The kinds of rewrite.
const (
	ReplaceFullPath    PathRewriteType = "ReplaceFullPath"
	ReplacePrefixMatch PathRewriteType = "ReplacePrefixMatch"
)

// RouteLimits bound a request.
type RouteLimits struct {
	// MaxBodyBytes of a request. Without it, the gateway's own limit.
	// +optional
	MaxBodyBytes Size `json:"maxBodyBytes,omitempty"`
}

// RouteTimeouts bound how long a request may take. 0s is no bound. They end when a connection is upgraded.
type RouteTimeouts struct {
	// Request is the whole of it, from the last byte of the request's header to the last byte of the answer.
	// +kubebuilder:default="30s"
	Request Duration `json:"request,omitempty"`

	// ResponseHeader is how long the service may take to begin its answer once it has the whole request.
	// +kubebuilder:default="30s"
	ResponseHeader Duration `json:"responseHeader,omitempty"`
}

// Backend is one upstream and its share.
type Backend struct {
	// Name of an upstream in GatewayConfig.
	// +required
	// +kubebuilder:validation:Enum=auth;files
	Name string `json:"name"`

	// Weight is the share of requests: weight out of the sum of all weights.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Weight int32 `json:"weight"`
}
