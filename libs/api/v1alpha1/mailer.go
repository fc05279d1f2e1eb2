package v1alpha1

// Mailer is exactly one way to send mail.
// +kubebuilder:validation:XValidation:rule="(has(self.log) ? 1 : 0) + (has(self.smtp) ? 1 : 0) + (has(self.brevo) ? 1 : 0) == 1",message="exactly one of log, smtp, brevo is needed"
type Mailer struct {
	// From is the sender people see: no-reply@example.org, or Example <no-reply@example.org>.
	// +kubebuilder:default="Cloakroom <no-reply@localhost.localdomain>"
	From Mailbox `json:"from,omitempty"`

	// Log writes mails to files and shows them on the ops port. It is for development: whoever reads there can take
	// over accounts.
	// +optional
	Log *LogMailer `json:"log,omitempty"`

	// SMTP hands mails to a mail server.
	// +optional
	SMTP *SMTPMailer `json:"smtp,omitempty"`

	// Brevo hands mails to Brevo's HTTP API.
	// +optional
	Brevo *BrevoMailer `json:"brevo,omitempty"`
}

// Mailbox is a mail address with an optional name in front, in ASCII.
// +kubebuilder:validation:MinLength=3
// +kubebuilder:validation:MaxLength=320
// +kubebuilder:validation:Pattern=`^([A-Za-z0-9][A-Za-z0-9 ._-]* <[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+>|[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+)$`
type Mailbox string

// LogMailer keeps the newest mails as files.
type LogMailer struct {
	// Folder gets one .eml file for each mail. It is made when it is not there.
	// +kubebuilder:default="mail"
	Folder FilePath `json:"folder,omitempty"`
}

// SMTPMailer is a mail server.
// +kubebuilder:validation:XValidation:rule="has(self.username) == has(self.password)",message="username and password go together"
// +kubebuilder:validation:XValidation:rule="self.tls != 'None' || !has(self.password)",message="a password is never sent without TLS"
type SMTPMailer struct {
	// +required
	Host HostName `json:"host"`

	// Port of the server: 587 for StartTLS, 465 for Implicit.
	// +kubebuilder:default=587
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// TLS says how the connection is encrypted. None is for a relay on this very machine.
	// +kubebuilder:default=StartTLS
	TLS SMTPTLS `json:"tls,omitempty"`

	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Username string `json:"username,omitempty"`

	// +optional
	Password *SecretRef `json:"password,omitempty"`
}

// SMTPTLS is how a connection to a mail server is encrypted.
// +kubebuilder:validation:Enum=StartTLS;Implicit;None
type SMTPTLS string

// The ways. StartTLS is mandatory: a server that does not offer it gets no mail.
const (
	SMTPStartTLS SMTPTLS = "StartTLS"
	SMTPImplicit SMTPTLS = "Implicit"
	SMTPPlain    SMTPTLS = "None"
)

// HostName is the name or address of a machine.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:Pattern=`^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])$`
type HostName string

// BrevoMailer is an account at Brevo.
// +kubebuilder:validation:XValidation:rule="self.baseURL.startsWith('https://') || (has(self.allowPrivateAddresses) && self.allowPrivateAddresses)",message="baseURL must be https"
type BrevoMailer struct {
	// APIKey is the account's key.
	// +required
	APIKey SecretRef `json:"apiKey"`

	// BaseURL is where the API is.
	// +kubebuilder:default="https://api.brevo.com"
	BaseURL OriginURL `json:"baseURL,omitempty"`

	// AllowPrivateAddresses lets baseURL be a machine on a private network, for a stand-in in tests. Otherwise a
	// name that resolves to one is refused: a wrong answer of DNS must not turn the mailer into a way inside.
	// +optional
	AllowPrivateAddresses bool `json:"allowPrivateAddresses,omitempty"`
}
