// Package makesecrets is a command that makes Secrets with random content in a cluster, once.
//
//	make-secrets --namespace NS NAME=KEY,KEY…  ->  one create for each NAME; the API server says whether it was there
//
// It promises to ask for nothing but `create` on Secrets: what is there already is neither read nor changed, so that it can
// run before each upgrade, and whoever takes its service account over learns nothing. Each value is 32 random bytes as hex,
// which never leave the process but in that request.
package makesecrets

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloakroom.dev/libs/run"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

const (
	timeout    = 30 * time.Second
	maxSecrets = 16
	maxKeys    = 16
)

// wanted is one Secret to make.
type wanted struct {
	name string
	keys []string
}

// Command makes Secrets in the cluster that config leads to.
func Command(config func() (*rest.Config, error)) run.Command {
	return run.Command{
		Name: "make-secrets", Summary: "make Secrets with random keys, where they are missing: make-secrets --namespace NS NAME=KEY,KEY…",
		Run: func(ctx context.Context, args []string, to run.IO) error {
			var namespace string
			fs := run.Flags("make-secrets", "Makes each Secret NAME with 32 random bytes, as hex, under each KEY. One that is there stays as it is.", to)
			fs.StringVar(&namespace, "namespace", "", "where to make them")
			if err := run.ParseFlags(fs, args, 1, maxSecrets); err != nil {
				return err
			}
			all, err := parse(namespace, fs.Args())
			if err != nil {
				return fmt.Errorf("%w: %w", run.ErrUsage, err)
			}
			at, err := config()
			if err != nil {
				return fmt.Errorf("find the cluster: %w", err)
			}
			client, err := typed.NewForConfig(at)
			if err != nil {
				return fmt.Errorf("connect to the cluster: %w", err)
			}
			return makeAll(ctx, client.Secrets(namespace), all, to)
		},
	}
}

// parse reads NAME=KEY,KEY of each argument.
func parse(namespace string, args []string) (all []wanted, err error) {
	if wrong := validation.IsDNS1123Label(namespace); len(wrong) > 0 {
		return nil, fmt.Errorf("--namespace %q: %s", namespace, wrong[0])
	}
	for _, arg := range args {
		name, list, _ := strings.Cut(arg, "=")
		w := wanted{name, strings.Split(list, ",")}
		if wrong := validation.IsDNS1123Subdomain(name); len(wrong) > 0 {
			return nil, fmt.Errorf("%q: %s", arg, wrong[0])
		}
		if len(w.keys) > maxKeys {
			return nil, fmt.Errorf("%q: at most %d keys", arg, maxKeys)
		}
		for i, key := range w.keys {
			if wrong := validation.IsConfigMapKey(key); len(wrong) > 0 {
				return nil, fmt.Errorf("%q: %s", arg, wrong[0])
			}
			if slices.Contains(w.keys[:i], key) {
				return nil, fmt.Errorf("%q: %s is there twice", arg, key)
			}
		}
		all = append(all, w)
	}
	return all, nil
}

// makeAll makes each that is missing. The order is that of the arguments, and the first failure ends it: the next run goes on.
func makeAll(ctx context.Context, secrets typed.SecretInterface, all []wanted, to run.IO) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for _, w := range all {
		said := "made"
		_, err := secrets.Create(ctx, fresh(w), metav1.CreateOptions{FieldManager: "cloakroom-make-secrets"})
		switch {
		case apierrors.IsAlreadyExists(err):
			said = "is there already"
		case apierrors.IsForbidden(err):
			return fmt.Errorf("no right to create the Secret %s: grant it to the service account (%w)", w.name, err)
		case err != nil:
			return fmt.Errorf("make the Secret %s: %w", w.name, err)
		}
		if _, err := fmt.Fprintf(to.Stdout, "Secret %s: %s\n", w.name, said); err != nil {
			return err
		}
	}
	return nil
}

// fresh is a Secret nobody has seen. It belongs to no release: whoever loses it loses what it has sealed.
func fresh(w wanted) *corev1.Secret {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: w.name, Labels: map[string]string{"app.kubernetes.io/part-of": "cloakroom"}},
		Type:       corev1.SecretTypeOpaque, Data: map[string][]byte{},
	}
	for _, key := range w.keys {
		var raw [32]byte
		_, _ = rand.Read(raw[:]) // never fails since Go 1.24
		s.Data[key] = []byte(hex.EncodeToString(raw[:]))
	}
	return s
}
