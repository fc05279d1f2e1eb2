package v1alpha1

// S3Blobs is a bucket in a store that speaks S3. It must be there, and belong to the files services of one catalogue alone:
// what no row knows is deleted in time. Services on one catalogue share it.
// +kubebuilder:validation:XValidation:rule="quantity(self.memory).sub(quantity(self.partSize)).compareTo(quantity(self.partSize)) >= 0",message="memory must hold at least two parts of partSize"
type S3Blobs struct {
	// Endpoint is scheme, host and port of the store.
	// +required
	Endpoint OriginURL `json:"endpoint"`

	// PublicEndpoint is the store's scheme, host and port as clients reach it, for the addresses of direct downloads
	// (StoragePolicy.directDownload): their signature holds for this host alone. Without one they name the endpoint.
	// +optional
	PublicEndpoint OriginURL `json:"publicEndpoint,omitempty"`

	// Region goes into the signatures of requests. Many stores take any.
	// +kubebuilder:default="us-east-1"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[a-z0-9-]+$`
	Region string `json:"region,omitempty"`

	// Bucket by its name.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9][a-z0-9.-]*[a-z0-9]$`
	Bucket string `json:"bucket"`

	// Prefix of all keys: a folder within the bucket, ending with a slash.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^([A-Za-z0-9_.-]+/)+$`
	Prefix string `json:"prefix,omitempty"`

	// PathStyle puts the bucket into the path of requests instead of the host's name. Amazon needs false, most others true.
	// +optional
	// +kubebuilder:default=true
	PathStyle bool `json:"pathStyle"`

	// AccessKey is where the id of the access key is.
	// +required
	AccessKey SecretRef `json:"accessKey"`

	// SecretKey is where the access key's secret is.
	// +required
	SecretKey SecretRef `json:"secretKey"`

	// CAFile holds the certificates, in PEM, that the store's own may be signed by; without it the system's count.
	// +optional
	CAFile FilePath `json:"caFile,omitempty"`

	// Checksums says what the store's own checksums are worth. Auto asks the store, with a wrong one, whether it looks at
	// them; when it does not, what is written is read back before it counts. Required refuses to write to such a store. Off
	// sends none, and reads everything back.
	// +kubebuilder:default=Auto
	Checksums S3Checksums `json:"checksums,omitempty"`

	// PartSize is how much is sent at once. A file has at most 10000 parts.
	// +kubebuilder:default="8Mi"
	// +kubebuilder:validation:XValidation:rule="quantity(self).compareTo(quantity('5Mi')) >= 0 && quantity(self).compareTo(quantity('512Mi')) <= 0",message="between 5Mi and 512Mi"
	PartSize Size `json:"partSize,omitempty"`

	// Memory is what the parts of all uploads under way may take. An upload above 64 KiB holds one part or two; one that finds
	// no room within 20 s is answered 503.
	// +kubebuilder:default="128Mi"
	// +kubebuilder:validation:XValidation:rule="quantity(self).compareTo(quantity('10Mi')) >= 0 && quantity(self).compareTo(quantity('64Gi')) <= 0",message="between 10Mi and 64Gi"
	Memory Size `json:"memory,omitempty"`
}

// S3Checksums is what a store's checksums are worth.
// +kubebuilder:validation:Enum=Auto;Required;Off
type S3Checksums string

// The checksum modes.
const (
	S3ChecksumsAuto     S3Checksums = "Auto"
	S3ChecksumsRequired S3Checksums = "Required"
	S3ChecksumsOff      S3Checksums = "Off"
)
