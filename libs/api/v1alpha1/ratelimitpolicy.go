package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// RateLimitPolicy is a set of limits that Routes refer to. A request must fit every rule of every policy its route names.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=ratelimitpolicies,shortName=rlp,categories=cloakroom
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name="Limit",type=integer,JSONPath=`.spec.rules[0].limit`
// +kubebuilder:printcolumn:name="Window",type=string,JSONPath=`.spec.rules[0].window`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type RateLimitPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec   RateLimitPolicySpec `json:"spec"`
	Status Status              `json:"status,omitempty"`
}

// RateLimitPolicyList is a list of RateLimitPolicy.
// +kubebuilder:object:root=true
type RateLimitPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RateLimitPolicy `json:"items"`
}

// RateLimitPolicySpec is the user's part.
type RateLimitPolicySpec struct {
	// Rules all count each request; the tightest decides.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Rules []RateLimitRule `json:"rules"`

	// Headers: whether answers carry RateLimit-Policy and RateLimit. A 429 always carries Retry-After.
	// +kubebuilder:default=Send
	Headers RateLimitHeaders `json:"headers,omitempty"`
}

// RateLimitRule lets limit requests pass in a window, per key.
type RateLimitRule struct {
	// Name appears in the RateLimit headers.
	// +required
	Name ObjectName `json:"name"`

	// +kubebuilder:default={type: "Client"}
	Key RateLimitKey `json:"key,omitempty"`

	// Limit is how many requests a window lets pass.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000000
	Limit int32 `json:"limit"`

	// Window over which the limit refills, evenly.
	// +required
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="between 1s and 24h"
	Window Duration `json:"window"`

	// Burst is how many may come at once. Without it, as many as limit.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000000
	Burst *int32 `json:"burst,omitempty"`

	// Mode: Enforce refuses what exceeds, Shadow only counts it.
	// +kubebuilder:default=Enforce
	Mode RateLimitMode `json:"mode,omitempty"`
}

// BurstOrLimit returns how many requests may come at once.
func (r RateLimitRule) BurstOrLimit() int32 {
	if r.Burst != nil {
		return *r.Burst
	}
	return r.Limit
}

// RateLimitKey says who shares one bucket.
// +kubebuilder:validation:XValidation:rule="(self.type == 'Header') == has(self.header)",message="header is needed with type Header, and only then"
type RateLimitKey struct {
	// Type: Client is the address (IPv6: its /64), Subject the user, APIKey the key. A request that lacks the thing asked
	// for is counted by its address.
	// +required
	Type RateLimitKeyType `json:"type"`

	// Header whose value is the key, with type Header.
	// +optional
	Header HeaderName `json:"header,omitempty"`
}

// RateLimitKeyType is what a bucket belongs to.
// +kubebuilder:validation:Enum=Client;Subject;APIKey;Header
type RateLimitKeyType string

// The key types.
const (
	KeyClient  RateLimitKeyType = "Client"
	KeySubject RateLimitKeyType = "Subject"
	KeyAPIKey  RateLimitKeyType = "APIKey"
	KeyHeader  RateLimitKeyType = "Header"
)

// RateLimitMode says whether a rule refuses.
// +kubebuilder:validation:Enum=Enforce;Shadow
type RateLimitMode string

// The modes.
const (
	Enforce RateLimitMode = "Enforce"
	Shadow  RateLimitMode = "Shadow"
)

// RateLimitHeaders says whether answers tell the limits.
// +kubebuilder:validation:Enum=Send;Omit
type RateLimitHeaders string

// The choices of headers.
const (
	SendHeaders RateLimitHeaders = "Send"
	OmitHeaders RateLimitHeaders = "Omit"
)
