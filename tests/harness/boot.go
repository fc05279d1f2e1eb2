package harness

import (
	"fmt"
	"strings"
)

// AuthBoot is the boot object of one of several auth services on a database, with more lines of its spec.
func AuthBoot(public, internal, ops, dsnFile, keyFile string, more ...string) string {
	return fmt.Sprintf(`
apiVersion: cloakroom.dev/v1alpha1
kind: AuthConfig
metadata: {name: auth}
spec:
  listeners: {public: {address: %q}, internal: {address: %q}, ops: {address: %q}}
  store: {postgres: {dsn: {file: %q}}}
  keyEncryption: {file: %q}
`, public, internal, ops, dsnFile, keyFile) + strings.Join(more, "")
}

// FilesBoot is the boot object of a files service behind several auth services, whose internal listeners it is given.
func FilesBoot(public, ops string, auths ...string) string {
	return fmt.Sprintf(`
apiVersion: cloakroom.dev/v1alpha1
kind: FilesConfig
metadata: {name: files}
spec:
  listeners: {public: {address: %q}, ops: {address: %q}}
  verifier: {internalURLs: [%s]}
`, public, ops, urls(auths))
}

// GatewayBoot is the boot object of a gateway before several auth services and a files service; more goes to the upstream auth.
func GatewayBoot(public, ops string, auths, internals []string, files, more string) string {
	return fmt.Sprintf(`
apiVersion: cloakroom.dev/v1alpha1
kind: GatewayConfig
metadata: {name: gateway}
spec:
  listeners: {public: {address: %q}, ops: {address: %q}}
  upstreams:
    auth: {urls: [%s], internalURLs: [%s]%s}
    files: {url: "http://%s"}
  trustedProxies: {none: {}}
`, public, ops, urls(auths), urls(internals), more, files)
}

func urls(addrs []string) string {
	quoted := make([]string, len(addrs))
	for i, addr := range addrs {
		quoted[i] = fmt.Sprintf("%q", "http://"+addr)
	}
	return strings.Join(quoted, ", ")
}
