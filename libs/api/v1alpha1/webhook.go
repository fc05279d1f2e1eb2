package v1alpha1

// Webhook is an endpoint that hears of what happens to files, after it has happened, signed as Standard Webhooks has it.
// +kubebuilder:validation:XValidation:rule="self.url.startsWith('https://') || (has(self.allowPrivateAddresses) && self.allowPrivateAddresses)",message="plain http is for networks of one's own: use https, or set allowPrivateAddresses"
type Webhook struct {
	// Name tells it from others, in metrics, logs and commands. Under a new name it is a new endpoint, which hears of what
	// happens from then on; the old one is forgotten with what it had not been sent.
	// +required
	Name WebhookName `json:"name"`

	// URL takes the POST. It must not need a redirect.
	// +required
	URL WebhookURL `json:"url"`

	// SecretRef is what messages are signed with: whsec_ and the base64 of 24 to 64 random bytes, as `files-svc webhook
	// new-secret` makes it. Two secrets, separated by a space or a new line, both sign: so a secret is changed. A file is
	// read anew for each message.
	// +required
	SecretRef SecretRef `json:"secretRef"`

	// Events it hears of; all, when none are named.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Events []WebhookEvent `json:"events,omitempty"`

	// AllowPrivateAddresses lets the URL lead to private and loopback addresses. Link-local ones, where clouds lend
	// credentials, are never called.
	// +optional
	AllowPrivateAddresses bool `json:"allowPrivateAddresses,omitempty"`

	// Timeout bounds one attempt.
	// +kubebuilder:default="15s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('60s')",message="between 1s and 60s"
	Timeout Duration `json:"timeout,omitempty"`

	// Concurrency is how many attempts are under way at once.
	// +kubebuilder:default=4
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	Concurrency int32 `json:"concurrency,omitempty"`
}

// WebhookName is lower-case letters, digits and hyphens.
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
type WebhookName string

// WebhookURL is a URL without credentials and without a fragment.
// +kubebuilder:validation:MaxLength=1024
// +kubebuilder:validation:Pattern=`^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?([/?][!-"$-~]*)?$`
// +kubebuilder:validation:XValidation:rule="isURL(self)",message="not a URL"
type WebhookURL string

// WebhookEvent is something that can happen.
// +kubebuilder:validation:Enum=file.created;file.replaced;file.updated;file.trashed;file.restored;file.deleted;owner.erased;link.created;link.revoked
type WebhookEvent string
