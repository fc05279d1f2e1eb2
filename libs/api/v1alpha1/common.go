package v1alpha1

import (
	"math"
	"strconv"
	"strings"
	"time"

	"cloakroom.dev/libs/secret"
)

// Duration is a GEP-2257 duration: up to four parts out of h, m, s and ms, each up to five digits, such as 1h30m.
// +kubebuilder:validation:MaxLength=24
// +kubebuilder:validation:Pattern=`^([0-9]{1,5}(h|m|s|ms)){1,4}$`
type Duration string

// Std returns the duration. A value that passed the schema always parses; anything else, the empty one included, is 0.
func (d Duration) Std() time.Duration {
	v, err := time.ParseDuration(string(d))
	if err != nil {
		return 0
	}
	return v
}

// Size is a number of bytes above zero with an optional binary unit: 512, 64Ki, 20Mi, 5Gi, 1Ti. In YAML a bare number
// needs quotes.
// +kubebuilder:validation:MaxLength=18
// +kubebuilder:validation:Pattern=`^([1-9][0-9]{0,17}|[1-9][0-9]{0,8}(Ki|Mi|Gi)|[1-9][0-9]{0,5}Ti)$`
type Size string

// Bytes returns the size in bytes. A value that passed the schema always parses; anything else, the empty one
// included, is 0.
func (s Size) Bytes() int64 {
	digits, shift := string(s), 0
	for i, unit := range []string{"Ki", "Mi", "Gi", "Ti"} {
		if rest, ok := strings.CutSuffix(digits, unit); ok {
			digits, shift = rest, 10*(i+1)
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n > math.MaxInt64>>shift {
		return 0
	}
	return int64(n) << shift
}

// SecretRef says where a secret is. A resource never holds the secret itself.
// +kubebuilder:validation:XValidation:rule="has(self.file) != has(self.env)",message="exactly one of file, env is needed"
type SecretRef struct {
	// File holds the secret and nothing else; one trailing newline is dropped. A relative path starts at the base folder.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	File string `json:"file,omitempty"`

	// Env is the name of the environment variable that holds the secret.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_]*$`
	Env string `json:"env,omitempty"`
}

// Ref returns the reference as package secret reads it. A relative file is still relative: join it to the base folder.
func (r SecretRef) Ref() secret.Ref { return secret.Ref{File: r.File, Env: r.Env} }

// LocalRef names an object of the kind the field says, in the same namespace or folder.
type LocalRef struct {
	// +required
	Name ObjectName `json:"name"`
}

// ObjectName is the name of another object.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`
type ObjectName string

// Address is where a listener binds, host:port. An empty host is every interface; port 0 lets the system choose.
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=255
// +kubebuilder:validation:Pattern=`^([A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]):([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$`
type Address string

// Listener is one address a service accepts connections on.
type Listener struct {
	// +required
	Address Address `json:"address"`
}

// OriginURL is scheme, host and port, with no path: http://127.0.0.1:8081.
// +kubebuilder:validation:MaxLength=255
// +kubebuilder:validation:Pattern=`^https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`
type OriginURL string

// FilePath is a path on this machine. A relative one starts at the base folder of the process.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=1024
type FilePath string

// HeaderName is the name of an HTTP header field.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:Pattern="^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
type HeaderName string

// HeaderValue is the value of an HTTP header field: visible ASCII, spaces and tabs.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=1024
// +kubebuilder:validation:Pattern=`^[!-~]([\t -~]*[!-~])?$`
type HeaderValue string

// Algorithm is a JWS signature algorithm. Only asymmetric ones exist here: whoever verifies must not be able to sign.
// +kubebuilder:validation:Enum=EdDSA;ES256;ES512;RS256;RS512
type Algorithm string

// Issuer is the `iss` of access tokens: the same string in AuthConfig, TokenPolicy and FilesConfig.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=255
// +kubebuilder:validation:Pattern=`^[!-~]+$`
type Issuer string

// Audience is one entry of the `aud` of access tokens.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=255
// +kubebuilder:validation:Pattern=`^[!-~]+$`
type Audience string

// Drain says how a process goes away without dropping a request.
type Drain struct {
	// Delay is how long the process keeps accepting after it said it is not ready, so that load balancers can notice.
	// +kubebuilder:default="0s"
	Delay Duration `json:"delay,omitempty"`

	// Timeout is how long running requests may take to finish after that; then they are cut.
	// +kubebuilder:default="30s"
	Timeout Duration `json:"timeout,omitempty"`
}

// Telemetry says where traces go. Metrics and logs need no setting.
type Telemetry struct {
	// OTLPEndpoint receives traces as OTLP over HTTP. Without one no trace leaves the process.
	// +optional
	OTLPEndpoint OriginURL `json:"otlpEndpoint,omitempty"`

	// SamplingRatePerMillion is how many of a million new traces are kept; a caller's own decision is followed.
	// +optional
	// +kubebuilder:default=1000000
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	SamplingRatePerMillion int32 `json:"samplingRatePerMillion"`
}

// Ratio returns the share of new traces that are kept, 0 to 1.
func (t Telemetry) Ratio() float64 { return float64(t.SamplingRatePerMillion) / 1_000_000 }
