package crdsource

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/api/v1alpha1/crds"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
)

// cluster is the API server as far as we need it.
type cluster struct {
	namespace string
	dynamic   dynamic.Interface
	discovery discovery.DiscoveryInterface
	leases    coordination.LeasesGetter
}

// connect makes the clients; nothing is sent yet.
func connect(config *rest.Config, namespace string) (*cluster, error) {
	if wrong := validation.IsDNS1123Label(namespace); len(wrong) > 0 {
		return nil, fmt.Errorf("namespace %q: %s", namespace, wrong[0])
	}
	config = rest.CopyConfig(config)
	config.UserAgent = "cloakroom"
	config.QPS, config.Burst = 20, 50 // a thousand statuses in a minute, and never a storm
	d, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	disco, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	leases, err := coordination.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	return &cluster{namespace, d, disco, leases}, nil
}

func (c *cluster) objects(kind string) dynamic.ResourceInterface {
	return c.dynamic.Resource(v1alpha1.GroupVersion.WithResource(crds.Plural(kind))).Namespace(c.namespace)
}

// diagnose says in words a person can act on why a kind can't be read.
func (c *cluster) diagnose(ctx context.Context, kind string, err error) error {
	what := crds.Plural(kind) + "." + v1alpha1.GroupVersion.Group
	switch {
	case apierrors.IsNotFound(err):
		return c.missing(ctx, what)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("no right to list and watch %s in namespace %s: grant it to the service account (%w)", what, c.namespace, err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the API server doesn't know us: the token or certificate is refused (%w)", err)
	default:
		return fmt.Errorf("the API server doesn't answer for %s: %w", what, err)
	}
}

// missing tells a CRD that isn't there from one that is there in other versions.
func (c *cluster) missing(ctx context.Context, what string) error {
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var group metav1.APIGroup
	body, err := c.discovery.RESTClient().Get().AbsPath("/apis/" + v1alpha1.GroupVersion.Group).DoRaw(asking)
	if err != nil || json.Unmarshal(body, &group) != nil {
		return fmt.Errorf("CustomResourceDefinition %s is not installed: apply k8s/crds", what)
	}
	var versions []string
	for _, v := range group.Versions {
		versions = append(versions, v.Version)
	}
	if !slices.Contains(versions, v1alpha1.GroupVersion.Version) {
		return fmt.Errorf("the cluster serves %s in version %s, and this program reads %s: the CRDs and the program are of different releases",
			what, strings.Join(versions, ", "), v1alpha1.GroupVersion.Version)
	}
	return fmt.Errorf("CustomResourceDefinition %s is not installed, or doesn't serve version %s: apply k8s/crds", what, v1alpha1.GroupVersion.Version)
}
