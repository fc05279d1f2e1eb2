// Package crds carries the CustomResourceDefinitions generated from package v1alpha1, so that a process can judge a
// file the way the Kubernetes API server would. k8s/crds holds the same files for kubectl; a test keeps them equal.
package crds

import (
	"embed"
	"fmt"
)

//go:embed *.yaml
var files embed.FS

// plurals name the file of each kind, so that reading one CRD doesn't parse the others.
var plurals = map[string]string{
	"GatewayConfig":   "gatewayconfigs",
	"AuthConfig":      "authconfigs",
	"FilesConfig":     "filesconfigs",
	"Route":           "routes",
	"TokenPolicy":     "tokenpolicies",
	"SessionPolicy":   "sessionpolicies",
	"RateLimitPolicy": "ratelimitpolicies",
	"StoragePolicy":   "storagepolicies",
}

// Plural is a kind as the API server spells it in paths: routes. It is empty for what is no kind.
func Plural(kind string) string { return plurals[kind] }

// Read returns the CRD of a kind, as YAML.
func Read(kind string) ([]byte, error) {
	plural, ok := plurals[kind]
	if !ok {
		return nil, fmt.Errorf("no kind %q in cloakroom.dev/v1alpha1", kind)
	}
	return files.ReadFile("cloakroom.dev_" + plural + ".yaml")
}
