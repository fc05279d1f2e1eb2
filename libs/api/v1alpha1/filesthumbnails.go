package v1alpha1

// Thumbnails says what making small pictures of large ones may cost. A picture beyond a bound is answered 415; one that finds
// no memory waits, and is answered 503 when that takes too long.
type Thumbnails struct {
	// Enabled is whether they are made at all.
	// +optional
	// +kubebuilder:default=true
	Enabled bool `json:"enabled"`

	// MaxPixels is the largest picture, whatever its bytes.
	// +kubebuilder:default=50000000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	MaxPixels int64 `json:"maxPixels,omitempty"`

	// MaxBytes is the largest file.
	// +kubebuilder:default="32Mi"
	// +kubebuilder:validation:XValidation:rule="quantity(self).compareTo(quantity('1Ki')) >= 0 && quantity(self).compareTo(quantity('1Gi')) <= 0",message="between 1Ki and 1Gi"
	MaxBytes Size `json:"maxBytes,omitempty"`

	// Memory is what all that are made at once may take. A picture whose type and size could need more is refused.
	// +kubebuilder:default="256Mi"
	// +kubebuilder:validation:XValidation:rule="quantity(self).compareTo(quantity('16Mi')) >= 0",message="at least 16Mi"
	Memory Size `json:"memory,omitempty"`
}
