package v1alpha1

// IdentityProvider is an OpenID Connect provider where people can sign in. Register
// `<publicBaseURL>/v1/auth/providers/<name>/callback` there as the redirect URI.
// +kubebuilder:validation:XValidation:rule="self.issuer.startsWith('https://') || (has(self.allowPrivateAddresses) && self.allowPrivateAddresses)",message="issuer must be https"
type IdentityProvider struct {
	// Name stands in paths. It can be changed: links are kept by issuer.
	// +required
	Name ProviderName `json:"name"`

	// DisplayName is what a sign-in page shows.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	DisplayName string `json:"displayName"`

	// Issuer is the provider's own name, to the letter: its description is found below it.
	// +required
	Issuer IssuerURL `json:"issuer"`

	// ClientID is what the provider calls this service.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	ClientID string `json:"clientID"`

	// ClientSecret is this service's password there. Public clients have none.
	// +optional
	ClientSecret *SecretRef `json:"clientSecret,omitempty"`

	// Scopes are asked for besides openid.
	// +kubebuilder:default={"email","profile"}
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Scopes []Scope `json:"scopes,omitempty"`

	// ReturnURLs are where people may be sent back to with a one-time code, each to the letter. The first is the default.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	ReturnURLs []ReturnURL `json:"returnURLs"`

	// NewPeople says what happens to somebody whom nobody here is linked to.
	// +kubebuilder:default=Create
	NewPeople NewPeople `json:"newPeople,omitempty"`

	// LinkByEmail says whether somebody new there may be taken for the person here with the same address. Trust a provider with
	// VerifiedEmail only if it checks addresses: it could open any account with one.
	// +kubebuilder:default=VerifiedEmail
	LinkByEmail LinkByEmail `json:"linkByEmail,omitempty"`

	// AllowPrivateAddresses lets the provider be on a private network, and speak plain HTTP there. Otherwise an address that is
	// not public is refused when it is dialled. Link-local addresses, where clouds keep credentials, are refused always.
	// +optional
	AllowPrivateAddresses bool `json:"allowPrivateAddresses,omitempty"`
}

// ProviderName is a word.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=40
// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
type ProviderName string

// IssuerURL is a provider's name, with neither query nor fragment.
// +kubebuilder:validation:MaxLength=255
// +kubebuilder:validation:Pattern=`^https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$`
type IssuerURL string

// Scope is something to ask a provider for.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:Pattern=`^[A-Za-z0-9._:/-]+$`
type Scope string

// ReturnURL is a page of a web client (https, or http on this machine) or a private-use URI of an app, such as
// com.example.app:/signed-in. It has no fragment.
// +kubebuilder:validation:MinLength=5
// +kubebuilder:validation:MaxLength=512
// +kubebuilder:validation:Pattern=`^(https://[A-Za-z0-9.-]+(:[0-9]{1,5})?|http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?|[a-z][a-z0-9-]*(\.[a-z0-9-]+)+:)(/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?$`
type ReturnURL string

// NewPeople is what to do with newcomers.
// +kubebuilder:validation:Enum=Create;Refuse
type NewPeople string

// The choices.
const (
	CreatePeople NewPeople = "Create"
	RefusePeople NewPeople = "Refuse"
)

// LinkByEmail is when an address links.
// +kubebuilder:validation:Enum=VerifiedEmail;Never
type LinkByEmail string

// The choices. VerifiedEmail needs the address to be verified on both sides.
const (
	LinkVerifiedEmail LinkByEmail = "VerifiedEmail"
	LinkNever         LinkByEmail = "Never"
)
