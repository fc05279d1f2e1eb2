package breach_test

import (
	"crypto/rand"
	"encoding/base32"
	"strings"
	"testing"

	"cloakroom.dev/auth-svc/internal/adapter/breach"
)

func open(t *testing.T) *breach.Filter {
	t.Helper()
	f, err := breach.Open()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFilter_KnowsWhatGuessersTryFirst(t *testing.T) {
	f := open(t)
	for _, word := range []string{
		"123456", "password", "123456789", "12345678", "qwerty", "iloveyou", "princess", "dragon", "monkey", "letmein", "trustno1",
		"sunshine", "football", "superman", "shadow", "michael", "1q2w3e4r", "elephant",
	} {
		if !f.Contains(word) {
			t.Errorf("%q is not known", word)
		}
	}
	if f.Words() < 50_000 {
		t.Errorf("%d words", f.Words())
	}
}

// The promise is one in a million; ten in a million would be far outside chance.
func TestFilter_TakesAlmostNothingForWhatItIsNot(t *testing.T) {
	f := open(t)
	const asked = 1_000_000
	wrong, buf := 0, make([]byte, 10)
	for range asked {
		_, _ = rand.Read(buf)
		if f.Contains(strings.ToLower(base32.StdEncoding.EncodeToString(buf))) {
			wrong++
		}
	}
	if wrong > 10 {
		t.Errorf("%d of %d random words are taken for breached ones", wrong, asked)
	}
}

func TestRead_RefusesWhatIsNoFilter(t *testing.T) {
	good := breach.Make([]string{"dragon", "letmein"})
	f, err := breach.Read(good)
	if err != nil || !f.Contains("dragon") || !f.Contains("letmein") || f.Words() != 2 {
		t.Fatalf("a fresh filter: %v", err)
	}
	for _, bad := range [][]byte{nil, good[:10], good[:len(good)-1], append([]byte("x"), good...), make([]byte, 100)} {
		if _, err := breach.Read(bad); err == nil {
			t.Errorf("%d bytes were read", len(bad))
		}
	}
}
