package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// StoragePolicy says how much a person may keep, and what and how long.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=storagepolicies,shortName=stp,categories=cloakroom
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name="Quota",type=string,JSONPath=`.spec.quota`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type StoragePolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec   StoragePolicySpec `json:"spec"`
	Status Status            `json:"status,omitempty"`
}

// StoragePolicyList is a list of StoragePolicy.
// +kubebuilder:object:root=true
type StoragePolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []StoragePolicy `json:"items"`
}

// StoragePolicySpec is the user's part.
// +kubebuilder:validation:XValidation:rule="quantity(self.maxObjectBytes).compareTo(quantity(self.quota)) <= 0",message="maxObjectBytes must not be more than quota"
type StoragePolicySpec struct {
	// Quota is how many bytes one person may keep, old versions and trash included.
	// +kubebuilder:default="10Gi"
	Quota Size `json:"quota,omitempty"`

	// MaxFiles is how many files one person may keep, empty ones included. What is in the trash counts, and each old version
	// counts as one.
	// +kubebuilder:default=1000000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	MaxFiles int64 `json:"maxFiles,omitempty"`

	// MaxObjectBytes is the largest file.
	// +kubebuilder:default="5Gi"
	MaxObjectBytes Size `json:"maxObjectBytes,omitempty"`

	// ContentTypes a file may have: type/subtype, type/* or */*.
	// +kubebuilder:default={"*/*"}
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	ContentTypes []MediaRange `json:"contentTypes,omitempty"`

	// VersionsKept is how many replaced contents of a file are kept beside the current one.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	VersionsKept int32 `json:"versionsKept"`

	// TrashRetention is how long a deleted file stays in the trash, where it still counts; then it is gone. 0s keeps it
	// there until its owner removes it.
	// +kubebuilder:default="720h"
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('8784h')",message="at most 8784h"
	TrashRetention Duration `json:"trashRetention,omitempty"`

	// UploadExpiry is how long a resumable upload waits for its next bytes before it is forgotten. Until then it holds the
	// quota it has reserved.
	// +kubebuilder:default="24h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('60s') && duration(self) <= duration('8784h')",message="between 60s and 8784h"
	UploadExpiry Duration `json:"uploadExpiry,omitempty"`

	// MaxLinkTTL is how long a link to a file may work at most. One that asks for longer is refused. 0s allows no links;
	// those there are still end when they were to end.
	// +kubebuilder:default="720h"
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('8784h')",message="at most 8784h"
	MaxLinkTTL Duration `json:"maxLinkTTL,omitempty"`

	// +kubebuilder:default={}
	DirectDownload DirectDownload `json:"directDownload,omitempty"`
}

// DirectDownload sends downloads to the store of bytes itself: the answer is a redirect to a signed address, good for a moment.
// Whoever has that address can read the content until its time is over, whatever happens meanwhile to the session, the link or the
// file. Only a bucket can do that; with bytes on a disk it changes nothing.
type DirectDownload struct {
	// Enabled turns it on.
	// +optional
	// +kubebuilder:default=false
	Enabled bool `json:"enabled"`

	// Lifetime of an address. A download that has begun by then goes on to its end.
	// +kubebuilder:default="60s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('3600s')",message="between 1s and 3600s"
	Lifetime Duration `json:"lifetime,omitempty"`

	// MinBytes is the smallest content that is sent this way: a small one comes sooner without the way around.
	// +kubebuilder:default="1Mi"
	MinBytes Size `json:"minBytes,omitempty"`
}

// MediaRange is type/subtype, type/* or */*, lower case, without parameters.
// +kubebuilder:validation:MaxLength=127
// +kubebuilder:validation:Pattern=`^(\*/\*|[a-z0-9][a-z0-9!#$&^_.+-]*/(\*|[a-z0-9][a-z0-9!#$&^_.+-]*))$`
type MediaRange string
