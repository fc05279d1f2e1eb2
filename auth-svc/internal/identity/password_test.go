package identity_test

import (
	"strings"
	"testing"

	"cloakroom.dev/libs/fault"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

const (
	composed   = "Zo\u00eb\u2019s \u00e9toile filante"           // as most keyboards write it
	decomposed = "Zoe\u0308\u2019s e\u0301toile filante"         // as some systems do
	hardSpaces = "Zo\u00eb\u2019s\u00a0\u00e9toile\u3000filante" // and a space with a modifier key held
)

func signUpWith(w *identitytest.World, t *testing.T, name, password string) (identity.Entry, error) {
	t.Helper()
	return w.Service.Signup(t.Context(), identity.SignupInput{Username: name, Password: text(password), Client: identitytest.Laptop})
}

func TestPassword_TheSameKeysOpenHoweverTheSystemWritesThem(t *testing.T) {
	for _, chosen := range []string{composed, decomposed, hardSpaces} {
		w := newWorld(t, ordinary)
		must[identity.Entry](t)(signUpWith(w, t, "zoe", chosen))
		for _, typed := range []string{composed, decomposed, hardSpaces} {
			if _, err := w.Login("zoe", typed); err != nil {
				t.Errorf("chosen as %+q, typed as %+q: %v", chosen, typed, err)
			}
		}
		for _, other := range []string{strings.ToUpper(composed), "Zoe\u2019s etoile filante", composed + " ", "\uff3ao\u00eb\u2019s \u00e9toile filante"} {
			_, err := w.Login("zoe", other)
			wantFault(t, err, fault.InvalidCredentials)
		}
	}
}

func TestPassword_HashesOfWhatWasTypedStayValidAndAreRenewed(t *testing.T) {
	w := newWorld(t, ordinary)
	id := must[identity.Entry](t)(signUpWith(w, t, "zoe", composed)).User.ID
	former, _ := w.Hasher.Hash(t.Context(), decomposed) // as it was kept before passwords were normalised
	change(w, id, func(u *identity.User) { u.PasswordHash = former })
	_, err := w.Login("zoe", composed) // nobody can tell that this is the same
	wantFault(t, err, fault.InvalidCredentials)
	w.MustLogin("zoe", decomposed)
	w.MustLogin("zoe", composed) // the login before has renewed the hash
	change(w, id, func(u *identity.User) {
		if u.PasswordHash == former {
			t.Error("the hash was not renewed")
		}
	})
}

// What a guess costs must not tell whether there is somebody.
func TestPassword_NormalisingCostsTheSameForNobody(t *testing.T) {
	w := newWorld(t, ordinary)
	w.SignUp("ada")
	for typed, want := range map[string]int64{"plain wrong": 1, "wrong e\u0301": 2, "": 1, strings.Repeat("\u00e9", 5000): 1} {
		for _, name := range []string{"ada", "nobody"} {
			before := w.Hasher.Calls.Load()
			_, err := w.Login(name, typed)
			wantFault(t, err, fault.InvalidCredentials)
			if got := w.Hasher.Calls.Load() - before; got != want {
				t.Errorf("%s, %.10q: %d hashes, want %d", name, typed, got, want)
			}
		}
	}
}

func TestPassword_IsMeasuredInCharacters(t *testing.T) {
	w := newWorld(t, identity.Policy{MinPassword: 8, MaxPassword: 64, MaxSessions: 5})
	for name, c := range map[string]struct {
		password string
		fine     bool
	}{
		"seven of two bytes":            {"\u0436\u0434\u0451\u043c \u0434\u043e", false},
		"eight of two bytes":            {"\u0436\u0434\u0451\u043c \u0434\u043e\u043c", true},
		"eight only before composition": {"e\u0301te\u0301 e\u0301", false},
		"64 of three bytes":             {strings.Repeat("\u7530\u4e2d\u82b1\u5b50\u5c71\u5ddd\u6d77\u7a7a", 8)[:63*3] + "\u96e8", true},
		"65 of three bytes":             {strings.Repeat("\u7530\u4e2d\u82b1\u5b50\u5c71\u5ddd\u6d77\u7a7a", 9)[:64*3] + "\u96e8", false},
		"a bound in bytes stands":       {strings.Repeat("a\u0301\u0302\u0303", 100_000), false},
		"not text":                      {"correct horse \xff\xfe battery", false},
	} {
		_, err := signUpWith(w, t, "p-"+strings.ReplaceAll(name, " ", "-"), c.password)
		if c.fine && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !c.fine {
			wantFields(t, err, "password")
		}
	}
}
