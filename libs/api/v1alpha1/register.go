package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is what apiVersion says in every resource.
var GroupVersion = schema.GroupVersion{Group: "cloakroom.dev", Version: "v1alpha1"}

// The kinds, as the kind field spells them.
const (
	KindGatewayConfig   = "GatewayConfig"
	KindAuthConfig      = "AuthConfig"
	KindFilesConfig     = "FilesConfig"
	KindRoute           = "Route"
	KindTokenPolicy     = "TokenPolicy"
	KindSessionPolicy   = "SessionPolicy"
	KindRateLimitPolicy = "RateLimitPolicy"
	KindStoragePolicy   = "StoragePolicy"
)

// Object is any of the eight kinds.
// +kubebuilder:object:generate=false
type Object interface {
	runtime.Object
	metav1.Object
}

// Kinds returns all kinds.
func Kinds() []string {
	return []string{
		KindGatewayConfig, KindAuthConfig, KindFilesConfig,
		KindRoute, KindTokenPolicy, KindSessionPolicy, KindRateLimitPolicy, KindStoragePolicy,
	}
}

// New returns an empty object of a kind, or false when there is no such kind.
func New(kind string) (Object, bool) {
	switch kind {
	case KindGatewayConfig:
		return &GatewayConfig{}, true
	case KindAuthConfig:
		return &AuthConfig{}, true
	case KindFilesConfig:
		return &FilesConfig{}, true
	case KindRoute:
		return &Route{}, true
	case KindTokenPolicy:
		return &TokenPolicy{}, true
	case KindSessionPolicy:
		return &SessionPolicy{}, true
	case KindRateLimitPolicy:
		return &RateLimitPolicy{}, true
	case KindStoragePolicy:
		return &StoragePolicy{}, true
	}
	return nil, false
}

// Boot reports whether a kind is read once at start, so that a change waits for the next one.
func Boot(kind string) bool {
	return kind == KindGatewayConfig || kind == KindAuthConfig || kind == KindFilesConfig
}
