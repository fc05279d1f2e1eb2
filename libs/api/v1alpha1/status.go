package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// The condition types. Ready is the summary: True exactly when the object's present content is what serves requests.
const (
	ConditionAccepted     = "Accepted"
	ConditionResolvedRefs = "ResolvedRefs"
	ConditionProgrammed   = "Programmed"
	ConditionReady        = "Ready"
)

// The reasons, the Gateway API's where it has one.
const (
	ReasonAccepted     = "Accepted"
	ReasonInvalid      = "Invalid"
	ReasonConflicted   = "Conflicted"
	ReasonResolvedRefs = "ResolvedRefs"
	ReasonRefNotFound  = "RefNotFound"
	ReasonProgrammed   = "Programmed"
	// In force, and not at every replica: the message says at how many.
	ReasonPartiallyProgrammed = "PartiallyProgrammed"
	ReasonOverridden          = "Overridden"
	ReasonPending             = "Pending"
	ReasonReady               = "Ready"

	// ReasonRestartRequired is for boot kinds: the change is accepted and waits for the next start.
	ReasonRestartRequired = "RestartRequired"
)

// Status is what we say about an object. It is never read back as configuration.
type Status struct {
	// Conditions: Accepted, ResolvedRefs, Programmed, Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}
