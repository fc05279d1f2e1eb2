package v1alpha1

// Scrub says how stored bytes are read back and compared with their digests. A file that does not match goes into
// quarantine: nobody is given any of it.
type Scrub struct {
	// Rate is how many bytes a second are read at most, so that people's own reads stay quick. An eighth of it is read while
	// there is traffic.
	// +kubebuilder:default="4Mi"
	Rate Size `json:"rate,omitempty"`

	// Every is how long a file may go unread. 0s turns the scrub off.
	// +kubebuilder:default="720h"
	// +kubebuilder:validation:XValidation:rule="duration(self) == duration('0s') || (duration(self) >= duration('1h') && duration(self) <= duration('8784h'))",message="0s, or between 1h and 8784h"
	Every Duration `json:"every,omitempty"`
}

// FileScanner is exactly one kind of scanner for harmful files. A file it finds something in goes into quarantine: it is
// listed, and reading it is answered 403.
// +kubebuilder:validation:XValidation:rule="has(self.clamd)",message="exactly one scanner is needed: clamd"
type FileScanner struct {
	// Clamd is a ClamAV daemon.
	// +optional
	Clamd *Clamd `json:"clamd,omitempty"`

	// OnUnavailable is what happens to a file while the scanner can't be asked.
	// +kubebuilder:default=Refuse
	OnUnavailable Unscanned `json:"onUnavailable,omitempty"`

	// OnOversize is what happens to a file that is larger than the scanner takes.
	// +kubebuilder:default=Allow
	OnOversize Unscanned `json:"onOversize,omitempty"`
}

// Unscanned is what happens to a file nobody could look into: Refuse the upload, or Allow it as it is.
// +kubebuilder:validation:Enum=Refuse;Allow
type Unscanned string

// What may happen to a file that could not be scanned.
const (
	UnscannedRefuse Unscanned = "Refuse"
	UnscannedAllow  Unscanned = "Allow"
)

// Clamd is a ClamAV daemon, asked by INSTREAM.
type Clamd struct {
	// Address is host:port, or unix: and the absolute path of a socket.
	// +required
	Address ScannerAddress `json:"address"`

	// MaxBytes is the largest file that is sent. It must not be more than clamd's StreamMaxLength.
	// +kubebuilder:default="25Mi"
	MaxBytes Size `json:"maxBytes,omitempty"`

	// Timeout bounds one scan, waiting for a free connection included.
	// +kubebuilder:default="60s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('30m')",message="between 1s and 30m"
	Timeout Duration `json:"timeout,omitempty"`

	// Connections is how many files are scanned at once.
	// +kubebuilder:default=4
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	Connections int32 `json:"connections,omitempty"`
}

// ScannerAddress is host:port, or unix: and an absolute path.
// +kubebuilder:validation:MaxLength=255
// +kubebuilder:validation:Pattern=`^(unix:/.+|([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5})$`
type ScannerAddress string
