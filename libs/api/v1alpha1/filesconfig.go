package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// FilesConfig is what the files service needs to start: listeners, catalogue, blobs, and whose tokens it believes. A
// change takes effect at the next start.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=fc,categories=cloakroom
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name="Issuer",type=string,JSONPath=`.spec.verifier.issuer`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type FilesConfig struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec   FilesConfigSpec `json:"spec"`
	Status Status          `json:"status,omitempty"`
}

// FilesConfigList is a list of FilesConfig.
// +kubebuilder:object:root=true
type FilesConfigList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []FilesConfig `json:"items"`
}

// FilesConfigSpec is the user's part.
type FilesConfigSpec struct {
	// +kubebuilder:default={}
	Listeners FilesListeners `json:"listeners,omitempty"`

	// Store is the catalogue. It can't change on a living object: the blobs' names are only known there.
	// +kubebuilder:default={sqlite: {path: "files.db"}}
	// +kubebuilder:validation:XValidation:rule="has(self.sqlite) == has(oldSelf.sqlite) && (!has(self.sqlite) || self.sqlite == oldSelf.sqlite)",message="the store can't change: its data would be left behind; move the data, then delete and create the object"
	Store Store `json:"store,omitempty"`

	// Blobs is where the bytes are. Neither folder nor bucket can change on a living object: every file would be missing. How a
	// bucket is reached and used can.
	// +kubebuilder:default={disk: {path: "blobs"}}
	// +kubebuilder:validation:XValidation:rule="has(self.disk) == has(oldSelf.disk) && (!has(self.disk) || self.disk == oldSelf.disk) && has(self.s3) == has(oldSelf.s3) && (!has(self.s3) || (self.s3.bucket == oldSelf.s3.bucket && has(self.s3.prefix) == has(oldSelf.s3.prefix) && (!has(self.s3.prefix) || self.s3.prefix == oldSelf.s3.prefix)))",message="the place of blobs can't change: every file would be missing; move the data, then delete and create the object"
	Blobs Blobs `json:"blobs,omitempty"`

	// KeepFree is the room that uploads leave on the disk of the blobs. The databases live there too on one machine: without
	// it, whoever may upload could fill the disk, and nobody could even log out.
	// +kubebuilder:default="256Mi"
	KeepFree Size `json:"keepFree,omitempty"`

	// RestoreHorizon is how far back the catalogue can be restored from a backup and still find the bytes of every file it
	// names: bytes outlive their last row by this much. 0s removes them at the next pass; then a restored catalogue may
	// name files whose bytes are gone.
	// +kubebuilder:default="24h"
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('8784h')",message="at most 8784h"
	RestoreHorizon Duration `json:"restoreHorizon,omitempty"`

	// +kubebuilder:default={}
	Scrub Scrub `json:"scrub,omitempty"`

	// Scanner looks into files before they are kept. Without one nobody does.
	// +optional
	Scanner *FileScanner `json:"scanner,omitempty"`

	// Webhooks are the endpoints that hear of what happens to files.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Webhooks []Webhook `json:"webhooks,omitempty"`

	// +kubebuilder:default={}
	Thumbnails Thumbnails `json:"thumbnails,omitempty"`

	// Dialects are contracts of other systems that are spoken too, so that their clients can stay as they are. Each answers at
	// /compat/<name>/ of the public listener; Routes bring clients there. Without any, none is spoken.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Dialects []FilesDialect `json:"dialects,omitempty"`

	// PublicBaseURL is where people reach the gateway. The addresses of links are made of it and never of a request's Host.
	// +kubebuilder:default="http://localhost:8080"
	PublicBaseURL OriginURL `json:"publicBaseURL,omitempty"`

	// +kubebuilder:default={}
	Verifier Verifier `json:"verifier,omitempty"`

	// StoragePolicyRef names the StoragePolicy that uploads follow.
	// +kubebuilder:default={name: "default"}
	StoragePolicyRef LocalRef `json:"storagePolicyRef,omitempty"`

	// +kubebuilder:default={}
	Drain Drain `json:"drain,omitempty"`

	// +kubebuilder:default={}
	Telemetry Telemetry `json:"telemetry,omitempty"`

	// StateDir is where status files are written, below status/. Without one there are none.
	// +optional
	StateDir FilePath `json:"stateDir,omitempty"`
}

// FilesListeners are the addresses the files service binds.
type FilesListeners struct {
	// Public takes what the gateway forwards.
	// +kubebuilder:default={address: "127.0.0.1:8083"}
	Public Listener `json:"public,omitempty"`

	// Ops serves metrics, health, profiles and resource status. It is unauthenticated: keep it off the internet.
	// +kubebuilder:default={address: "127.0.0.1:9092"}
	Ops Listener `json:"ops,omitempty"`
}

// FilesDialect is one contract of another system, as far as it is about files. AuthConfig names the same for the rest of it.
type FilesDialect struct {
	// Name of the contract.
	// +required
	Name FilesDialectName `json:"name"`
}

// FilesDialectName is a contract the files service can speak.
// +kubebuilder:validation:Enum=rest-auth-files
type FilesDialectName string

// Blobs is exactly one kind of place for bytes.
// +kubebuilder:validation:XValidation:rule="has(self.disk) != has(self.s3)",message="exactly one place for blobs is needed: disk or s3"
type Blobs struct {
	// Disk is a folder on this machine.
	// +optional
	Disk *DiskBlobs `json:"disk,omitempty"`

	// S3 is a bucket that any number of files services share.
	// +optional
	S3 *S3Blobs `json:"s3,omitempty"`
}

// DiskBlobs is a folder of blobs.
type DiskBlobs struct {
	// Path is the folder. It belongs to one files service alone.
	// +required
	Path FilePath `json:"path"`
}

// Verifier says whose access tokens the service believes. It checks every token again, behind the gateway.
// +kubebuilder:validation:XValidation:rule="!has(self.internalURL) || !has(self.internalURLs)",message="at most one of internalURL, internalURLs"
type Verifier struct {
	// +kubebuilder:default="cloakroom"
	Issuer Issuer `json:"issuer,omitempty"`

	// Audiences: a token must name one of them.
	// +kubebuilder:default={"cloakroom"}
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Audiences []Audience `json:"audiences,omitempty"`

	// Algorithms a token may be signed with.
	// +kubebuilder:default={"EdDSA"}
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=5
	Algorithms []Algorithm `json:"algorithms,omitempty"`

	// Leeway for clocks that differ.
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('60s')",message="at most 60s"
	Leeway Duration `json:"leeway,omitempty"`

	// Where the auth service's internal listener is; http://127.0.0.1:8082 when neither is given.
	InternalOrigins `json:",inline"`

	// MaxStaleness is how old the view of revocations may be; beyond it authenticated requests are answered 503.
	// +kubebuilder:default="5s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('2s') && duration(self) <= duration('300s')",message="between 2s and 300s"
	MaxStaleness Duration `json:"maxStaleness,omitempty"`
}

// AuthURLs are the internal listeners of the auth service's replicas; at least one.
func (v Verifier) AuthURLs() []OriginURL {
	if urls := v.AllInternal(); len(urls) > 0 {
		return urls
	}
	return []OriginURL{"http://127.0.0.1:8082"}
}
