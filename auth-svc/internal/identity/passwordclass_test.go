package identity_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"
)

// codes are what an answer says of a new password.
func codes(err error) (codes []string) {
	var f *fault.Error
	if errors.As(err, &f) {
		for _, bad := range f.Fields {
			codes = append(codes, bad.Code)
		}
	}
	return codes
}

func TestPassword_OneAnswerListsAllThatIsMissing(t *testing.T) {
	w := newWorld(t, identity.Policy{MinPassword: 8, Require: identity.AllClasses})
	for password, want := range map[string][]string{
		"":               {"REQUIRED"},
		"   ":            {"TOO_SHORT", "NEEDS_UPPER", "NEEDS_LOWER", "NEEDS_DIGIT"},
		"tiny":           {"TOO_SHORT", "NEEDS_UPPER", "NEEDS_DIGIT", "NEEDS_SPECIAL"},
		"rosehip":        {"TOO_SHORT", "NEEDS_UPPER", "NEEDS_DIGIT", "NEEDS_SPECIAL", "TOO_EASY"},
		"TALLSTOREYS":    {"NEEDS_LOWER", "NEEDS_DIGIT", "NEEDS_SPECIAL"},
		"Tallstorey9":    {"NEEDS_SPECIAL"},
		"Длинное9слово!": nil,
		"合言葉合言葉九!":       {"NEEDS_UPPER", "NEEDS_LOWER", "NEEDS_DIGIT"},
		"Tall storey 9":  nil,
	} {
		_, err := w.Service.Signup(t.Context(), identity.SignupInput{Username: "rosehip", Password: secret.NewString(password)})
		if got := codes(err); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v (%v)", password, got, want, err)
		}
		if err == nil {
			w.Write(func(ctx context.Context, tx identity.Tx) error {
				u, err := tx.UserByIdentifier(ctx, identity.Identifier{Kind: identity.Username, Key: "rosehip"})
				if err != nil {
					return err
				}
				return tx.DeleteUser(ctx, u.ID)
			})
		}
	}
}

// The first administrator's password is made here, and held to the same rules: a strict policy must not keep the service
// from its first start.
func TestNewPassword_KeepsEveryPolicy(t *testing.T) {
	for _, p := range []identity.Policy{{}, {MinPassword: 100, Require: identity.AllClasses}} {
		w := newWorld(t, p)
		seen := map[string]bool{}
		for range 200 {
			v := w.Service.NewPassword().Reveal()
			if seen[v] || len(v) < max(24, p.MinPassword) || strings.ContainsAny(v, "0O1lI") {
				t.Fatalf("made %q", v)
			}
			seen[v] = true
		}
		if made, err := w.Service.Bootstrap(t.Context(), identity.BootstrapInput{}, func(identity.BootstrapSecrets) error { return nil }); !made || err != nil {
			t.Errorf("first start under %+v: %v, %v", p, made, err)
		}
	}
}
