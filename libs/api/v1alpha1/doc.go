// Package v1alpha1 holds Cloakroom's configuration resources, group cloakroom.dev.
//
// Each type is at once the Go value a service reads, the documentation of its YAML and the source of its CRD: the
// markers on fields become the schema, so there is one place to say what is allowed. Boot kinds (GatewayConfig,
// AuthConfig, FilesConfig) are read once at start; the others are live and may change while requests run.
//
// Conventions, kept on every type: spec is the user's and never written by us; status holds conditions only; durations
// are GEP-2257 strings, sizes are strings with a binary unit; a secret is never here, only a SecretRef; defaults are in
// the schema, so an object that passed package resource has them all filled in. Objects in a resource.Snapshot are
// shared by every reader and must not be changed.
//
// +kubebuilder:object:generate=true
// +groupName=cloakroom.dev
package v1alpha1

//go:generate ../../../.bin/controller-gen object crd paths=. output:crd:dir=./crds
//go:generate sh -c "go run ../../internal/crdrevision revisions.txt crds/*.yaml"
//go:generate sh -c "cp crds/*.yaml ../../../k8s/crds/"
