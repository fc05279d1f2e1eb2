package identity_test

import (
	"strings"
	"testing"

	"cloakroom.dev/libs/fault"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

func TestSignup_MakesAGuestWithASession(t *testing.T) {
	w := newWorld(t, ordinary)
	e := must[identity.Entry](t)(w.Service.Signup(t.Context(), identity.SignupInput{
		Email: " Ada@Example.org", Username: "Ada", Name: "  Ada Lovelace ", Password: text(identitytest.Password), Client: identitytest.Laptop,
	}))
	c := w.Caller(e.Tokens)
	if c.UserID != e.User.ID || len(c.Roles) != 1 || c.Roles[0] != identity.RoleGuest || !c.May("files", "create", true) || c.May("users", "read", false) {
		t.Errorf("the token says %+v", c)
	}
	me := must[identity.Profile](t)(w.Service.Me(t.Context(), c))
	if me.Email != "Ada@Example.org" || me.EmailKey != "ada@example.org" || me.Username != "Ada" || me.Name != "Ada Lovelace" {
		t.Errorf("the record says %+v", me)
	}
	if e.Tokens.ExpiresIn.Minutes() != 15 || !e.Tokens.RefreshExpiresAt.After(w.Clock.Now()) {
		t.Errorf("tokens: %+v", e.Tokens)
	}
	w.MustRefresh(e.Tokens.RefreshToken)
}

func TestSignup_TellsAllThatIsWrongAtOnceAndHashesNothing(t *testing.T) {
	w := newWorld(t, ordinary)
	hashes := w.Hasher.Calls.Load()
	for _, c := range []struct {
		in     identity.SignupInput
		fields []string
	}{
		{identity.SignupInput{}, []string{"email", "password"}},
		{identity.SignupInput{Email: "x", Phone: "1", Username: "a b", Name: "\x00", Password: text("short")},
			[]string{"name", "email", "phone", "username", "password"}},
		{identity.SignupInput{Username: "ada", Password: text(strings.Repeat("x", 1025))}, []string{"password"}},
		{identity.SignupInput{Username: "ada", Password: text("\xff\xfe\xff\xfe\xff\xfe\xff\xfe")}, []string{"password"}},
		{identity.SignupInput{Username: "ada", Name: strings.Repeat("x", 101), Password: text(identitytest.Password)}, []string{"name"}},
		{identity.SignupInput{Username: "ada", Name: "evil\u202egpj.exe", Password: text(identitytest.Password)}, []string{"name"}},
	} {
		_, err := w.Service.Signup(t.Context(), c.in)
		wantFields(t, err, c.fields...)
	}
	if w.Hasher.Calls.Load() != hashes {
		t.Error("a hash was spent on a refused signup")
	}
}

func TestSignup_RefusesPasswordsMadeOfTheAccountsNames(t *testing.T) {
	w := newWorld(t, ordinary)
	for password, ok := range map[string]bool{
		"lovelace":                 false,
		"LoveLace":                 false,
		"lovelace1":                false,
		"!!lovelace!!":             false,
		"lovelacelovelace":         false,
		"ada@example.org":          false,
		"442071838750":             false,
		"+442071838750":            false,
		"ada augusta":              false, // the name
		"lovelace wrote programs":  true,
		"correct horse battery":    true,
		"ﬁfteen chars":             true,
		"ada-with-enough-besides!": true,
	} {
		_, err := w.Service.Signup(t.Context(), identity.SignupInput{
			Email: "ada@example.org", Username: "Lovelace", Phone: "+442071838750", Name: "Ada Augusta", Password: text(password),
		})
		if refused := fault.KindOf(err) == fault.Invalid; refused == ok {
			t.Errorf("%q: %v", password, err)
		}
	}
}

func TestSignup_TakenInAnySpelling(t *testing.T) {
	w := newWorld(t, ordinary)
	must[identity.Entry](t)(w.Service.Signup(t.Context(), identity.SignupInput{
		Email: "ada@bücher.example", Phone: "+442071838750", Username: "ada", Password: text(identitytest.Password),
	}))
	for _, in := range []identity.SignupInput{
		{Email: "ADA@xn--bcher-kva.example"}, {Phone: "+44 20 7183 8750"}, {Username: "ＡＤＡ"},
		{Username: "fresh", Email: "Ada@Bücher.example"},
	} {
		in.Password = text(identitytest.Password)
		_, err := w.Service.Signup(t.Context(), in)
		wantFault(t, err, fault.UserExists)
	}
	if _, err := w.Login("fresh", identitytest.Password); err == nil {
		t.Error("half a signup was kept")
	}
}

func TestSignup_BootstrapTokenMakesOneAdministrator(t *testing.T) {
	w := newWorld(t, ordinary)
	var made identity.BootstrapSecrets
	must[bool](t)(w.Service.Bootstrap(t.Context(), identity.BootstrapInput{}, func(s identity.BootstrapSecrets) error {
		made = s
		return nil
	}))
	in := identity.SignupInput{Username: "root", Password: text(identitytest.Password), BootstrapToken: text("wrong" + made.Token.Reveal()[5:])}
	_, err := w.Service.Signup(t.Context(), in)
	wantFault(t, err, fault.Forbidden)
	in.Username, in.BootstrapToken = made.Username, made.Token // taken: the token must not be spent on it
	_, err = w.Service.Signup(t.Context(), in)
	wantFault(t, err, fault.UserExists)
	in.Username = "root"
	e := must[identity.Entry](t)(w.Service.Signup(t.Context(), in))
	if !w.Caller(e.Tokens).May("users", "update", false) {
		t.Error("the bootstrap token made no administrator")
	}
	in.Username = "second"
	_, err = w.Service.Signup(t.Context(), in)
	wantFault(t, err, fault.Forbidden)
}

func TestClient_IsCutToWhatIsWorthKeeping(t *testing.T) {
	w := newWorld(t, ordinary)
	e := must[identity.Entry](t)(w.Service.Signup(t.Context(), identity.SignupInput{
		Username: "ada", Password: text(identitytest.Password),
		Client: identity.Client{UserAgent: strings.Repeat("ü", 1<<16), DeviceName: " my\r\n\x00lap\u202etop \xff"},
	}))
	s := must[identity.Page[identity.Session]](t)(w.Service.ListSessions(t.Context(), w.Caller(e.Tokens), identity.Cursor{}, 10)).Items[0]
	if s.UserAgent != strings.Repeat("ü", 256) || s.DeviceName != "mylaptop" {
		t.Errorf("kept %d bytes of agent and %q", len(s.UserAgent), s.DeviceName)
	}
	longest := strings.Repeat("я", 100) // as many characters as the API takes
	if s = must[identity.Session](t)(w.Service.NameSessionOf(t.Context(), w.Caller(e.Tokens), e.User.ID, s.ID, longest)); s.DeviceName != longest {
		t.Errorf("of a name of 100 characters %q is left", s.DeviceName)
	}
}
