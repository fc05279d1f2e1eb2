package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// What of the API's objects is read.
type (
	meta    struct{ Name, ResourceVersion string }
	ingress struct {
		Metadata meta
		Spec     struct {
			IngressClassName string
			Rules            []struct {
				Host string
				HTTP struct {
					Paths []struct {
						Path    string
						Backend struct {
							Service struct {
								Name string
								Port struct{ Name string }
							}
						}
					}
				}
			}
			TLS []struct{ SecretName string }
		}
	}
	endpointSlice struct {
		Metadata struct {
			meta
			Labels map[string]string
		}
		Ports []struct {
			Name string
			Port int
		}
		Endpoints []struct {
			Addresses  []string
			Conditions struct{ Ready, Serving, Terminating bool }
		}
	}
	secret struct {
		Metadata meta
		Data     map[string][]byte
	}
	list[T any] struct {
		Metadata meta
		Items    []T
	}
)

// world is what the cluster says.
type world struct {
	ingresses []ingress
	slices    []endpointSlice
	secrets   []secret
}

// api is the cluster's API, as a pod reaches it.
type api struct {
	base, folder string
	namespace    string
	client       *http.Client
}

func inCluster(namespace string) (*api, error) {
	const folder = "/var/run/secrets/kubernetes.io/serviceaccount"
	authority, err := os.ReadFile(folder + "/ca.crt")
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, errors.New("the cluster's authority is no certificate")
	}
	return &api{
		base: "https://" + net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")), folder: folder,
		namespace: namespace, client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}},
	}, nil
}

// follow sends the world whenever it has changed. Each kind is listed again at each change: there are few objects, and a list is
// whole. A kind is not known before its first list, and nothing is sent before all are.
func (a *api) follow(ctx context.Context) <-chan world {
	out, updates := make(chan world), make(chan func(*world), 16)
	go followKind(ctx, a, "/apis/networking.k8s.io/v1", "ingresses", updates, func(w *world, all []ingress) { w.ingresses = all })
	go followKind(ctx, a, "/apis/discovery.k8s.io/v1", "endpointslices", updates, func(w *world, all []endpointSlice) { w.slices = all })
	go followKind(ctx, a, "/api/v1", "secrets", updates, func(w *world, all []secret) { w.secrets = all })
	go func() {
		var w world
		for {
			select {
			case <-ctx.Done():
				return
			case update := <-updates:
				update(&w)
			}
			if w.ingresses == nil || w.slices == nil || w.secrets == nil {
				continue
			}
			select {
			case <-ctx.Done():
				return
			case out <- w:
			}
		}
	}()
	return out
}

// followKind lists, sends, and waits for the next change, until ctx ends.
func followKind[T any](ctx context.Context, a *api, group, kind string, updates chan<- func(*world), set func(*world, []T)) {
	path := fmt.Sprintf("%s/namespaces/%s/%s", group, a.namespace, kind)
	for ctx.Err() == nil {
		var all list[T]
		err := a.get(ctx, path, func(body io.Reader) error { return json.NewDecoder(body).Decode(&all) })
		if err == nil {
			items := append([]T{}, all.Items...) // never nil: listed, and none there
			updates <- func(w *world) { set(w, items) }
			err = a.get(ctx, path+"?watch=1&timeoutSeconds=240&resourceVersion="+all.Metadata.ResourceVersion, func(body io.Reader) error {
				_, err := bufio.NewReader(body).ReadString('\n') // any event: the list says what it was
				if errors.Is(err, io.EOF) {
					return nil
				}
				return err
			})
		}
		if err != nil && ctx.Err() == nil {
			slog.Warn("the API did not answer", "kind", kind, "error", err)
			time.Sleep(200 * time.Millisecond)
		}
	}
}

func (a *api) get(ctx context.Context, path string, read func(io.Reader) error) error {
	token, err := os.ReadFile(a.folder + "/token") // it is replaced from time to time
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	res, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, res.Status)
	}
	return read(res.Body)
}
