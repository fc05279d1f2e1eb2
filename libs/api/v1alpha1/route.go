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

	// Refusals is how the gateway's own refusals look on this route, for clients of another contract. Without it they are
	// problem documents (RFC 9457). What services answer passes as it is.
	// +optional
	Refusals *RouteRefusals `json:"refusals,omitempty"`
}

// RouteRefusals is a template. In it {code}, {title}, {detail}, {status} and {request_id} stand for the refusal's own: {status}
// is a number, the others are text to be put between quotation marks.
// +kubebuilder:validation:XValidation:rule="!self.body.replace('{code}', '0').replace('{title}', '0').replace('{detail}', '0').replace('{status}', '0').replace('{request_id}', '0').matches('[{][a-z_]+[}]')",message="body may have {code}, {title}, {detail}, {status} and {request_id}, and no other placeholder"
type RouteRefusals struct {
	// ContentType of the answer.
	// +kubebuilder:default="application/json"
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^application/([a-z0-9.-]+\+)?json(; charset=utf-8)?$`
	ContentType string `json:"contentType,omitempty"`

	// Body is a JSON object with placeholders, such as {"error": "{detail}"}.
	// +required
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^\s*\{`
	Body string `json:"body"`
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

	// +kubebuilder:default={}
	Retry RouteRetry `json:"retry,omitempty"`

	// Backends share the requests by weight.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	Backends []Backend `json:"backends"`
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

// RouteRetry says how often a request that failed is sent again, to another address of the same upstream. A request that
// may have reached the service is sent again only when its method is idempotent and nothing of its body has been read; any
// request is when not one byte of it was sent. The upstream's retryBudget bounds all of it.
type RouteRetry struct {
	// Attempts is how many times at most, after the first; 0 is never.
	// +optional
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=5
	Attempts int32 `json:"attempts"`
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
