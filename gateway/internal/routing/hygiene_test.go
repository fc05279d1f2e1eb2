package routing_test

import (
	"testing"

	"cloakroom.dev/gateway/internal/routing"
)

func TestHygiene_Identity(t *testing.T) {
	h := routing.NewHygiene("X-Tenant", "X-Claims-*", "Sub", "*", "")
	for _, name := range []string{
		"X-User-Id", "x-user-id", "X_USER_ID", "X-User_Id", "x.user.id", "X-User-", "X-User-Anything-At-All",
		"X-Session-Id", "X_Session_Id", "X_Session_Mode", "X-Session_Mode", "X-Session-Modes",
		"X-Roles", "X-Roles-All", "X_Roles", "x-rolesx",
		"X-Internal-Secret", "X!Internal!x",
		"X-Tenant", "x_tenant", "X-Claims-Org", "x_claims_org", "SUB",
	} {
		if !h.Identity(name) {
			t.Errorf("%s says who the caller is", name)
		}
	}
	for _, name := range []string{
		"", "X", "X-", "X-User", "X-Use", "X-Request-Id", "X-Tenant-Id", "Authorization", "Cookie", "Host", "Subject", "X-Role",
		"Content-Type", "XX-User-Id", "X-Api-Key", "X-Auth-Token", "X-Forwarded-For", "X-Session-Mode", "x-session-mode",
	} {
		if h.Identity(name) {
			t.Errorf("%s does not say who the caller is", name)
		}
	}
	if name := "X-Session-Mode"; !routing.NewHygiene(name).Identity(name) {
		t.Errorf("an operator can have %s stripped all the same", name)
	}
}

func TestHygiene_Forwarding(t *testing.T) {
	var h routing.Hygiene
	for _, name := range []string{
		"Forwarded", "FORWARDED", "X-Forwarded-For", "X_Forwarded_For", "x-forwarded-anything", "X-Forwarded", "X-Real-Ip",
		"X_Real_IP", "True-Client-Ip", "X-Original-Url", "X-Rewrite-URL", "X-Http-Method-Override", "X-Method_Override",
	} {
		if !h.Forwarding(name) {
			t.Errorf("%s says where a request came from or what it asks for", name)
		}
	}
	for _, name := range []string{"", "From", "Forward", "X-Request-Id", "Host", "Via", "X-Forward-For", "X-User-Id", "Traceparent"} {
		if h.Forwarding(name) {
			t.Errorf("%s is none of it", name)
		}
	}
}
