package keyring

import (
	"strings"
	"testing"

	"cloakroom.dev/libs/secret"
)

func TestNotary_SignaturesOutliveARotationOfTheSecret(t *testing.T) {
	old, fresh := secret.NewString(strings.Repeat("o", 32)), secret.NewString(strings.Repeat("f", 32))
	notary := func(purpose string, current secret.String, previous ...secret.String) *Notary {
		t.Helper()
		ring, err := New(current, previous...)
		if err != nil {
			t.Fatal(err)
		}
		n, err := ring.Notary(purpose)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	id, signature := notary("a", old).Sign([]byte("m"))
	rotated := notary("a", fresh, old)
	if !rotated.Verify(id, []byte("m"), signature) {
		t.Error("a signature of the former secret is refused")
	}
	if newID, _ := rotated.Sign([]byte("m")); newID == id {
		t.Error("the former secret still signs")
	}
	for name, refused := range map[string]bool{
		"another message": rotated.Verify(id, []byte("n"), signature),
		"another purpose": notary("b", old).Verify(id, []byte("m"), signature),
		"without it":      notary("a", fresh).Verify(id, []byte("m"), signature),
		"another key":     rotated.Verify(rotated.id, []byte("m"), signature),
	} {
		if refused {
			t.Errorf("%s: verified", name)
		}
	}
}
