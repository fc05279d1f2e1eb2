package v1alpha1

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
