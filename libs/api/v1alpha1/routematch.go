package v1alpha1

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
