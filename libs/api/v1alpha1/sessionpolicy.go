package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SessionPolicy says how long sessions live, how tokens are signed, what a password must be and when guessing stops.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=sessionpolicies,shortName=sp,categories=cloakroom
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name="Access",type=string,JSONPath=`.spec.accessTTL`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type SessionPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec   SessionPolicySpec `json:"spec"`
	Status Status            `json:"status,omitempty"`
}

// SessionPolicyList is a list of SessionPolicy.
// +kubebuilder:object:root=true
type SessionPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SessionPolicy `json:"items"`
}

// SessionPolicySpec is the user's part.
// +kubebuilder:validation:XValidation:rule="duration(self.accessTTL) < duration(self.refreshTTL)",message="accessTTL must be shorter than refreshTTL"
// +kubebuilder:validation:XValidation:rule="duration(self.refreshTTL) <= duration(self.absoluteLifetime)",message="refreshTTL must not be longer than absoluteLifetime"
// +kubebuilder:validation:XValidation:rule="duration(self.accessTTL) <= duration(self.idleTimeout)",message="accessTTL must not be longer than idleTimeout"
// +kubebuilder:validation:XValidation:rule="duration(self.idleTimeout) <= duration(self.absoluteLifetime)",message="idleTimeout must not be longer than absoluteLifetime"
type SessionPolicySpec struct {
	// Algorithm signs new access tokens.
	// +kubebuilder:default=EdDSA
	Algorithm Algorithm `json:"algorithm,omitempty"`

	// AccessTTL is the life of an access token.
	// +kubebuilder:default="15m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('168h')",message="between 10s and 168h"
	AccessTTL Duration `json:"accessTTL,omitempty"`

	// RefreshTTL is the life of a refresh token, counted from the moment it is made.
	// +kubebuilder:default="720h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('60s') && duration(self) <= duration('8784h')",message="between 60s and 8784h"
	RefreshTTL Duration `json:"refreshTTL,omitempty"`

	// ReuseWindow is how long after a refresh the spent token still brings the same successor, for lost answers and
	// parallel tabs. It starts once, never slides, and closes when the successor is used. 0s is strict.
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('60s')",message="at most 60s"
	ReuseWindow Duration `json:"reuseWindow,omitempty"`

	// IdleTimeout ends a session that was not refreshed for so long.
	// +kubebuilder:default="720h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('60s') && duration(self) <= duration('8784h')",message="between 60s and 8784h"
	IdleTimeout Duration `json:"idleTimeout,omitempty"`

	// AbsoluteLifetime ends a session however much it is used.
	// +kubebuilder:default="2160h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('60s') && duration(self) <= duration('43920h')",message="between 60s and 43920h"
	AbsoluteLifetime Duration `json:"absoluteLifetime,omitempty"`

	// MaxSessions a person may have at once.
	// +kubebuilder:default=50
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxSessions int32 `json:"maxSessions,omitempty"`

	// OnNewAddress says what a refresh from another network address than the one before leads to: nothing, or a row in the
	// audit trail and a mail to the person. The refresh itself works either way.
	// +kubebuilder:default=Ignore
	OnNewAddress NewAddressAction `json:"onNewAddress,omitempty"`

	// Eviction says what a login beyond maxSessions does: end the oldest session, or be refused.
	// +kubebuilder:default=EndOldest
	Eviction SessionEviction `json:"eviction,omitempty"`

	// +kubebuilder:default={minLength: 8, maxLength: 256}
	Password PasswordRules `json:"password,omitempty"`

	// +kubebuilder:default={}
	Lockout Lockout `json:"lockout,omitempty"`

	// +kubebuilder:default={}
	Cookies SessionCookies `json:"cookies,omitempty"`
}

// SessionCookies are the cookies of browser sessions. They are always HttpOnly, Secure and bound to the host.
type SessionCookies struct {
	// SameSite says when browsers send them along from pages of other sites: Lax for links that a person follows, Strict
	// never.
	// +kubebuilder:default=Lax
	SameSite SameSite `json:"sameSite,omitempty"`

	// TrustedOrigins are further origins whose pages may sign in and act by these cookies; publicBaseURL's and the
	// gateway's own may always. A Route's cors must allow them with credentials as well.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	TrustedOrigins []OriginURL `json:"trustedOrigins,omitempty"`
}

// SameSite is the SameSite attribute of a cookie.
// +kubebuilder:validation:Enum=Lax;Strict
type SameSite string

// The values of SameSite.
const (
	SameSiteLax    SameSite = "Lax"
	SameSiteStrict SameSite = "Strict"
)

// NewAddressAction is what a refresh from another network address leads to.
// +kubebuilder:validation:Enum=Ignore;Tell
type NewAddressAction string

// The actions.
const (
	IgnoreNewAddress NewAddressAction = "Ignore"
	TellNewAddress   NewAddressAction = "Tell"
)

// SessionEviction is what happens to a login beyond the cap.
// +kubebuilder:validation:Enum=EndOldest;RefuseNew
type SessionEviction string

// The evictions.
const (
	EndOldest SessionEviction = "EndOldest"
	RefuseNew SessionEviction = "RefuseNew"
)

// PasswordRules are what a new password must be. Breached passwords and the account's own names are always refused.
// +kubebuilder:validation:XValidation:rule="self.minLength <= self.maxLength",message="minLength must not be more than maxLength"
type PasswordRules struct {
	// MinLength in characters (Unicode code points, after normalisation).
	// +kubebuilder:default=8
	// +kubebuilder:validation:Minimum=8
	// +kubebuilder:validation:Maximum=128
	MinLength int32 `json:"minLength,omitempty"`

	// MaxLength in characters. Longer ones are refused, never cut.
	// +kubebuilder:default=256
	// +kubebuilder:validation:Minimum=64
	// +kubebuilder:validation:Maximum=1024
	MaxLength int32 `json:"maxLength,omitempty"`

	// Require names sorts of characters of which a new password must hold at least one each. Length does more against
	// guessing than any of them; they are for clients that expect such rules.
	// +listType=set
	// +kubebuilder:validation:MaxItems=4
	// +optional
	Require []PasswordClass `json:"require,omitempty"`
}

// PasswordClass is a sort of characters. Special is what is neither letter nor digit, a blank too.
// +kubebuilder:validation:Enum=Upper;Lower;Digit;Special
type PasswordClass string

// The sorts.
const (
	PasswordUpper   PasswordClass = "Upper"
	PasswordLower   PasswordClass = "Lower"
	PasswordDigit   PasswordClass = "Digit"
	PasswordSpecial PasswordClass = "Special"
)

// Lockout stops guessing. Devices that have logged in before are never locked out by somebody else's guesses.
type Lockout struct {
	// MaxFailures for one account within the window.
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxFailures int32 `json:"maxFailures,omitempty"`

	// MaxFailuresPerAddress for one client address (IPv6: its /64) within the window.
	// +kubebuilder:default=100
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	MaxFailuresPerAddress int32 `json:"maxFailuresPerAddress,omitempty"`

	// Window in which failures are counted.
	// +kubebuilder:default="15m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="between 1s and 24h"
	Window Duration `json:"window,omitempty"`

	// Duration of the lock.
	// +kubebuilder:default="15m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="between 1s and 24h"
	Duration Duration `json:"duration,omitempty"`
}
