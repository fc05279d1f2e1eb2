package filessvc

import (
	"fmt"
	"strings"
	"testing"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/token/tokentest"
)

// Where another replica sends now, what was true of an endpoint before would keep an alert firing.
func TestHooks_WhoseTurnHasEndedSaysNothingOfEndpoints(t *testing.T) {
	const pending = "cloakroom_files_webhook_pending"
	t.Setenv("BILLING", "whsec_"+strings.Repeat("MfKQ9r8GKYqrTwjUPD8ILPZI", 2))
	w := newWorldIn(t, t.TempDir(), tokentest.New(t), func(c *Config) {
		c.Boot.Spec.Webhooks = []v1alpha1.Webhook{{Name: "billing", URL: "https://billing.invalid/", SecretRef: v1alpha1.SecretRef{Env: "BILLING"}}}
	})
	eventually(t, "told", func() error {
		if !w.hasMetric(pending) {
			return fmt.Errorf("no %s", pending)
		}
		return nil
	})
	w.stop()
	if w.hasMetric(pending) {
		t.Errorf("%s is told by who does not send any more", pending)
	}
}

func (w *world) hasMetric(name string) bool {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return true
		}
	}
	return false
}
