package resource

import (
	"cloakroom.dev/libs/api/v1alpha1"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Status is what a service says about one object: its ResolvedRefs and Programmed conditions. Only Type, Status, Reason
// and Message of a condition are read; the source fills in the rest.
type Status struct {
	Kind       string
	Name       string
	Generation int64 // of the object the conditions speak of
	Conditions []metav1.Condition
}

// Programmed says that the object serves requests.
func Programmed(o Object) Status {
	return statusOf(o,
		condition(v1alpha1.ConditionResolvedRefs, metav1.ConditionTrue, v1alpha1.ReasonResolvedRefs, ""),
		condition(v1alpha1.ConditionProgrammed, metav1.ConditionTrue, v1alpha1.ReasonProgrammed, ""))
}

// NotProgrammed says that the object doesn't serve requests, and why; reason is one of v1alpha1's.
func NotProgrammed(o Object, reason, message string) Status {
	return statusOf(o, condition(v1alpha1.ConditionProgrammed, metav1.ConditionFalse, reason, message))
}

// UnresolvedRefs says that the object names something that isn't there, so that what it claims is refused.
func UnresolvedRefs(o Object, message string) Status {
	return statusOf(o,
		condition(v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonRefNotFound, message),
		condition(v1alpha1.ConditionProgrammed, metav1.ConditionFalse, v1alpha1.ReasonRefNotFound, message))
}

func statusOf(o Object, conditions ...metav1.Condition) Status {
	return Status{Kind: KindOf(o), Name: o.GetName(), Generation: o.GetGeneration(), Conditions: conditions}
}

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

// Record is everything known about one object, for people and status files.
type Record struct {
	Kind       string             `json:"kind"`
	Name       string             `json:"name"`
	File       string             `json:"file,omitempty"`
	Line       int                `json:"line,omitempty"`
	Generation int64              `json:"generation"`        // counts the contents seen
	Serving    int64              `json:"serving,omitempty"` // the generation in force; 0 when none ever was accepted
	Conditions []metav1.Condition `json:"conditions"`
	Findings   []Finding          `json:"findings,omitempty"`
}
