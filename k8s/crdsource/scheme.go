package crdsource

import (
	"fmt"
	"os"
	"strings"

	"cloakroom.dev/libs/process"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

var _ process.Source = (*Source)(nil)

// Scheme makes `--config crd://NAMESPACE` known to a program. In a pod the service account is used, elsewhere $KUBECONFIG or
// ~/.kube/config, as kubectl does.
func Scheme() process.Scheme { return process.Scheme{Name: "crd", Hint: "NAMESPACE", Open: open} }

func open(namespace string, opts process.SourceOptions) (process.Source, error) {
	config, err := ClusterConfig()
	if err != nil {
		return nil, fmt.Errorf("--config crd://%s: %w", namespace, err)
	}
	klog.SetSlogLogger(opts.Log) // the client library writes where everyone writes
	return New(config, Options{
		Service: opts.Service, Namespace: namespace, Kinds: opts.Kinds, Log: opts.Log, Registerer: opts.Registerer,
	})
}

// ClusterConfig is how the cluster is reached: by the service account in a pod, elsewhere as kubectl does.
func ClusterConfig() (*rest.Config, error) {
	if os.Getenv("KUBECONFIG") == "" && os.Getenv("KUBERNETES_SERVICE_HOST") != "" {
		return rest.InClusterConfig()
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
}

// identity is unique among replicas, and names the pod.
func identity() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return strings.ToLower(host) + "-" + random()
}
