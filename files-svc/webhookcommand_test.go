package filessvc

import (
	"strings"
	"testing"

	"cloakroom.dev/files-svc/internal/adapter/hookhttp"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/token/tokentest"
)

// A misspelt name must not read as a webhook that has missed nothing.
func TestWebhook_NamesNobodyKnowsAreRefused(t *testing.T) {
	t.Setenv("BILLING", hookhttp.NewSecret(make([]byte, 32)))
	dir := t.TempDir()
	newWorldIn(t, dir, tokentest.New(t), func(c *Config) {
		c.Boot.Spec.Webhooks = []v1alpha1.Webhook{{
			Name: "billing", URL: "https://billing.example.org/", SecretRef: v1alpha1.SecretRef{Env: "BILLING"}, Timeout: "1s", Concurrency: 1,
		}}
	})
	config := configDir(t, configYAML, policyYAML)
	for _, c := range []struct {
		line string
		code int
		says string
	}{
		{"list --endpoint billing", run.ExitOK, "billing: 0 pending"},
		{"list --endpoint biling", run.ExitFailure, `there is no webhook "biling"; the service has started with: billing`},
		{"redeliver --endpoint billing --all", run.ExitOK, "0 deliveries"},
		{"redeliver --endpoint biling --all", run.ExitFailure, `there is no webhook "biling"`},
		{"redeliver --endpoint billing --sequence 7", run.ExitFailure, "no such delivery is parked"},
		{"resume --endpoint billing", run.ExitOK, ""},
		{"resume --endpoint biling", run.ExitFailure, `there is no webhook "biling"`},
	} {
		args := append([]string{"webhook"}, strings.Fields(c.line)...)
		code, out, errs := command(t, t.Context(), append(args, "--config", config, "--base", dir)...)
		if code != c.code || !strings.Contains(out+errs, c.says) {
			t.Errorf("%s: exit code %d, printed %q, said %q", c.line, code, out, errs)
		}
	}
}
