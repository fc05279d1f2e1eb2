package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/csv"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// host is the name people know. Nobody looks it up: clients are told where it is.
const host = "cloakroom.test"

// front is the namespace of the controller in front.
func (s *site) front() string { return s.namespace + "-front" }

func (s *site) inFront(args ...string) string {
	s.t.Helper()
	return s.run0("kubectl", append([]string{"-n", s.front()}, args...)...)
}

// putFront puts the controller and its certificate where a release will find them, and finds the way there. It has nothing to serve
// yet: it is ready when there is an Ingress.
func (s *site) putFront() {
	s.t.Helper()
	if os.Getenv("CLUSTER_SITE") == "" {
		certificate, key := newCertificate(s.t)
		s.apply(secret("front-tls", "tls.crt", certificate, "tls.key", key))
		text := string(must[[]byte](s.t, "read the front")(os.ReadFile("testdata/front.yaml")))
		text = strings.NewReplacer("@front@", s.front(), "@site@", s.namespace, "@image@", frontImage).Replace(text)
		must[string](s.t, "apply the front")(s.run("", []byte(text), "kubectl", "apply", "--server-side", "-f", "-"))
	}
	s.authority = []byte(s.secretOf("front-tls")["tls.crt"])
	node := s.kubectl("get", "nodes", "-o", `jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}`)
	port := s.inFront("get", "service", "front", "-o", "jsonpath={.spec.ports[0].nodePort}")
	s.base, s.address = "https://"+host+":"+port, node+":"+port
	harness.Reach(s.t, s.base, s.address, s.authority)
}

// frontsAddress is the address of the controller's pod: the only one whose X-Forwarded-For the release is to believe.
func (s *site) frontsAddress() string {
	s.t.Helper()
	return s.addressOf(s.front(), "front-0")
}

func (s *site) addressOf(namespace, pod string) (address string) {
	s.t.Helper()
	s.wait(time.Minute, pod+" has an address", func() error {
		out, err := s.run("", nil, "kubectl", "-n", namespace, "get", "pod", pod, "-o", "jsonpath={.status.podIP}")
		if address = strings.TrimSpace(out); err == nil && address == "" {
			err = fmt.Errorf("none")
		}
		return err
	})
	return address
}

// frontServes waits until the controller serves the release's Ingress.
func (s *site) frontServes() {
	s.t.Helper()
	s.inFront("rollout", "status", "statefulset/front", "--timeout=2m")
	for _, namespace := range []string{s.front(), s.namespace} {
		s.run0("kubectl", "-n", namespace, "wait", "--for=condition=Ready", "pod/visitor", "--timeout=2m")
	}
}

// again is how often HAProxy could not connect to a pod so far, and tried once more.
func (s *site) again() (times int) {
	s.t.Helper()
	rows := must[[][]string](s.t, "read HAProxy's counters")(csv.NewReader(strings.NewReader(s.inFront("exec", "front-0", "--", "front", "-ask", "show stat"))).ReadAll())
	retries := slices.Index(rows[0], "wretr")
	for _, row := range rows[1:] {
		if row[1] == "BACKEND" {
			n := must[int](s.t, "read HAProxy's counters")(strconv.Atoi(row[retries]))
			times += n
		}
	}
	return times
}

// newCertificate is a certificate for the host that is its own authority.
func newCertificate(t testing.TB) (certificate, key string) {
	t.Helper()
	private := must[*ecdsa.PrivateKey](t, "make a key")(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der := must[[]byte](t, "make a certificate")(x509.CreateCertificate(rand.Reader, template, template, private.Public(), private))
	raw := must[[]byte](t, "write a key")(x509.MarshalPKCS8PrivateKey(private))
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", raw)
}
